"""The objective's loss over all heads of a discriminator."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from gander.techniques.slots import Objective, Scene, Separable, per_image


def d_loss(objective: Objective, scene: Scene) -> Tensor:
    """Give D's loss (N,) for the images of a scene: both kinds, or one of them with a separable objective."""
    loss = _d_loss(objective, scene)
    for kind, seen in scene.seen():
        if seen.logits.direction is not None:  # a Wasserstein loss, after Takida et al. 2024
            loss = loss + (seen.logits.direction if kind == "fake" else -seen.logits.direction)
    return loss


def _d_loss(objective: Objective, scene: Scene) -> Tensor:
    real, fake, clock = scene.real, scene.fake, scene.clock
    if real is not None and fake is not None:
        pairs = zip(real.logits.heads, fake.logits.heads, strict=True)
        return _sum(
            (weight, objective.d(of_real, of_fake, clock)) for (weight, of_real), (_, of_fake) in pairs
        )
    assert isinstance(objective, Separable)
    if real is not None:
        return _sum((weight, objective.real(score, clock)) for weight, score in real.logits.heads)
    assert fake is not None
    return _sum((weight, objective.fake(score, clock)) for weight, score in fake.logits.heads)


def g_loss(objective: Objective, scene: Scene) -> Tensor:
    """Give G's loss (N,) for its images; a relative objective compares them with the scene's real ones."""
    assert scene.fake is not None
    heads, clock = scene.fake.logits.heads, scene.clock
    if not objective.relative:
        return _sum((weight, objective.g_now(score, None, clock)) for weight, score in heads)
    assert scene.real is not None
    pairs = zip(heads, scene.real.logits.heads, strict=True)
    return _sum((weight, objective.g_now(fake, real, clock)) for (weight, fake), (_, real) in pairs)


def _sum(terms: Iterable[tuple[float, Tensor]]) -> Tensor:
    first, *others = (per_image(loss) if weight == 1 else weight * per_image(loss) for weight, loss in terms)
    return sum(others, start=first)
