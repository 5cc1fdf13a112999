"""The layers that a recipe can name, and their settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gander.nets.blocks import Activation
from gander.schedule import Settings

Width = Annotated[int, Field(ge=1, le=4096)]
Kernel = Annotated[int, Field(ge=1, le=15)]
Stride = Annotated[int, Field(ge=1, le=4)]


class Weighted(Settings):
    """What layers with weights share; unset values are the net's own."""

    activation: Activation | None = None
    batch_norm: bool | None = None


class Dense(Weighted):
    """A fully connected layer; with `size` its output becomes `width` maps of size x size.

    In a generator, "auto" is the size that the layers behind it enlarge to that of the images.
    """

    kind: Literal["dense"] = "dense"
    width: Width
    size: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] | None = None


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


class PixelShuffle(Settings):
    """Every factor x factor maps become one, `factor` times as large: large maps at a small size's cost.

    Source: Shi et al. 2016, section 3.2.
    """

    kind: Literal["pixel_shuffle"] = "pixel_shuffle"
    factor: int = Field(default=2, ge=2, le=8)


class PixelUnshuffle(Settings):
    """Every factor x factor places become as many maps of one place each."""

    kind: Literal["pixel_unshuffle"] = "pixel_unshuffle"
    factor: int = Field(default=2, ge=2, le=8)


class MinibatchDeviation(Settings):
    """One map more, which says how much the images of a group differ; for discriminators."""

    kind: Literal["minibatch_deviation"] = "minibatch_deviation"
    group: int = Field(default=4, ge=2, le=64, description="images")


class Excite(Settings):
    """Scale the maps by what those behind an earlier layer, counted from 0, say; for generators."""

    kind: Literal["excite"] = "excite"
    behind: int = Field(ge=0, le=63, description="place of the layer")


class Drop(Settings):
    """Dropout with this rate."""

    kind: Literal["dropout"] = "dropout"
    rate: float = Field(default=0.4, ge=0, lt=1)


Resized = Upsample | MaxPool | PixelShuffle | PixelUnshuffle
Layer = Annotated[
    Dense | Conv | Transposed | Resized | MinibatchDeviation | Drop, Field(discriminator="kind")
]
Layers = Annotated[tuple[Layer, ...], Field(strict=False, max_length=64)]
UpLayer = Annotated[
    Dense | Conv | Transposed | Resized | MinibatchDeviation | Drop | Excite, Field(discriminator="kind")
]
UpLayers = Annotated[tuple[UpLayer, ...], Field(strict=False, max_length=64)]


class Output(Settings):
    """The last layer of a generator: as many filters as the data has channels, and the range of the images.

    `tanh` and `linear` make images in [-1, 1], `sigmoid` in [0, 1]; the data are scaled alike.
    `pixel_shuffle` makes stride x stride times as many maps, and the images of those.
    """

    kind: Literal["conv", "transposed", "pixel_shuffle"] = "conv"
    kernel: Kernel = 3
    stride: Stride = 1
    activation: Literal["tanh", "sigmoid", "linear"] = "tanh"
