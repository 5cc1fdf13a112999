"""Nets that are a list of layers, said in the recipe layer by layer: every DCGAN-like net there is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from gander.chance import Dropout
from gander.errors import RecipeError
from gander.nets.blocks import (
    Activation,
    BatchNorm,
    ClassBatchNorm,
    Generator,
    Head,
    ImageShape,
    Labels,
    activation,
    one_hot,
)
from gander.nets.designs import DiscriminatorDesign, GeneratorDesign
from gander.nets.deviation import Deviation
from gander.nets.excitation import Excitation
from gander.nets.layers import (
    Conv,
    Dense,
    Drop,
    Excite,
    Layer,
    Layers,
    MaxPool,
    MinibatchDeviation,
    Output,
    PixelShuffle,
    PixelUnshuffle,
    Transposed,
    UpLayer,
    UpLayers,
    Upsample,
)
from gander.nets.san import SanHead
from gander.schedule import Settings
from gander.techniques.slots import Logits

_EMBEDDED = 32  # numbers of a class that is everywhere
Shape = tuple[int, ...]
Made = tuple[list[nn.Module], Shape]


class Stack(Settings):
    """What every layer of the net has unless it says otherwise."""

    activation: Activation = "relu"
    slope: float = Field(default=0.2, ge=0, lt=1, description="of leaky_relu, left of zero")
    batch_norm: bool = False
    momentum: float = Field(default=0.9, ge=0, lt=1, description="share of the running statistics kept")
    bias: bool = True

    def modules(self, layer: Layer, shape: Shape, where: str, condition: int = 0) -> Made:
        """Make one layer for an input of `shape`, (D,) or (C, S, S); give it with the shape it puts out.

        Where the net takes a condition of so many numbers, its batch norms follow it.
        """
        match layer:
            case Drop():
                return [Dropout(layer.rate)], shape
            case Dense():
                made, shape = _dense(layer, shape, self.bias)
            case _ if len(shape) != 3:
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
            case PixelShuffle():
                return _shuffled(shape, layer.factor, where)
            case PixelUnshuffle():
                return _unshuffled(shape, layer.factor, where)
            case MinibatchDeviation():
                return [Deviation(layer.group)], (shape[0] + 1, *shape[1:])
            case Conv():
                made, shape = _conv(shape, layer.width, layer.kernel, layer.stride, self.bias)
            case Transposed():
                made, shape = _transposed(shape, layer.width, layer.kernel, layer.stride, self.bias)
        if self.batch_norm if layer.batch_norm is None else layer.batch_norm:
            if len(shape) != 3:
                raise RecipeError(f"{where}.batch_norm = true: batch norm needs maps; give the layer a size")
            norm = ClassBatchNorm(shape[0], condition, self.momentum) if condition else None
            made.append(norm or BatchNorm(shape[0], self.momentum))
        made.append(activation(layer.activation or self.activation, self.slope))
        return made, shape


def _dense(layer: Dense, shape: Shape, bias: bool) -> Made:
    made: list[nn.Module] = [nn.Flatten()] if len(shape) == 3 else []
    inputs = math.prod(shape)
    if layer.size is None:
        return [*made, nn.Linear(inputs, layer.width, bias)], (layer.width,)
    if layer.size == "auto":
        raise RecipeError('dense size = "auto": follows from the images in a generator only; give a number')
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


def _shuffled(shape: Shape, factor: int, where: str) -> Made:
    if shape[0] % factor**2:
        raise RecipeError(
            f"{where}: pixel_shuffle of {factor} makes one map of {factor**2}, but {shape[0]} come in; "
            f"make the width before it {-(-shape[0] // factor**2) * factor**2}"
        )
    size = shape[1] * factor
    return [nn.PixelShuffle(factor)], (shape[0] // factor**2, size, size)


def _unshuffled(shape: Shape, factor: int, where: str) -> Made:
    if shape[1] % factor:
        raise RecipeError(f"{where}: pixel_unshuffle of {factor}: maps of {shape[1]} are no multiple of it")
    size = shape[1] // factor
    return [nn.PixelUnshuffle(factor)], (shape[0] * factor**2, size, size)


def _output(shape: Shape, channels: int, output: Output, bias: bool) -> Made:
    if output.kind == "transposed":
        return _transposed(shape, channels, output.kernel, output.stride, bias)
    if output.kind == "conv":
        return _conv(shape, channels, output.kernel, output.stride, bias)
    made, shape = _conv(shape, channels * output.stride**2, output.kernel, 1, bias)
    shuffle, shape = _shuffled(shape, output.stride, "generator.output")
    return [*made, *shuffle], shape


def _build(net: Stack, layers: Sequence[UpLayer], shape: Shape, where: str, condition: int = 0) -> Made:
    made: list[nn.Module] = []
    behind: list[tuple[int, Shape]] = []  # the place of each layer's last module, and what it puts out
    for place, layer in enumerate(layers):
        if isinstance(layer, Excite):
            ruling = behind[layer.behind][1] if layer.behind < place else ()
            if len(ruling) != 3:
                raise RecipeError(
                    f"{where}.{place}.behind = {layer.behind}: must be an earlier layer that makes maps"
                )
            made.append(Excitation(behind[layer.behind][0], ruling[0], shape[0]))
        else:
            modules, shape = net.modules(layer, shape, f"{where}.{place}", condition)
            made += modules
        behind.append((len(made) - 1, shape))
    return made, shape


def _sized(layers: UpLayers, output: Output, image: ImageShape) -> UpLayers:
    """Put the size that fits these images where it is left open."""
    grown = output.stride * math.prod(
        layer.stride if isinstance(layer, Transposed) else getattr(layer, "factor", 1) for layer in layers
    )
    if image.size % grown and any(getattr(layer, "size", None) == "auto" for layer in layers):
        raise RecipeError(
            f"generator.layers: enlarge {grown} times, and the data has {image}; "
            f"set data.size={max(image.size // grown, 1) * grown}"
        )
    size = max(image.size // grown, 1)
    return tuple(
        layer.model_copy(update={"size": size}) if getattr(layer, "size", None) == "auto" else layer
        for layer in layers
    )


class StackGenerator(Stack, GeneratorDesign):
    """A generator said layer by layer.

    Labels are appended to the latents, or scale every batch norm, or both as one embedding: everywhere.
    Latents always come first, and may scale every batch norm, too.

    Source: the embedding, Brock et al. 2018, section 3.
    """

    kind: Literal["stack"] = "stack"
    layers: UpLayers = Field(min_length=1)
    output: Output = Output()
    labels: Literal["ignored", "batch_norm", "everywhere", "concatenated"] = "ignored"
    latents: Literal["first", "everywhere"] = "first"

    def build(self, image: ImageShape, latent_dim: int) -> Generator:
        """Make the net for one shape of image; RecipeError where the layers end in another."""
        num_classes = image.num_classes if self.labels != "ignored" else 0
        takes = _Takes(
            self.labels in ("concatenated", "everywhere"),
            self.labels in ("batch_norm", "everywhere"),
            self.latents == "everywhere",
        )
        named = min(num_classes, 1) * _EMBEDDED if self.labels == "everywhere" else num_classes
        inputs = latent_dim + named * takes.labels_first
        condition = named * takes.labels_everywhere + latent_dim * takes.latents_everywhere
        layers = _sized(self.layers, self.output, image)
        made, shape = _build(self, layers, (inputs,), "generator.layers", condition)
        if condition and not any(isinstance(part, ClassBatchNorm) for part in made):
            what = f'labels = "{self.labels}"' if takes.labels_everywhere else 'latents = "everywhere"'
            raise RecipeError(f"generator.{what}: no layer has batch norm; set generator.batch_norm=true")
        if len(shape) != 3:
            raise RecipeError("generator.layers: no layer makes maps; give the first dense layer a size")
        last, shape = _output(shape, image.channels, self.output, self.bias)
        if shape[1] != image.size:
            raise RecipeError(
                f"generator.layers: these make images of {shape[1]} x {shape[1]}, but the data has {image}; "
                f"change a dense size or a stride, or set data.size={shape[1]}"
            )
        whole = nn.Sequential(*made, *last, activation(self.output.activation))
        low = 0.0 if self.output.activation == "sigmoid" else -1.0
        return _Made(whole, latent_dim, num_classes, takes, low)


class StackDiscriminator(Stack, DiscriminatorDesign):
    """A discriminator said layer by layer, then one unit; labels by a class head or a projection."""

    kind: Literal["stack"] = "stack"
    activation: Activation = "leaky_relu"
    front: Layers = Field(default=(), description="layers before the others, for a recipe that extends one")
    layers: Layers = Field(min_length=1)
    labels: Labels = "ignored"
    san: bool = Field(default=False, description="a last layer as in slicing adversarial networks")

    def build(self, image: ImageShape) -> nn.Module:
        shape: Shape = (image.channels, image.size, image.size)
        front, shape = _build(self, self.front, shape, "discriminator.front")
        layers, shape = _build(self, self.layers, shape, "discriminator.layers")
        head = SanHead if self.san else Head
        return _Judging(
            nn.Sequential(*front, *layers, nn.Flatten()),
            head(math.prod(shape), self.labels, image.num_classes),
        )


class _Takes(NamedTuple):
    """Where a generator takes what it is given: in front, or at every batch norm."""

    labels_first: bool
    labels_everywhere: bool
    latents_everywhere: bool


class _Made(Generator):
    def __init__(
        self, layers: nn.Sequential, latent_dim: int, num_classes: int, takes: _Takes, low: float
    ) -> None:
        super().__init__(latent_dim, num_classes)
        self.layers = layers
        self.takes = takes
        self.embedding: nn.Parameter | None = None
        if takes.labels_first and takes.labels_everywhere and num_classes:
            # No layer, so that no initialiser makes it small beside the latents.
            self.embedding = nn.Parameter(torch.randn(num_classes, _EMBEDDED))
        self.low = low
        self.kept = {layer.behind for layer in layers if isinstance(layer, Excitation)}

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        named: list[Tensor] = []
        if self.embedding is not None:
            named = [self.embedding[labels]]
        elif self.num_classes:
            named = [one_hot(labels, self.num_classes, latents)]
        maps = torch.cat([latents, *named], 1) if self.takes.labels_first else latents
        everywhere = [latents] if self.takes.latents_everywhere else []
        everywhere += named if self.takes.labels_everywhere else []
        condition = torch.cat(everywhere, 1) if everywhere else None
        kept: dict[int, Tensor] = {}
        for place, layer in enumerate(self.layers):
            if isinstance(layer, Excitation):
                maps = layer(maps, kept[layer.behind])
            else:
                maps = layer(maps, condition) if isinstance(layer, ClassBatchNorm) else layer(maps)
            if place in self.kept:
                kept[place] = maps
        return maps


class _Judging(nn.Module):
    def __init__(self, layers: nn.Sequential, head: Head) -> None:
        super().__init__()
        self.layers = layers
        self.head = head

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Logits:
        return self.head(self.layers(images), labels)
