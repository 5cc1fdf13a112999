"""Nets said layer by layer: sizes, ranges, labels, refusals."""

import math

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from gander.errors import RecipeError
from gander.nets.blocks import ClassBatchNorm, ImageShape
from gander.nets.excitation import Excitation
from gander.nets.stack import Layer, Stack, StackDiscriminator, StackGenerator

COLOUR = ImageShape(3, 32, 10)


def layer(**settings):
    return TypeAdapter(Layer).validate_python(settings)


def made(shape, net=Stack(), **settings):  # noqa: B008 - frozen
    """Make a layer and give it with the shape it promises and the shape it keeps to."""
    modules, promised = net.modules(layer(**settings), shape, "layers.0")
    return modules, promised, tuple(nn.Sequential(*modules)(torch.ones(2, *shape)).shape[1:])


@pytest.mark.parametrize("size", [1, 2, 4, 7, 14, 28, 33])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_convolution_divides_the_size_by_its_stride_rounded_up(size, kernel, stride):
    _, promised, kept = made((1, size, size), kind="conv", width=1, kernel=kernel, stride=stride)
    assert promised == kept == (1, math.ceil(size / stride), math.ceil(size / stride))


@pytest.mark.parametrize("size", [1, 4, 7])
@pytest.mark.parametrize(
    ("kernel", "stride"), [(4, 2), (3, 1), (5, 2), (3, 2), (2, 2), (5, 1), (3, 3), (7, 4), (5, 4), (1, 1)]
)
def test_a_transposed_convolution_multiplies_the_size_by_its_stride(size, kernel, stride):
    _, promised, kept = made((1, size, size), kind="transposed", width=1, kernel=kernel, stride=stride)
    assert promised == kept == (1, size * stride, size * stride)


@pytest.mark.parametrize(
    ("settings", "shape", "expected"),
    [
        ({"kind": "dense", "width": 5}, (2, 3, 3), (5,)),
        ({"kind": "dense", "width": 5, "size": 4}, (7,), (5, 4, 4)),
        ({"kind": "upsample", "factor": 3}, (2, 5, 5), (2, 15, 15)),
        ({"kind": "max_pool"}, (2, 7, 7), (2, 3, 3)),
        ({"kind": "pixel_shuffle"}, (12, 5, 5), (3, 10, 10)),
        ({"kind": "pixel_unshuffle", "factor": 3}, (2, 6, 6), (18, 2, 2)),
        ({"kind": "minibatch_deviation"}, (2, 7, 7), (3, 7, 7)),
        ({"kind": "dropout"}, (2, 7, 7), (2, 7, 7)),
    ],
    ids=lambda value: value.get("kind") if isinstance(value, dict) else None,
)
def test_other_layers_keep_their_promise_too(settings, shape, expected):
    assert made(shape, **settings)[1:] == (expected, expected)


def test_an_even_filter_looks_one_place_further_right_and_down():
    net = Stack(activation="linear", bias=False)
    modules, *_ = made((1, 4, 4), net, kind="conv", width=1, kernel=4)
    nn.init.ones_(modules[-2].weight)
    covered = nn.Sequential(*modules)(torch.ones(1, 1, 4, 4))[0, 0]
    side = torch.tensor([3.0, 4.0, 3.0, 2.0])  # places inside the image, as "same" pads one before, two after
    assert torch.equal(covered, side[:, None] * side)


def test_a_layers_own_word_counts_before_the_nets():
    net = Stack(activation="relu", batch_norm=True, momentum=0.8)
    plain, *_ = made((3, 8, 8), net, kind="conv", width=4)
    assert [type(module).__name__ for module in plain] == ["Conv2d", "BatchNorm", "ReLU"]
    assert plain[1].momentum == pytest.approx(0.2)
    own, *_ = made((3, 8, 8), net, kind="conv", width=4, batch_norm=False, activation="leaky_relu")
    assert [type(module).__name__ for module in own] == ["Conv2d", "LeakyReLU"]


