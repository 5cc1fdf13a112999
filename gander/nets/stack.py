"""Nets that are a list of layers, said in the recipe layer by layer: every DCGAN-like net there is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from gander.chance import Dropout
from gander.errors import RecipeError
from gander.nets.blocks import Activation, BatchNorm, Generator, Head, ImageShape, activation, one_hot
from gander.nets.designs import DiscriminatorDesign, GeneratorDesign
from gander.schedule import Settings
from gander.techniques.slots import Logits

Width = Annotated[int, Field(ge=1, le=4096)]
Kernel = Annotated[int, Field(ge=1, le=15)]
Stride = Annotated[int, Field(ge=1, le=4)]


class Weighted(Settings):
    """What layers with weights share; unset values are the net's own."""

    activation: Activation | None = None
    batch_norm: bool | None = None


class Dense(Weighted):
    """A fully connected layer; with `size` its output becomes `width` maps of size x size."""

    kind: Literal["dense"] = "dense"
    width: Width
    size: int | None = Field(default=None, ge=1, le=64)


class Conv(Weighted):
    """A convolution that keeps the size, divided by `stride` and rounded up ("same" padding)."""

    kind: Literal["conv"] = "conv"
    width: Width
    kernel: Kernel = 3
    stride: Stride = 1


class Transposed(Weighted):
    """A transposed convolution that multiplies the size by `stride`."""

    kind: Literal["transposed"] = "transposed"
    width: Width
    kernel: Kernel = 4
    stride: Stride = 2


class Upsample(Settings):
    """Nearest-neighbour enlargement."""

    kind: Literal["upsample"] = "upsample"
    factor: int = Field(default=2, ge=2, le=8)


class MaxPool(Settings):
    """The largest of every size x size values."""

    kind: Literal["max_pool"] = "max_pool"
    size: int = Field(default=2, ge=2, le=8)


class Drop(Settings):
    """Dropout with this rate."""

    kind: Literal["dropout"] = "dropout"
    rate: float = Field(default=0.4, ge=0, lt=1)


Shape = tuple[int, ...]
Made = tuple[list[nn.Module], Shape]
Layer = Annotated[Dense | Conv | Transposed | Upsample | MaxPool | Drop, Field(discriminator="kind")]
Layers = Annotated[tuple[Layer, ...], Field(strict=False, max_length=64)]


class Output(Settings):
    """The last layer of a generator: as many filters as the data has channels, and the range of the images.

    `tanh` and `linear` make images in [-1, 1], `sigmoid` in [0, 1]; the data are scaled alike.
    """

    kind: Literal["conv", "transposed"] = "conv"
    kernel: Kernel = 3
    stride: Stride = 1
    activation: Literal["tanh", "sigmoid", "linear"] = "tanh"


class Stack(Settings):
    """What every layer of the net has unless it says otherwise."""

    activation: Activation = "relu"
    slope: float = Field(default=0.2, ge=0, lt=1, description="of leaky_relu, left of zero")
    batch_norm: bool = False
    momentum: float = Field(default=0.9, ge=0, lt=1, description="share of the running statistics kept")
    bias: bool = True

    def modules(self, layer: Layer, shape: Shape, where: str) -> Made:
        """Make one layer for an input of `shape`, (D,) or (C, S, S); give it with the shape it puts out."""
        match layer:
            case Drop():
                return [Dropout(layer.rate)], shape
            case Dense():
                made, shape = _dense(layer, shape, self.bias)
            case Upsample() | MaxPool() | Conv() | Transposed() if len(shape) != 3:
                raise RecipeError(
                    f'{where}: kind = "{layer.kind}" needs maps, but what comes in is a plain vector; '
                    "give the dense layer before it a size"
                )
            case Upsample():
                size = shape[1] * layer.factor
                return [nn.Upsample(scale_factor=layer.factor)], (shape[0], size, size)
            case MaxPool():
                size = shape[1] // layer.size
                if size == 0:
                    raise RecipeError(
                        f"{where}: max_pool of {layer.size} on maps of {shape[1]} leaves nothing"
                    )
                return [nn.MaxPool2d(layer.size)], (shape[0], size, size)
            case Conv():
                made, shape = _conv(shape, layer.width, layer.kernel, layer.stride, self.bias)
            case Transposed():
                made, shape = _transposed(shape, layer.width, layer.kernel, layer.stride, self.bias)
        if self.batch_norm if layer.batch_norm is None else layer.batch_norm:
            if len(shape) != 3:
                raise RecipeError(f"{where}.batch_norm = true: batch norm needs maps; give the layer a size")
            made.append(BatchNorm(shape[0], self.momentum))
        made.append(activation(layer.activation or self.activation, self.slope))
        return made, shape


