"""The training step: who moves when, on which images, and what stops it."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.nn.utils import parametrize
from torch.utils._python_dispatch import TorchDispatchMode

from gander.data.batches import Batches
from gander.data.images import Images
from gander.engine.machine import Machine
from gander.engine.streams import Streams
from gander.errors import NumericsError
from gander.patch import apply_patch
from gander.recipe.read import build_recipe
from gander.techniques.slots import View
from gander.training.learner import Learner
from gander.training.trainer import Trainer

CPU = torch.device("cpu")
LINEAR_D = {
    "kind": "stack",
    "activation": "linear",
    "layers": [{"kind": "conv", "width": 1, "kernel": 1}],
}
TREE = {
    "latents": {"kind": "normal", "dim": 4},
    "generator": {"kind": "stack", "layers": [{"kind": "dense", "width": 2, "size": 8}]},
    "discriminator": LINEAR_D,
    "train": {"images": 100, "batch": 4, "g_lr": 0.01, "d_lr": 0.01},
}


def trainer(**edits):
    """Make a tiny trainer; edits write dots as two underscores."""
    patch = {path.replace("__", "."): value for path, value in edits.items()}
    return Trainer(build_recipe(apply_patch(TREE, patch)), drawn(), Machine(CPU, "float32", 1))


def drawn():
    """Sixteen images of two classes."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 1, 8, 8), np.uint8)
    return Images(pixels, np.arange(16) % 2, ("a", "b"), "", "drawn")


def step(made, reals=None):
    """Make one step on these images."""
    made.batches = reals or Reals()
    made.step()


class Reals(Batches):
    """Sixteen drawn images that remember which were asked for, and may hold a broken one."""

    def __init__(self, broken=None):
        super().__init__(drawn(), 0, CPU)
        self.taken, self.broken = [], broken

    def take(self, position, count):
        self.taken.append((position, count))
        images, labels = super().take(position, count)
        if self.broken is not None:
            images[0, 0, 0, 0] = self.broken
        return images, labels


def weights(net):
    return [weight.detach().clone() for weight in net.parameters()]


def moved(before, net):
    return any(not torch.equal(old, new) for old, new in zip(before, net.parameters(), strict=True))


@pytest.fixture
def updates(monkeypatch):
    """Record every update: whose it is, who moved since the last, and the other net's gradients."""
    seen = []

    def watched(player, clock, train, update=Learner.update):
        other = players["d" if player.side == "g" else "g"]
        seen.append(
            {
                "side": player.side,
                "other frozen": not any(weight.requires_grad for weight in other.net.parameters()),
                "other has gradients": any(weight.grad is not None for weight in other.net.parameters()),
                "moved before": {side for side in players if moved(latest[side], players[side].net)},
            }
        )
        update(player, clock, train)
        seen[-1]["moved"] = {side for side in players if moved(latest[side], players[side].net)}
        latest.update({side: weights(players[side].net) for side in players})

    players, latest = {}, {}

    def watch(made):
        players.update(g=made.g, d=made.d)
        latest.update({side: weights(players[side].net) for side in players})
        monkeypatch.setattr(Learner, "update", watched)
        return seen

    return watch


FLAVOURS = {
    "joint": ({}, "dg"),
    "separate": ({"train__d_update": "separate"}, "ddg"),
    "three d steps": ({"train__d_steps": 3}, "dddg"),
    "separate, two d steps": ({"train__d_update": "separate", "train__d_steps": 2}, "ddddg"),
    "relativistic with slopes": (
        {"objective": "relativistic", "penalties": [{"kind": "r1"}, {"kind": "r2"}]},
        "dg",
    ),
    "class head": (
        {
            "discriminator__labels": "head",
            "generator__labels": "concatenated",
            "penalties": [{"kind": "auxiliary_classifier"}],
        },
        "dg",
    ),
}


@pytest.mark.parametrize(("edits", "sides"), FLAVOURS.values(), ids=FLAVOURS)
def test_each_update_moves_its_own_net_only_and_leaves_no_gradient(updates, edits, sides):
    made = trainer(**edits)
    seen, reals = updates(made), Reals()
    for _ in range(2):
        step(made, reals)
    assert "".join(update["side"] for update in seen) == sides * 2
    for update in seen:
        assert update["other frozen"]
        assert not update["other has gradients"]
        assert update["moved before"] == set()
        assert update["moved"] == {update["side"]}
    for player in (made.g, made.d):
        assert all(weight.grad is None for weight in player.net.parameters())
        assert all(weight.requires_grad for weight in player.net.parameters())
        made_updates = {int(state["step"]) for state in player.optimiser.state.values()}
        assert made_updates == {2 * sides.count(player.side)}