def generator(output=None, labels="ignored", size=8, **settings):
    layers = [{"kind": "dense", "width": 4, "size": size}, {"kind": "transposed", "width": 4}]
    return StackGenerator.model_validate(
        {"layers": layers, "output": output or {}, "labels": labels} | settings
    )


def test_unshuffled_places_are_shuffled_back_to_where_they_were():
    image = torch.arange(2 * 36.0).view(1, 2, 6, 6)
    (apart,), *_ = made((2, 6, 6), kind="pixel_unshuffle", factor=3)
    (together,), *_ = made((18, 2, 2), kind="pixel_shuffle", factor=3)
    assert torch.equal(apart(image)[0, 4], image[0, 0, 1::3, 1::3])
    assert torch.equal(together(apart(image)), image)


def test_an_output_of_shuffled_pixels_makes_four_maps_of_half_the_size_for_each_channel():
    output = {"kind": "pixel_shuffle", "stride": 2}
    net = StackGenerator.model_validate(
        {"layers": [{"kind": "dense", "width": 4, "size": 8}], "output": output}
    ).build(ImageShape(3, 16), 8)
    assert [part.out_channels for part in net.modules() if isinstance(part, nn.Conv2d)] == [12]
    assert net(torch.randn(2, 8)).shape == (2, 3, 16, 16)


def test_a_class_scales_and_shifts_what_batch_norm_makes_of_it():
    net = generator(labels="batch_norm", batch_norm=True, activation="linear").build(ImageShape(1, 16, 3), 8)
    norms = [part for part in net.modules() if isinstance(part, ClassBatchNorm)]
    assert len(norms) == 2
    for norm in norms:
        nn.init.zeros_(norm.gain.weight)
        nn.init.zeros_(norm.bias.weight)
    norms[-1].gain.weight.data[:, 2] = 1.0  # the class 2 is twice as strong
    maps = []
    norms[-1].register_forward_hook(lambda module, given, made: maps.append(made))
    latents = torch.randn(2, 8).repeat(2, 1)
    net(latents, torch.tensor([0, 1, 2, 2]))
    torch.testing.assert_close(maps[0][2:], 2 * maps[0][:2])


@pytest.mark.parametrize(
    ("name", "low", "data_low"), [("tanh", -1, -1.0), ("sigmoid", 0, 0.0), ("linear", -math.inf, -1.0)]
)
def test_the_output_fills_the_range_that_the_data_are_scaled_to(name, low, data_low):
    torch.manual_seed(0)
    net = generator({"activation": name, "kernel": 5}).build(ImageShape(1, 16), 8)
    images = net(torch.randn(64, 8) * 1000).detach()
    assert images.shape == (64, 1, 16, 16)
    assert (net.low, net.high) == (data_low, 1.0)
    if name != "linear":
        assert float(images.min()) == pytest.approx(low, abs=1e-3)
        assert float(images.max()) == pytest.approx(1, abs=1e-3)
    else:
        assert float(images.max()) > 1


def excited(*behind):
    layers = [{"kind": "dense", "width": 4, "size": 4}, {"kind": "upsample"}, CONV]
    return generator(layers=[*layers, *({"kind": "excite", "behind": place} for place in behind)])


def test_maps_are_scaled_by_what_an_earlier_layer_puts_out():
    net = excited(0, 2).build(ImageShape(1, 8), 8)
    one, two = (part for part in net.modules() if isinstance(part, Excitation))
    seen = []
    for part in (net.layers[2], one, two):  # the first layer's activation
        part.register_forward_hook(lambda _, given, made: seen.append((*given, made)))
    nn.init.zeros_(two.gate[3].weight)
    net(torch.randn(2, 8))
    (*_, small), (maps, ruling, scaled), (_, _, halved) = seen
    assert ruling is small
    assert ruling.shape == (2, 4, 4, 4)
    torch.testing.assert_close(scaled, maps * one.gate(small))
    torch.testing.assert_close(halved, scaled / 2)


def test_front_layers_come_first():
    net = StackDiscriminator.model_validate(
        {"front": [{"kind": "conv", "width": 5}], "layers": [{"kind": "conv", "width": 7}]}
    ).build(COLOUR)
    assert [part.out_channels for part in net.modules() if isinstance(part, nn.Conv2d)] == [5, 7]