def _dense(layer: Dense, shape: Shape, bias: bool) -> Made:
    made: list[nn.Module] = [nn.Flatten()] if len(shape) == 3 else []
    inputs = math.prod(shape)
    if layer.size is None:
        return [*made, nn.Linear(inputs, layer.width, bias)], (layer.width,)
    whole = (layer.width, layer.size, layer.size)
    return [*made, nn.Linear(inputs, math.prod(whole), bias), nn.Unflatten(1, whole)], whole


def _conv(shape: Shape, width: int, kernel: int, stride: int, bias: bool) -> Made:
    size = -(-shape[1] // stride)
    padding = max((size - 1) * stride + kernel - shape[1], 0)
    before, after = padding // 2, padding - padding // 2
    if before == after:
        return [nn.Conv2d(shape[0], width, kernel, stride, before, bias=bias)], (width, size, size)
    pad = nn.ZeroPad2d((before, after, before, after))
    return [pad, nn.Conv2d(shape[0], width, kernel, stride, bias=bias)], (width, size, size)


def _transposed(shape: Shape, width: int, kernel: int, stride: int, bias: bool) -> Made:
    cut = kernel - stride
    padding = -(-cut // 2)
    extra = 2 * padding - cut
    if cut < 0 or extra >= stride:
        raise RecipeError(
            f"transposed kernel = {kernel}, stride = {stride}: the kernel must be at least the stride, "
            "and with stride 1 it must be odd"
        )
    conv = nn.ConvTranspose2d(shape[0], width, kernel, stride, padding, extra, bias=bias)
    return [conv], (width, shape[1] * stride, shape[1] * stride)


def _build(net: Stack, layers: Sequence[Layer], shape: Shape, where: str) -> Made:
    made: list[nn.Module] = []
    for place, layer in enumerate(layers):
        modules, shape = net.modules(layer, shape, f"{where}.{place}")
        made += modules
    return made, shape


class StackGenerator(Stack, GeneratorDesign):
    """A generator said layer by layer; `labels = "concatenated"` appends the class to the latents."""

    kind: Literal["stack"] = "stack"
    layers: Layers = Field(min_length=1)
    output: Output = Output()
    labels: Literal["ignored", "concatenated"] = "ignored"

    def build(self, image: ImageShape, latent_dim: int) -> Generator:
        """Make the net for one shape of image; RecipeError where the layers end in another."""
        num_classes = image.num_classes if self.labels != "ignored" else 0
        made, shape = _build(self, self.layers, (latent_dim + num_classes,), "generator.layers")
        if len(shape) != 3:
            raise RecipeError("generator.layers: no layer makes maps; give the first dense layer a size")
        make = _conv if self.output.kind == "conv" else _transposed
        last, shape = make(shape, image.channels, self.output.kernel, self.output.stride, self.bias)
        if shape[1] != image.size:
            raise RecipeError(
                f"generator.layers: these make images of {shape[1]} x {shape[1]}, but the data has {image}; "
                f"change a dense size or a stride, or set data.size={shape[1]}"
            )
        layers = nn.Sequential(*made, *last, activation(self.output.activation))
        return _Made(layers, latent_dim, num_classes, 0.0 if self.output.activation == "sigmoid" else -1.0)


class StackDiscriminator(Stack, DiscriminatorDesign):
    """A discriminator said layer by layer, then one unit; labels by a class head or a projection."""

    kind: Literal["stack"] = "stack"
    activation: Activation = "leaky_relu"
    front: Layers = Field(default=(), description="layers before the others, for a recipe that extends one")
    layers: Layers = Field(min_length=1)
    labels: Literal["ignored", "head", "projected"] = "ignored"

    def build(self, image: ImageShape) -> nn.Module:
        shape: Shape = (image.channels, image.size, image.size)
        front, shape = _build(self, self.front, shape, "discriminator.front")
        layers, shape = _build(self, self.layers, shape, "discriminator.layers")
        return _Judging(
            nn.Sequential(*front, *layers, nn.Flatten()),
            Head(math.prod(shape), self.labels, image.num_classes),
        )


class _Made(Generator):
    def __init__(self, layers: nn.Sequential, latent_dim: int, num_classes: int, low: float) -> None:
        super().__init__(latent_dim, num_classes)
        self.layers = layers
        self.low = low

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.num_classes:
            latents = torch.cat([latents, one_hot(labels, self.num_classes, latents)], 1)
        return self.layers(latents)


class _Judging(nn.Module):
    def __init__(self, layers: nn.Sequential, head: Head) -> None:
        super().__init__()
        self.layers = layers
        self.head = head

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Logits:
        return self.head(self.layers(images), labels)