@pytest.mark.parametrize(
    ("edits", "taken", "shown"),
    [
        ({}, [(0, 4), (4, 4)], 8),
        ({"train__d_update": "separate"}, [(0, 2), (2, 2)], 4),
        ({"train__d_steps": 2}, [(0, 4), (4, 4), (8, 4), (12, 4)], 16),
        ({"train__d_steps": 2, "train__d_update": "separate"}, [(0, 2), (2, 2), (4, 2), (6, 2)], 8),
    ],
    ids=["joint", "separate", "two d steps", "separate, two d steps"],
)
def test_the_clock_counts_real_images_and_says_which_come_next(edits, taken, shown):
    made, reals = trainer(**edits), Reals()
    for _ in range(2):
        step(made, reals)
    assert reals.taken == taken
    assert (made.clock.images, made.clock.steps) == (shown, 2)


SHARED = {
    "batch norm, class head": {
        "discriminator__layers": [{"kind": "conv", "width": 2, "kernel": 3, "batch_norm": True}],
        "discriminator__bias": False,  # in front of batch norm its slope is nothing but rounding
        "discriminator__activation": "leaky_relu",
        "discriminator__labels": "head",
        "generator__labels": "concatenated",
        "penalties": [{"kind": "auxiliary_classifier"}],
    },
    "slopes, spectral norm": {
        "discriminator__layers": [{"kind": "conv", "width": 2, "kernel": 3}],
        "discriminator__activation": "silu",
        "rewires__discriminator": [{"kind": "spectral_norm"}],
        "penalties": [{"kind": "r1"}, {"kind": "r2"}],
        "objective": "relativistic",
    },
}


