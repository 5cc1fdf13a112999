"""How much fakes vary, beside how much real images do, and what of it follows latents and classes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from gander.training.probes.answers import area
from gander.training.probes.scene import ProbeScene, References, make_fakes, spread

if TYPE_CHECKING:
    from gander.training.trainer import Trainer

Numbers = dict[str, Tensor]
_NEAR = 0.25  # of the nearest distance of real images
_STEP = 0.5  # in latents
_KEPT, _PAIRS = 0.75, 10  # of the pairs of a class: the share kept to the next look, and how many are enough


def diversity(trainer: Trainer, scene: ProbeScene) -> Numbers:
    """Give what is 1 for fakes as varied as real images, and the share of fakes that come twice."""
    reals, n = scene.references, scene.references.n
    real = reals.pool_features[:n]
    usual = reals.once("nearest", lambda: _nearest(real).median())
    return {
        "diversity": spread(scene.fake_small) / reals.spread,
        "diversity_features": spread(scene.fake_features) / reals.spread_features,
        "rank": effective_rank(scene.fake_features) / reals.once("rank", lambda: effective_rank(real)),
        "repeats": (_nearest(scene.fake_features) < _NEAR * usual).double().mean(),
    }


def class_diversity(trainer: Trainer, scene: ProbeScene) -> Numbers:
    """Give the ratio of the least varied class, its pairs of fakes gathered over the last looks."""
    reals, labels = scene.references, scene.fake.labels
    classes, real_labels = trainer.generator.num_classes, scene.references.pool_labels
    if not classes or labels is None or real_labels is None:
        return {}
    real = reals.once("pairs", lambda: _pairs(reals.pool_small, real_labels, classes))
    fakes = _pairs(scene.fake_small, labels, classes)
    before = trainer.probed.get("classes")
    if before is not None and before.shape == fakes.shape:
        fakes = fakes + _KEPT * before.to(fakes)
    trainer.probed["classes"] = fakes
    ratios = (fakes[0] / fakes[1]) / (real[0] / real[1])
    enough = (fakes[1] >= _PAIRS) & (real[1] >= _PAIRS)
    return {"diversity_class": ratios[enough].min()} if bool(enough.any()) else {}


def copies(trainer: Trainer, scene: ProbeScene) -> Numbers:
    """Give Mann and Whitney's z of the way to the nearest shown image, fakes' against held-out images'.

    Source: Meehan et al. 2020, section 3; without the paper's cells.
    """
    reals = scene.references
    if scene.held_out is None:
        return {}
    held_out = reals.held_out_features
    theirs = reals.once("ways", lambda: torch.cdist(held_out, reals.pool_features).amin(1))
    ours = torch.cdist(scene.fake_features, reals.pool_features).amin(1)
    n, m = len(ours), len(theirs)
    return {"copies": (area(ours, theirs) - 0.5) * math.sqrt(12 * n * m / (n + m + 1))}


def steepness(trainer: Trainer, scene: ProbeScene) -> Numbers:
    """Give how far images move for a small step of the latents, over the deviation of real images."""
    latents, reals = scene.scene.latents, scene.references
    assert latents is not None
    step = torch.randn(latents.shape, generator=scene.streams.latents("probe/step"), device=latents.device)
    step *= _STEP / step.norm(dim=1, keepdim=True)
    moved = reals.small(make_fakes(trainer, scene.streams, latents + step, scene.fake.labels))
    usual = (reals.pool_small - reals.pool_small.mean(0)).norm(dim=1).square().mean().sqrt()
    return {"steepness": (moved - scene.fake_small).norm(dim=1).mean() / _STEP / usual}


def condition(trainer: Trainer, scene: ProbeScene) -> Numbers:
    """Give how far another class moves an image, over how far other latents of its class do."""
    latents, labels, classes = scene.scene.latents, scene.fake.labels, trainer.generator.num_classes
    if classes < 2 or labels is None:
        return {}
    assert latents is not None
    reals, others = scene.references, (labels + 1) % classes
    moved = reals.small(make_fakes(trainer, scene.streams, latents, others))
    sums, counts = _pairs(scene.fake_small, labels, classes)
    return {"condition": (moved - scene.fake_small).norm(dim=1).mean() / (sums.sum() / counts.sum())}


def labels_heeded(trainer: Trainer, scene: ProbeScene) -> Numbers:
    """Give how often a fake is of the class that was asked for, and would be by chance, over real images.

    A frozen classifier of the run says what class an image is of; else, the nearest mean of real features.
    """
    reals, asked = scene.references, scene.fake.labels
    known, given = reals.held_out, reals.held_out_labels
    if not trainer.generator.num_classes or asked is None or given is None or not len(known):
        return {}
    guides = scene.fake.logits.guides
    if guides is not None and scene.held_out is not None and scene.held_out.logits.guides is not None:
        named, real = guides.argmax(1), scene.held_out.logits.guides.argmax(1)
    else:
        means = reals.once("classes", lambda: _class_means(reals, trainer.generator.num_classes))
        named, real = (
            torch.cdist(each, means).argmin(1) for each in (scene.fake_features, reals.held_out_features)
        )
    usual = (real == given).double().mean()
    chance = (named[:, None] == asked).double().mean()
    return {"label_agreement": (named == asked).double().mean() / usual, "label_chance": chance / usual}


def _class_means(reals: References, classes: int) -> Tensor:
    assert reals.pool_labels is not None
    chosen = F.one_hot(reals.pool_labels, classes).double()
    means = (chosen.T @ reals.pool_features.double()) / chosen.sum(0)[:, None]
    return means.nan_to_num(nan=1e9).float()  # of a class that the pool lacks


def effective_rank(rows: Tensor) -> Tensor:
    """Give the exponential of the entropy of the covariance's eigenvalues.

    Source: Roy & Vetterli 2007.
    """
    centred = (rows - rows.mean(0)).double()
    values = torch.linalg.eigvalsh(centred @ centred.T).clamp(min=0)
    shares = values / values.sum()
    return torch.special.entr(shares).sum().exp()


def _nearest(rows: Tensor) -> Tensor:
    apart = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    return apart.fill_diagonal_(math.inf).amin(1)


def _pairs(rows: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Give the sum of the distances of the pairs within each class, and their count: (2, K)."""
    first, second = torch.triu_indices(len(rows), len(rows), 1, device=rows.device)
    same, apart = labels[first] == labels[second], torch.pdist(rows).double()
    counts = torch.zeros(classes, dtype=torch.float64, device=rows.device)
    sums = counts.index_add(0, labels[first], apart * same)
    return torch.stack([sums, counts.index_add(0, labels[first], same.double())])
