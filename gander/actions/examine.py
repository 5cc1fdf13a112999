"""Small experiments on a run's newest checkpoint, which tell causes apart that look alike in a log."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import get_total_norm

from gander.doctor.finding import Evidence
from gander.engine.adam import Adam
from gander.engine.machine import choose_machine, settings_restored
from gander.engine.streams import Streams, global_streams_kept
from gander.errors import DataError, RecipeError, UsageError
from gander.generation.source import real_images
from gander.recipe.read import read_recipe
from gander.run import Pretrained, Run, find_run
from gander.techniques.latents import Normal, Uniform
from gander.techniques.slots import Logits
from gander.training.checkpoint import read_checkpoint
from gander.training.learner import Learner
from gander.training.probes.answers import area
from gander.training.probes.closeness import energy
from gander.training.probes.scene import References, make_fakes, make_scene
from gander.training.state import restore_trainer
from gander.training.trainer import Trainer, build_nets, image_shape

_IMAGES, _BATCH = 512, 64
_TRIALS, _MOVE = 10, 1e-3  # of a plain step, over the weights
_RATE = 1e-3  # of a fresh D: high, for it has few steps


@dataclass(frozen=True)
class Experiment:
    """What one experiment saw, and how much it speaks for and against causes.

    Args:
        log_odds: of each cause, to be added to what else is known of it; below 0 it speaks against.
    """

    name: str
    says: str
    evidence: tuple[Evidence, ...]
    log_odds: Mapping[str, float] = field(default_factory=dict)


@settings_restored()
def examine(run: Run | str | Path, steps: int = 100) -> list[Experiment]:
    """Make all experiments that a run's nets allow; its directory stays as it is.

    Args:
        run: a run, its name or path, for its newest checkpoint.
        steps: of the fresh discriminators' trainings.
    Raises: CheckpointError where there is none, DataError where the data are others than the run's.
    """
    parent = run if isinstance(run, Run) else find_run(str(run))
    if isinstance(parent, Pretrained):
        raise UsageError(f"{parent.name}: holds a generator alone, and examined are both nets")
    subject = _Subject(parent)
    with global_streams_kept(subject.machine.device):
        torch.manual_seed(0)
        return [
            *_fresh_discriminators(subject, steps),
            *_batch_norm_modes(subject),
            *_signs(subject),
            *_averaged(subject),
            *_other_latents(subject),
        ]


def log_odds_of(experiments: Sequence[Experiment]) -> dict[str, float]:
    """Add up what experiments say of each cause."""
    total: Counter[str] = Counter()
    for experiment in experiments:
        total.update(experiment.log_odds)
    return dict(total)


class _Subject:
    """A run's training as it was at its newest checkpoint; every experiment gets a copy of its own."""

    def __init__(self, run: Run) -> None:
        env, self.recipe = run.env(), read_recipe(run).patched({"engine.compiled": "off"})
        self.checkpoint, images = read_checkpoint(run, None), real_images(run)
        if images.fingerprint != env["data"]["fingerprint"]:
            raise DataError(f"{images.source}: is not the data this run began with", hint="put the data back")
        self.machine, self.stage = choose_machine(self.recipe.engine), self.checkpoint.progress["stage"]
        self.images = images.only(self.stage) if self.recipe.train.per_class else images

    @cached_property
    def references(self) -> References:
        return References(self.trainer(), _IMAGES)

    def trainer(self) -> Trainer:
        trainer = Trainer(self.recipe, self.images, self.machine, self.stage)
        own = {name: t for name, t in self.checkpoint.tensors.items() if not name.startswith("done.")}
        restore_trainer(trainer, own, *(self.checkpoint.progress[key] for key in ("images", "steps")))
        return trainer

    def distance(
        self, trainer: Trainer, net: nn.Module, training: bool, latents: Tensor | None = None
    ) -> float:
        """Give how far a net's images are from real ones; about 1 is as far as real images are."""
        streams, n = Streams(0, 0, self.machine.device), self.references.n
        own = trainer.parts.latents(n, streams.latents("examine"))
        net.train(training)
        fakes = make_fakes(trainer, streams, own if latents is None else latents, self.references.labels, net)
        real, other = self.references.halves
        return float(energy(self.references.features(fakes)[: len(real)], real) / energy(real, other))


