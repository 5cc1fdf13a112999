"""What holds for every net that a recipe can name."""

import pytest
import torch

from gander.errors import RecipeError
from gander.nets.blocks import ImageShape
from gander.nets.designs import DiscriminatorDesign, GeneratorDesign

STACK_G = {"kind": "stack", "layers": [{"kind": "dense", "width": 8, "size": 16}]}
STACK_D = {"kind": "stack", "layers": [{"kind": "conv", "width": 8, "stride": 2}]}
RESIDUAL = {"kind": "residual", "width": 8}
R3 = {"kind": "r3", "widths": [16, 16, 8], "group": 8}
GENERATORS = {
    "stack": (STACK_G, "concatenated"),
    "stack, scaled": (STACK_G | {"batch_norm": True}, "batch_norm"),
    "residual": (RESIDUAL, "batch_norm"),
    "residual, embedded, chunks": (RESIDUAL | {"embedding": 4, "chunks": True}, "batch_norm"),
    "r3": (R3, "concatenated"),
}
DISCRIMINATORS = {
    "stack": STACK_D,
    "stack, san": STACK_D | {"san": True},
    "residual": RESIDUAL,
    "residual, san": RESIDUAL | {"san": True},
    "r3": R3,
}
IMAGE = ImageShape(channels=3, size=16, num_classes=4)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def generator(settings, labels, image=IMAGE):
    return GeneratorDesign.choose(settings | {"labels": labels}).build(image, 8)


def discriminator(settings, labels="ignored", image=IMAGE):
    return DiscriminatorDesign.choose(settings | {"labels": labels}).build(image)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("settings", [settings for settings, _ in GENERATORS.values()], ids=GENERATORS)
def test_a_generator_without_labels_makes_images_of_the_datas_shape(settings, channels):
    net = generator(settings, "ignored", ImageShape(channels, 16, 4))
    assert net(torch.randn(5, 8)).shape == (5, channels, 16, 16)
    assert (net.latent_dim, net.num_classes) == (8, 0)


@pytest.mark.parametrize(("settings", "labels"), GENERATORS.values(), ids=GENERATORS)
def test_a_generator_with_labels_makes_other_images_of_another_class(settings, labels):
    net = generator(settings, labels).eval()
    latents = torch.randn(1, 8).expand(4, -1)
    made = net(latents, torch.tensor([0, 0, 1, 3]))
    assert net.num_classes == 4
    torch.testing.assert_close(made[0], made[1])
    assert (made[0] - made[2]).abs().max() > 1e-3
    assert (made[2] - made[3]).abs().max() > 1e-3


@pytest.mark.parametrize(("settings", "labels"), GENERATORS.values(), ids=GENERATORS)
def test_every_latent_matters(settings, labels):
    net = generator(settings, labels).eval()
    latents = torch.randn(1, 8, requires_grad=True)
    net(latents, torch.tensor([1])).square().sum().backward()
    assert latents.grad.all()


@pytest.mark.parametrize("labels", ["ignored", "head", "projected"])
@pytest.mark.parametrize("settings", DISCRIMINATORS.values(), ids=DISCRIMINATORS)
def test_a_discriminator_gives_a_score_an_image_and_uses_labels_as_it_is_told(settings, labels):
    net, images = discriminator(settings, labels), torch.randn(1, 3, 16, 16).expand(2, -1, -1, -1)
    logits = net(images, torch.tensor([0, 3]))
    same, other = logits.score.tolist()
    classes = logits.classes
    assert (abs(same - other) > 1e-4) == (labels == "projected")
    assert (classes is not None) == (labels == "head")
    if classes is not None:
        assert classes.shape == (2, 4)


@pytest.mark.parametrize("settings", [settings for name, settings in DISCRIMINATORS.items() if name != "r3"])
def test_an_embedding_gives_the_cosines_of_its_direction_with_those_of_the_classes(settings):
    net = discriminator(settings, "embedded")
    logits = net(torch.randn(2, 3, 16, 16), torch.tensor([0, 3]))
    places = net.head.proxies.places.weight
    torch.testing.assert_close(logits.embedding.norm(dim=1), torch.ones(2))
    cosines = torch.cosine_similarity(logits.embedding[:, None], places, dim=2)
    torch.testing.assert_close(logits.classes, cosines)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (
            lambda: generator(RESIDUAL | {"blocks": 5}, "ignored"),
            "generator.blocks = 5: 16 pixels cannot be halved so often; up to 3 fit",
        ),
        (
            lambda: discriminator(RESIDUAL | {"halvings": 4}),
            "discriminator.halvings = 4: 16 pixels cannot be halved so often; up to 3 fit",
        ),
        (
            lambda: discriminator(RESIDUAL, image=ImageShape(3, 9)),
            "9 pixels cannot be halved so often; no number fits; set data.size=32",
        ),
        (
            lambda: generator(RESIDUAL | {"chunks": True, "blocks": 2}, "ignored"),
            "latents.dim = 8: generator.chunks needs a multiple of 3, such as 9",
        ),
        (
            lambda: generator(R3 | {"widths": [16] * 5}, "ignored"),
            "generator.widths = [16, 16, 16, 16, 16]: 5 sizes do not lead to 16; each width after the first "
            "stands for a doubling, and the smallest size is 2 or more",
        ),
        (
            lambda: discriminator(R3 | {"widths": [12, 16], "group": 16}),
            "discriminator.widths: twice 12 is no multiple of discriminator.group = 16",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_refused_with_what_to_change(build, says):
    with pytest.raises(RecipeError) as caught:
        build()
    assert says in str(caught.value)
    assert len(caught.value.problems) == 1
