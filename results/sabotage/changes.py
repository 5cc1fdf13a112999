"""Ways to change a recipe for the worse, each relative to what the recipe is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gander.recipe.schema import Recipe

from .breakages import Breakage
from .datasets import Spoil

Patch = dict[str, Any]
Patching = Callable[[Recipe], Patch]


@dataclass(frozen=True)
class Sabotage:
    """One way to break a run: a patch, spoilt data, or a breakage that no recipe shows."""

    patch: Patching | None = None
    spoil: Spoil | None = None
    breakage: Breakage | None = None


def rates(g: float = 1, d: float = 1) -> Sabotage:
    """Multiply the rates."""
    return Sabotage(
        lambda r: {
            **({"train.g_lr": min(float(r.train.g_lr) * g, 1.0)} if g != 1 else {}),  # type: ignore[arg-type]
            **({"train.d_lr": min(float(r.train.d_lr) * d, 1.0)} if d != 1 else {}),  # type: ignore[arg-type]
        }
    )


def sets(**values: Any) -> Sabotage:
    """Set fields, written with two underscores for a dot."""
    return Sabotage(lambda _: {name.replace("__", "."): value for name, value in values.items()})


def breaks(breakage: Breakage) -> Sabotage:
    """Break the trainer."""
    return Sabotage(breakage=breakage)


def spoils(spoil: Spoil) -> Sabotage:
    """Spoil the data."""
    return Sabotage(spoil=spoil)


def narrow(net: str, width: int) -> Sabotage:
    """Make the hidden layers of a net so many maps wide."""

    def patch(recipe: Recipe) -> Patch:
        tree = recipe.as_tree()[net]["layers"]
        return {
            f"{net}.layers": [{**layer, **({"width": width} if "width" in layer else {})} for layer in tree]
        }

    return Sabotage(patch)


def dropped(rate: float) -> Sabotage:
    """Put dropout behind every layer of D."""

    def patch(recipe: Recipe) -> Patch:
        layers = [
            layer for layer in recipe.as_tree()["discriminator"]["layers"] if layer["kind"] != "dropout"
        ]
        return {
            "discriminator.layers": [
                each for one in layers for each in (one, {"kind": "dropout", "rate": rate})
            ]
        }

    return Sabotage(patch)


def penalties(weight: float, missing: bool = False) -> Sabotage:
    """Scale the gradient penalties, or add R1 of so much where there is none."""

    def patch(recipe: Recipe) -> Patch:
        held = {"r1", "r2", "gradient_penalty"} & {each.kind for each in recipe.penalties}
        if not held:
            return {"penalties.+r1.weight": weight}
        old = {each.kind: each.weight for each in recipe.penalties if each.kind in held}  # type: ignore[attr-defined]
        return {f"penalties.{kind}.weight": 0.0 if missing else old[kind] * weight for kind in sorted(held)}

    return Sabotage(patch)


def wraps(kind: str, **settings: Any) -> Sabotage:
    """Wrap the objective."""
    return Sabotage(lambda r: {"objective": {"kind": kind, **settings, "inner": {"kind": r.objective.kind}}})


def strong_d(width: int, rate: float) -> Sabotage:
    """Make D wide and fast."""
    wide = narrow("discriminator", width).patch
    assert wide is not None
    return Sabotage(lambda r: {**wide(r), "train.d_lr": float(r.train.d_lr) * rate})  # type: ignore[arg-type]


def initial(net: str, std: float) -> Sabotage:
    """Draw the weights of a net from N(0, std^2); a spectral norm stays behind it."""

    def patch(recipe: Recipe) -> Patch:
        held = [each for each in recipe.as_tree()["rewires"][net] if not each["kind"].endswith("_init")]
        return {f"rewires.{net}": [{"kind": "normal_init", "std": std}, *held]}

    return Sabotage(patch)


def thirds(places: tuple[str, ...]) -> Sabotage:
    """Give transposed convolutions a kernel of 3 and stride 2, which overlap unevenly."""

    def patch(recipe: Recipe) -> Patch:
        generator = recipe.as_tree()["generator"]
        layers = [
            {**each, "kernel": 3} if each["kind"] == "transposed" else each for each in generator["layers"]
        ]
        edits: Patch = {"generator.layers": layers} if "layers" in places else {}
        return edits | ({"generator.output.kernel": 3} if "output" in places else {})

    return Sabotage(patch)


def small_batches(batch: int, fewer: int) -> Sabotage:
    """Train with tiny batches, for as many fewer images as the time allows."""
    return Sabotage(
        lambda r: {
            "train.batch": batch,
            "train.images": r.train.images // fewer,  # type: ignore[operator]
            "every.log": r.every.log // fewer,
            "every.probe": r.every.probe // fewer,
        }
    )  # type: ignore[operator]