@pytest.mark.parametrize("edits", SHARED.values(), ids=SHARED)
def test_shared_fakes_move_each_net_by_its_own_loss_against_the_other_as_it_was(edits):
    made, reals = trainer(train__d_update="shared", **edits), Reals()
    g, d = copy.deepcopy(made.generator), copy.deepcopy(made.d.net)
    (z,), (real, labels) = latents(made, 4), reals.take(0, 4)
    classes = labels if "penalties" in edits and len(edits["penalties"]) == 1 else None
    with parametrize.cached():
        real, fake = real.requires_grad_(), g(z, classes)
        on_real, on_fake = d(real, labels), d(fake, labels)
        if classes is None:
            d_loss = F.softplus(on_fake.score - on_real.score)
            g_loss = F.softplus(on_real.score - on_fake.score)
            for score, images in ((on_real.score, real), (on_fake.score, fake)):
                (slope,) = torch.autograd.grad(score.sum(), images, create_graph=True)
                d_loss = d_loss + slope.flatten(1).square().sum(1) / 2
        else:
            told = F.cross_entropy(on_fake.classes, labels, reduction="none")
            d_loss = F.softplus(-on_real.score) + F.softplus(on_fake.score) + told
            d_loss = d_loss + F.cross_entropy(on_real.classes, labels, reduction="none")
            g_loss = F.softplus(-on_fake.score) + told
    by_g = torch.autograd.grad(g_loss.mean(), [*g.parameters()], retain_graph=True)
    by_d = torch.autograd.grad(d_loss.mean(), [*d.parameters()])
    for net, gradients in ((g, by_g), (d, by_d)):
        for weight, gradient in zip(net.parameters(), gradients, strict=True):
            weight.grad = gradient
        torch.optim.Adam(net.parameters(), lr=0.01, betas=(0.5, 0.999)).step()
    step(made, reals)
    for net, moved in ((g, made.generator), (d, made.d.net)):
        for name, weight in moved.named_parameters():
            torch.testing.assert_close(weight, dict(net.named_parameters())[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("update", "norms"), [("joint", 2), ("separate", 3), ("shared", 1)])
def test_a_spectral_norm_is_computed_anew_for_each_update_and_for_none_of_its_looks(update, norms):
    made, computed = trainer(train__d_update=update, rewires__discriminator=[{"kind": "spectral_norm"}]), []
    norm = made.d.net.layers[0].parametrizations.weight[0]
    norm.register_forward_hook(lambda *_: computed.append(1))
    step(made)
    assert len(computed) == norms


@pytest.mark.parametrize("update", ["joint", "separate", "shared"])
def test_no_step_waits_for_a_number(update):
    made = trainer(train__d_update=update, penalties=[{"kind": "r1", "every": 2}])
    made.guard.waits = False  # as on an accelerator
    with _Reads() as reads:
        for _ in range(3):
            step(made)
        assert reads.count == 0
        made.guard.settle()
        assert reads.count == 1


class _Reads(TorchDispatchMode):
    """Counts the numbers that are fetched from tensors: each is a wait for an accelerator."""

    count = 0

    def __torch_dispatch__(self, called, types, args=(), kwargs=None):
        self.count += called is torch.ops.aten._local_scalar_dense.default
        return called(*args, **(kwargs or {}))


@pytest.mark.parametrize(("update", "sizes"), [("joint", [4, 4]), ("separate", [2, 4])])
def test_the_generator_learns_from_a_whole_batch_where_the_discriminator_sees_halves(update, sizes):
    labels = {"generator__labels": "concatenated", "discriminator__labels": "projected"}
    made, seen = trainer(train__d_update=update, **labels), []
    made.generator.register_forward_hook(lambda _, given, out: seen.append((len(given[1]), len(out))))
    step(made)
    assert seen == [(size, size) for size in sizes]


def latents(made, *sizes):
    """Give what D's move of this step draws, and then G's."""
    streams = Streams(made.recipe.seed, 0, CPU)
    sides = zip("dg", sizes, strict=False)
    return [made.recipe.latents(size, streams.latents(f"{side}/latents")) for side, size in sides]


def test_the_relativistic_loss_compares_with_reals_in_both_updates():
    made, reals = trainer(objective="relativistic", train__g_lr=0.0, train__d_lr=0.0), Reals()
    step(made, reals)
    noted = made.stats.means()
    real = made.d.net(reals.take(0, 4)[0]).score
    for name, sign, z in zip(("loss/d", "loss/g"), (1, -1), latents(made, 4, 4), strict=True):
        fake = made.d.net(made.generator(z)).score
        assert noted[name] == pytest.approx(F.softplus(sign * (fake - real)).mean().item(), rel=1e-5)


def test_losses_scores_and_gradients_are_noted_under_their_names():
    made = trainer(penalties=[{"kind": "r1"}])
    step(made)
    assert {*made.stats.means()} == {
        *("loss/d", "loss/g", "score/real", "score/fake", "grad/d", "grad/g", "r1/d")
    }
    made = trainer(train__d_update="separate")
    step(made)
    means = made.stats.means()
    assert {"score/real", "score/fake", "grad/d"} < {*means}
    assert means["loss/d"] == pytest.approx(means["loss/d_real"] + means["loss/d_fake"])


class Double(View):
    """Show images twice as strong."""

    def __call__(self, images, clock):
        return images * 2


def slope_of(net):
    """Give the squared slope of a linear discriminator by its images."""
    images = torch.zeros(1, 1, 8, 8, requires_grad=True)
    net(images).score.sum().backward()
    net.zero_grad()
    return images.grad.square().sum().item()


def test_slopes_reach_the_images_as_they_were_before_the_views():
    made = trainer(penalties=[{"kind": "r1", "weight": 3.0}], train__d_lr=0.0)
    made.parts.views = {"views.double": Double(kind="double")}
    step(made)
    assert made.stats.means()["r1/d"] == pytest.approx(3 / 2 * 4 * slope_of(made.d.net), rel=1e-5)


class Range(View):
    """Note the range of the images shown."""

    def __call__(self, images, clock):
        ranges.append((images.min().item(), images.max().item()))
        return images


ranges = []


def test_views_see_minus_one_to_one_whatever_the_generators_range():
    made = trainer(generator__output={"activation": "sigmoid"})
    made.parts.views = {"views.range": Range(kind="range")}
    shown = []
    made.d.net.register_forward_pre_hook(lambda _, given: shown.append((given[0].min(), given[0].max())))
    ranges.clear()
    step(made, made.batches)
    (low, high), (least, most) = ranges[0], shown[0]  # of real images
    assert (low, high) == pytest.approx((-1, 1), abs=0.05)
    assert (least.item(), most.item()) == pytest.approx((0, 1), abs=0.025)


def test_a_class_head_that_learns_from_reals_alone_says_nothing_of_fakes():
    labels = {"discriminator__labels": "head", "generator__labels": "concatenated"}
    penalties = [{"kind": "auxiliary_classifier", "fakes": False}]
    noted = []
    for update, batch in (("joint", 4), ("separate", 8)):  # both show D four real images
        made = trainer(train__d_update=update, train__batch=batch, penalties=penalties, **labels)
        step(made)
        noted.append(made.stats.means()["auxiliary_classifier/d"])
    assert noted[1] == pytest.approx(noted[0], rel=1e-5)


def test_a_lazy_penalty_is_paid_now_and_then_and_times_as_many():
    made = trainer(penalties=[{"kind": "r2", "weight": 1.0, "every": 3}], train__d_lr=0.0)
    paid = []
    for _ in range(6):
        step(made)
        paid.append(made.stats.means().get("r2/d"))
    once = pytest.approx(3 * slope_of(made.d.net) / 2, rel=1e-5)
    assert paid == [once, None, None, once, None, None]


def test_with_separate_updates_each_penalty_is_paid_where_its_images_are():
    made = trainer(penalties=[{"kind": "r1"}, {"kind": "r2"}], train__d_update="separate", train__d_lr=0.0)
    step(made)
    noted, once = made.stats.means(), pytest.approx(slope_of(made.d.net) / 2, rel=1e-5)
    assert (noted["r1/d"], noted["r2/d"]) == (once, once)


@pytest.mark.parametrize("side", ["g", "d"])
def test_rates_follow_their_ramps(side, monkeypatch):
    made = trainer(**{f"train__{side}_lr": {"from": 0.5, "to": 0.1, "over": 8}})
    optimiser, rates = getattr(made, side).optimiser, []
    monkeypatch.setattr(optimiser, "step", lambda lr, beta1, beta2: rates.append(lr))
    for _ in range(4):
        step(made)
    assert rates == pytest.approx([0.5, 0.3, 0.1, 0.1])


def test_rewires_come_before_and_after_each_update():
    made = trainer(rewires={"discriminator": [{"kind": "clip_weights", "limit": 0.001}]}, train__d_lr=0.5)
    step(made)
    assert all(weight.abs().max() <= 0.001 for weight in made.d.net.parameters())
    still = trainer(rewires={"discriminator": [{"kind": "clip_gradients", "norm": 0.0}]})
    before = weights(still.d.net)
    step(still)
    assert not moved(before, still.d.net)


def test_equal_seeds_make_equal_trainings():
    nets = []
    for _ in range(2):
        made = trainer(views=[{"kind": "diffaugment"}])
        for _ in range(2):
            step(made)
        nets.append([*weights(made.generator), *weights(made.d.net), *weights(made.average)])
    assert all(torch.equal(first, second) for first, second in zip(*nets, strict=True))


def plant(net, name, value):
    dict(net.named_parameters())[name].data.view(-1)[0] = value


BROKEN = {
    "a weight of d": (
        lambda made: plant(made.d.net, "layers.0.weight", torch.nan),
        None,
        "the weight d.layers.0.weight",
    ),
    "a weight of g": (
        lambda made: plant(made.generator, "layers.0.bias", torch.nan),
        None,
        "the weight g.layers.0.bias",
    ),
    "an image": (lambda made: None, torch.nan, "loss/d is not finite"),
    "an endless loss": (
        lambda made: plant(made.d.net, "head.score.bias", torch.inf),
        None,
        "the weight d.head.score.bias",
    ),
    "too steep a slope": (
        lambda made: plant(made.d.net, "head.score.weight", 1e30),
        None,
        "r1/d is not finite",
    ),
}


@pytest.mark.parametrize(("break_it", "pixel", "named"), BROKEN.values(), ids=BROKEN)
def test_a_number_that_is_not_finite_stops_the_step_before_it_reaches_a_weight(break_it, pixel, named):
    made = trainer(penalties=[{"kind": "r1"}])
    step(made)
    break_it(made)
    before = copy.deepcopy([made.generator.state_dict(), made.d.net.state_dict(), made.average.state_dict()])
    with pytest.raises(NumericsError) as caught:
        step(made, Reals(pixel))
    assert named in str(caught.value)
    assert "step 2, after 4 images" in str(caught.value)
    after = [made.generator.state_dict(), made.d.net.state_dict(), made.average.state_dict()]
    for then, now in zip(before, after, strict=True):
        for name, value in then.items():
            torch.testing.assert_close(now[name], value, rtol=0, atol=0, equal_nan=True)
    assert made.clock.steps == 1