def _fresh_discriminators(subject: _Subject, steps: int) -> Iterator[Experiment]:
    trainer, shape = subject.trainer(), image_shape(subject.recipe, subject.images)
    auc = _auc(subject, trainer, trainer.d.net)
    plain = _learned(subject, trainer, _PlainD(shape.channels, shape.size), steps)
    same = math.nan
    if subject.recipe.features is None:
        same = _learned(subject, trainer, build_nets(subject.recipe, shape)[1], steps)
    evidence = [
        Evidence("examine/auc", auc, "as that of a fresh D"),
        Evidence("examine/auc_fresh", plain, "as the run's own"),
        Evidence("examine/auc_fresh_same", same, "as the run's own"),
    ]
    name, weak = (
        "fresh-discriminator",
        ("d-too-weak", "d-rate-low", "d-frozen", "penalty-heavy", "d-too-small"),
    )
    if auc > 0.75:
        says, odds = "the run's D tells its fakes from real images itself", dict.fromkeys(weak, -1.0)
    elif plain < 0.7:
        says, odds = "a fresh D cannot tell the fakes from real images either", dict.fromkeys(weak, -2.0)
    elif plain < 0.85:
        says, odds = "a fresh D tells some fakes from real images, the run's D hardly any", {}
    else:
        says, odds = "a fresh D soon tells the fakes from real images, and the run's D does not", {}
        odds = dict.fromkeys(weak, 2.0)
        if same == same:
            odds["d-too-small"] = 3.0 if same < 0.75 else -1.0
    yield Experiment(name, says, tuple(each for each in evidence if each.value == each.value), odds)