CONV = {"kind": "conv", "width": 4}


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (
            lambda: generator(size=7).build(ImageShape(1, 16), 8),
            "make images of 14 x 14, but the data has 1 x 16 x 16; change a dense size or a stride, "
            "or set data.size=14",
        ),
        (
            lambda: generator(layers=[{"kind": "dense", "width": 4}]).build(COLOUR, 8),
            "generator.layers: no layer makes maps; give the first dense layer a size",
        ),
        (
            lambda: generator(layers=[{"kind": "dense", "width": 4}, CONV]).build(COLOUR, 8),
            'generator.layers.1: kind = "conv" needs maps, but what comes in is a plain vector; '
            "give the dense layer before it a size",
        ),
        (
            lambda: generator(layers=[{"kind": "dense", "width": 4, "batch_norm": True}]).build(COLOUR, 8),
            "generator.layers.0.batch_norm = true: batch norm needs maps; give the layer a size",
        ),
        (
            lambda: generator({"kind": "transposed", "kernel": 4, "stride": 1}).build(COLOUR, 8),
            "transposed kernel = 4, stride = 1: the kernel must be at least the stride, "
            "and with stride 1 it must be odd",
        ),
        (
            lambda: StackDiscriminator.model_validate(
                {"layers": [{"kind": "max_pool", "size": 8}] * 2}
            ).build(COLOUR),
            "discriminator.layers.1: max_pool of 8 on maps of 4 leaves nothing",
        ),
        (
            lambda: StackDiscriminator.model_validate({"layers": [{"kind": "pixel_shuffle"}]}).build(COLOUR),
            "discriminator.layers.0: pixel_shuffle of 2 makes one map of 4, but 3 come in; "
            "make the width before it 4",
        ),
        (
            lambda: StackDiscriminator.model_validate(
                {"layers": [{"kind": "pixel_unshuffle", "factor": 3}]}
            ).build(COLOUR),
            "discriminator.layers.0: pixel_unshuffle of 3: maps of 32 are no multiple of it",
        ),
        (
            lambda: excited(3).build(COLOUR, 8),
            "generator.layers.3.behind = 3: must be an earlier layer that makes maps",
        ),
        (
            lambda: generator(labels="batch_norm").build(COLOUR, 8),
            'generator.labels = "batch_norm": no layer has batch norm; set generator.batch_norm=true',
        ),
    ],
)
def test_layers_that_do_not_fit_are_refused_with_what_to_change(build, says):
    with pytest.raises(RecipeError) as caught:
        build()
    assert says in str(caught.value)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("size", [16, 32, 48, 64])
def test_a_size_that_is_left_open_follows_from_the_images(size):
    net = StackGenerator(
        layers=[
            layer(kind="dense", width=3, size="auto"),
            layer(kind="upsample"),
            layer(kind="transposed", width=2),
        ],
        output={"kind": "pixel_shuffle", "stride": 2},
    )
    assert net.build(ImageShape(1, size), 4)(torch.ones(2, 4)).shape == (2, 1, size, size)
    with pytest.raises(RecipeError, match=r"enlarge 8 times.*set data.size=24"):
        net.build(ImageShape(1, 28), 4)
    with pytest.raises(RecipeError, match="in a generator only"):
        StackDiscriminator(layers=net.layers).build(ImageShape(1, 32))


def test_labels_and_latents_may_be_everywhere():
    net = StackGenerator(
        labels="everywhere",
        latents="everywhere",
        batch_norm=True,
        layers=[layer(kind="dense", width=3, size=8)],
    ).build(ImageShape(1, 8, 2), 4)
    assert net.layers[0].in_features == 4 + 32
    (norm,) = (part for part in net.layers if isinstance(part, ClassBatchNorm))
    assert norm.gain.in_features == 4 + 32
    of_two = net.eval()(torch.ones(2, 4), torch.tensor([0, 1]))
    assert not of_two[0].equal(of_two[1])