class _PlainD(nn.Module):
    """A small net that owes nothing to the recipe, which may be what is wrong."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(32, 64, 4, 2, 1), nn.LeakyReLU(0.2)
        )
        self.last = nn.Linear(64 * (size // 4) ** 2, 1)

    def forward(self, images: Tensor, labels: Tensor | None) -> Logits:
        return Logits(self.last(self.layers(images).flatten(1)).squeeze(1))


def _learned(subject: _Subject, trainer: Trainer, net: nn.Module, steps: int) -> float:
    """Train a net by plain logistic loss against the frozen G; give its AUC on other images."""
    net = net.to(subject.machine.device).train()
    weights, streams = [*net.parameters()], Streams(1, 0, subject.machine.device)
    optimiser = Adam(weights)
    for step in range(steps):
        streams.begin(step)
        real, labels = trainer.batches.take(step * _BATCH, _BATCH)
        latents = trainer.parts.latents(_BATCH, streams.latents("examine"))
        fake = make_fakes(trainer, streams, latents, labels)
        scores = [net(images, labels).total() for images in (real, fake)]
        loss = F.softplus(-scores[0]).mean() + F.softplus(scores[1]).mean()
        loss.backward(inputs=weights)  # type: ignore[no-untyped-call]
        optimiser.step(_RATE, 0.5, 0.999)
    return _auc(subject, trainer, net)


@torch.no_grad()
def _auc(subject: _Subject, trainer: Trainer, net: nn.Module) -> float:
    held = subject.references
    real, labels = (
        (held.held_out, held.held_out_labels) if len(held.held_out) >= 32 else (held.real, held.labels)
    )
    streams = Streams(2, 0, subject.machine.device)
    latents = trainer.parts.latents(len(real), streams.latents("examine"))
    fake = make_fakes(trainer, streams, latents, labels)
    return float(area(net(real, labels).total(), net(fake, labels).total()))


def _batch_norm_modes(subject: _Subject) -> Iterator[Experiment]:
    trainer = subject.trainer()
    nets = {"latest": trainer.generator, "average": trainer.average}
    if not any(isinstance(module, _BatchNorm) for module in trainer.generator.modules()):
        return
    pairs = {
        name: [subject.distance(trainer, net, training) for training in (False, True)]
        for name, net in nets.items()
        if net is not trainer.generator or name == "latest"
    }
    worst = max(kept / of_batch for kept, of_batch in pairs.values())
    evidence = [
        Evidence(f"examine/distance_{name}_{mode}", value, f"within a fifth of {other}")
        for name, values in pairs.items()
        for mode, value, other in zip(("kept", "batch"), values, ("the batch's", "the kept"), strict=True)
    ]
    says = f"with the statistics that batch norm kept, images are {worst:.2f} times as far from real ones"
    yield Experiment("batch-norm-mode", says, tuple(evidence), {"batch-norm-statistics": _weigh(worst)})


class _PlainStep:
    """One plain gradient step of a fixed length, in place of Adam, whose moments remember other batches."""

    def __init__(self, learner: Learner) -> None:
        self.weights, self.state = learner.weights, dict[Tensor, dict[str, Tensor]]()

    @torch.no_grad()
    def step(self, lr: float, beta1: float, beta2: float) -> None:
        moved = [weight for weight in self.weights if weight.grad is not None]
        gradients = [weight.grad for weight in moved if weight.grad is not None]
        length = float(get_total_norm(gradients))
        rate = _MOVE * float(get_total_norm(moved)) / length if length else 0.0
        for weight, gradient in zip(moved, gradients, strict=True):
            weight.sub_(rate * gradient)
            weight.grad = None


def _signs(subject: _Subject) -> Iterator[Experiment]:
    trainer = subject.trainer()
    with suppress(RecipeError):  # a class head has a loss that must stay
        trainer.apply(["penalties=[]"])
    moves = {"g": (trainer.g, trainer.step_g), "d": (trainer.d, trainer.step_d)}
    aims = {"g": "raises D's scores of the fakes", "d": "raises real scores above fake ones"}
    weights = {"g": {"wrong-sign": 1.0}, "d": {"labels-flipped": 1.0, "wrong-sign": 0.5}}
    references = References(trainer, _BATCH)
    for side, (learner, move) in moves.items():
        learner.optimiser = _PlainStep(learner)  # type: ignore[assignment]
        kept = [weight.detach().clone() for weight in learner.weights]
        right = wrong = 0
        for _ in range(_TRIALS):
            before = _level(trainer, references, side)
            move()
            change = _level(trainer, references, side) - before
            right, wrong = right + (change > 0), wrong + (change < 0)
            with torch.no_grad():
                torch._foreach_copy_(learner.weights, kept)  # type: ignore[arg-type]
            trainer.after()
        odds = 4.0 if wrong >= _TRIALS - 1 else -2.0 if right >= _TRIALS - 1 else 0.0
        step = f"a plain step of {side.upper()} {aims[side]}"
        says = f"{step} in {right} of {_TRIALS} trials, and lowers them in {wrong}"
        share = Evidence(f"examine/sign_{side}", right / _TRIALS, "1")
        spoken = {cause: weight * odds for cause, weight in weights[side].items()}
        yield Experiment(f"sign-{side}", says, (share,), spoken)


def _level(trainer: Trainer, references: References, side: str) -> float:
    scene = make_scene(trainer, references)
    real, fake = (float(seen.logits.total().detach().mean()) for seen in (scene.real, scene.fake))
    return fake if side == "g" else real - fake


def _averaged(subject: _Subject) -> Iterator[Experiment]:
    trainer = subject.trainer()
    if trainer.average is trainer.generator:
        return
    latest, average = (subject.distance(trainer, net, True) for net in (trainer.generator, trainer.average))
    evidence = (
        Evidence("examine/distance", latest, "about that of the average"),
        Evidence("examine/distance_average", average, "at most that of the latest weights"),
    )
    says = f"the averaged G's images are {average / latest:.2f} times as far from real ones as the latest G's"
    yield Experiment("average", says, evidence, {"average-slow": _weigh(average / latest)})


def _other_latents(subject: _Subject) -> Iterator[Experiment]:
    trainer, n = subject.trainer(), subject.references.n
    dim, streams = subject.recipe.latents.dim, Streams(3, 0, subject.machine.device)
    own = subject.distance(trainer, trainer.generator, True)
    others = {
        kind.kind: subject.distance(trainer, trainer.generator, True, kind(n, streams.latents(kind.kind)))
        for kind in (Normal(dim=dim), Uniform(dim=dim))
        if kind.kind != subject.recipe.latents.kind
    }
    name, best = min(others.items(), key=lambda item: item[1])
    evidence = (
        Evidence("examine/distance", own, "at most that of other latents"),
        Evidence(f"examine/distance_{name}", best, "at least that of the run's own latents"),
    )
    says = (
        f"from {name} latents, images are {best / own:.2f} times as far from real ones as from the run's own"
    )
    yield Experiment("latents", says, evidence, {"latent-mismatch": _weigh(own / best)})


def _weigh(ratio: float) -> float:
    """Turn a ratio of distances, which vary by a fifth between equal nets, into log-odds."""
    return round(max(-2.0, min(3.0, 4 * math.log(max(ratio, 1e-9) / 1.2))), 3)
