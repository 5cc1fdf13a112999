"""The recipe: the whole description of a training run."""

from __future__ import annotations

import hashlib
import json
import typing
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationError, model_validator

from gander.errors import RecipeError
from gander.nets import r3, residual, stack  # noqa: F401 - a recipe can name what has been imported
from gander.nets.average import Average, Latest
from gander.nets.designs import DiscriminatorDesign, GeneratorDesign
from gander.nets.features import Features
from gander.nets.rewires import Rewires
from gander.patch import Patch, as_patch, difference
from gander.recipe.merge import edit
from gander.recipe.plugins import import_plugins
from gander.recipe.problems import problem_lines
from gander.registry import one_or_more
from gander.schedule import Scalar, Settings, Share, within
from gander.techniques import (  # noqa: F401 - as above
    ada,
    consistency,
    d2d_ce,
    featured,
    top_k,
)
from gander.techniques.latents import Normal
from gander.techniques.objectives import NonSaturating
from gander.techniques.penalties import Penalties
from gander.techniques.slots import Latents, Objective, Separable
from gander.techniques.updates import Joint, Updates
from gander.techniques.views import Views

Images = Annotated[int, Field(ge=0, le=10**12, description="real images shown to the discriminator")]
Rate = Annotated[Scalar, within(0, 1)]


def _spelt_out(value: Any) -> Any:
    return {"source": value} if isinstance(value, str) else value


def _shortest(technique: Settings) -> Any:
    """Write a technique without settings as its name alone, as it was always written."""
    settings = technique.model_dump(mode="json", by_alias=True)
    return settings["kind"] if len(settings) == 1 else settings


def _one_as_itself(values: tuple[Settings, ...]) -> Any:
    trees = [value.model_dump(mode="json", by_alias=True) for value in values]
    return trees[0] if len(trees) == 1 else trees


class Data(Settings):
    """What is learned: a name (downloaded once), or a path to what is on disk.

    With both, `path` is read and nothing is downloaded. `size` makes images square: a centre crop, resized.
    `labels = "if_there"` makes a recipe with labels one without for data that have none. `image` and `label`
    choose among the columns of Parquet, npz and CSV; in a CSV without names, `label` is `first` or `last`.
    Without `held_out` D is not shown a hundredth of the images: 64 to 512, at most a tenth, none of below 40.
    """

    source: str = Field(default="", max_length=1000)
    path: str = Field(default="", max_length=4000)
    size: int | None = Field(default=None, ge=8, le=128, description="pixels a side")
    mirror: bool = Field(default=False, description="flip half of the images left to right")
    labels: Literal["needed", "if_there"] = "needed"
    held_out: int | None = Field(default=None, ge=0, le=10**6, description="images never shown to D")
    image: str | None = Field(default=None, max_length=200, description="column of the images")
    label: str | None = Field(default=None, max_length=200, description="column of the labels")

    @property
    def columns(self) -> tuple[str, str]:
        """Name the columns of images and labels; "" for those of a known name."""
        return self.image or "", self.label or ""


class Train(Settings):
    """How long, in what portions, and how fast.

    An epoch is as many steps as whole batches fit into the data set. `d_update` is the order of the moves:
    joint, separate or shared.
    """

    images: Images | None = Field(default=None, ge=1)
    epochs: float | None = Field(default=None, gt=0, le=1e6)
    batch: int = Field(default=64, ge=2, le=65_536, description="images, over all processes")
    d_steps: int = Field(default=1, ge=1, le=100)
    d_update: Annotated[Updates, PlainSerializer(_shortest)] = Joint()
    g_lr: Rate = 2e-4
    d_lr: Rate = 2e-4
    beta1: float = Field(default=0.5, ge=0, lt=1)
    beta2: Share = 0.999
    per_class: bool = Field(default=False, description="one GAN a class, one after another")


class Every(Settings):
    """How often, in images; 0 is never, except for the last time at the end.

    Without `probe`, probes take at most a fiftieth of a run's time, counted in passes through its nets.
    """

    log: Images = 2_560
    samples: Images = 50_000
    save: Images = 50_000
    probe: Images | None = Field(default=None, description="what `gander diagnose` needs; 0 is never at all")
    keep: int = Field(default=2, ge=2, le=10_000, description="newest checkpoints kept")


class Samples(Settings):
    """The contact sheet of fixed latents; with labels it has a row a class."""

    rows: int = Field(default=10, ge=1, le=100)
    columns: int = Field(default=10, ge=1, le=100)


class Evaluate(Settings):
    """The scores during training, where the data have a judge; the best checkpoint by `fd-judge` is kept.

    `every` is doubled, once and for the whole run, until they fit into `share` of what it computes.
    """

    every: Images = 10_000
    n: int = Field(default=2_000, ge=100, le=100_000, description="images, each time of the same latents")
    share: float = Field(default=0.05, gt=0, le=1, description="of the run's time, at most")


class Engine(Settings):
    """What it runs on; `auto` follows from the device, and never from the moment.

    `bf16` is what nets compute with in between; weights, norm statistics, losses and averages stay float32.
    `compiled` is what torch.compile makes: `nets`, or `graphs`, which are CUDA graphs beside.
    """

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "tf32", "bf16"] = "auto"
    memory: Literal["auto", "channels_last", "contiguous"] = "auto"
    threads: int = Field(default=0, ge=0, le=1024, description="of a CPU; 0 is auto")
    compiled: Literal["auto", "off", "nets", "graphs"] = "auto"


class Rewiring(Settings):
    """What is done to each net beside building it."""

    generator: Rewires = ()
    discriminator: Rewires = ()


Averages = Annotated[
    tuple[Average, ...],
    BeforeValidator(one_or_more),
    PlainSerializer(_one_as_itself),
    Field(strict=False, min_length=1, max_length=8, description="the first is sampled from"),
]


class Recipe(Settings):
    """A whole training run; equal recipes on equal data give equal weights on one machine's CPU."""

    title: str = Field(default="", max_length=200)
    seed: int = Field(default=0, ge=0, lt=2**32)
    plugins: Annotated[tuple[str, ...], Field(strict=False, max_length=16)] = ()
    data: Annotated[Data, BeforeValidator(_spelt_out)] = Data(source="shapes")
    latents: Latents = Normal()
    generator: GeneratorDesign
    discriminator: DiscriminatorDesign
    features: Features | None = None
    rewires: Rewiring = Rewiring()
    objective: Objective = NonSaturating()
    penalties: Penalties = ()
    views: Views = ()
    average: Averages = (Latest(),)
    train: Train
    every: Every = Every()
    samples: Samples = Samples()
    evaluate: Evaluate = Evaluate()
    engine: Engine = Engine()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = [*self._label_problems(), *self._feature_problems(), *self._update_problems()]
        if (self.train.images is None) == (self.train.epochs is None):
            problems.append(
                "train: give one of train.images and train.epochs, for example train.images=200000"
            )
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _label_problems(self) -> Iterator[str]:
        kinds = Counter(penalty.kind for penalty in self.penalties)
        yield from (f"penalties: {kind} stands twice; give it once" for kind in kinds if kinds[kind] > 1)
        given, asks = self.generator.labels, self.discriminator.labels
        where = f'discriminator.labels = "{asks}"'
        for way, loss in (("head", "auxiliary_classifier"), ("embedded", "d2d_ce")):
            if loss in kinds and asks != way:
                yield f'{where}: {loss} needs a head; set discriminator.labels="{way}"'
            if asks == way and loss not in kinds:
                yield f'{where}: nothing trains the head; add {{ kind = "{loss}" }} to penalties'
        if given != "ignored" and asks == "ignored":
            yield (
                f'generator.labels = "{given}": the discriminator sees no labels, so nothing teaches '
                f"the generator what they mean; set discriminator.labels={_last_way(self.discriminator)}"
            )
        if given == "ignored" and asks != "ignored":
            yield (
                f"{where}: the discriminator asks for classes that the generator is not given; "
                f"set generator.labels={_last_way(self.generator)}"
            )
        if self.train.per_class and self.uses_labels:
            yield (
                "train.per_class = true: each net sees one class; "
                'set generator.labels and discriminator.labels to "ignored"'
            )

    def _feature_problems(self) -> Iterator[str]:
        features = self.features
        for kind in {penalty.kind for penalty in self.penalties} & {"energy_distance", "classifier_guidance"}:
            if features is None:
                yield f"penalties: {kind} stands on frozen features, and there are none; set features=classes"
            elif kind == "classifier_guidance" and not (features.task == "classes" and self.uses_labels):
                yield f"penalties: {kind} needs labels and a frozen classifier; set features=classes"
        if features is not None and features.task == "classes" and self.train.per_class:
            yield (
                'features.kind = "classes": train.per_class shows one class at a time; set features=rotations'
            )

    def _update_problems(self) -> Iterator[str]:
        train, kind, parts = self.train, self.updates.kind, self.updates.parts
        where, joint = f'train.d_update = "{kind}"', 'set train.d_update="joint"'
        if self.updates.together and train.d_steps > 1:
            yield f"train.d_steps = {train.d_steps}: with {kind} fakes D and G are updated once each; {joint}"
        if len(parts) == 1:
            return
        if not isinstance(self.objective, Separable):
            yield f"{where}: {self.objective.kind} compares real with fake in one update; {joint}"
        for penalty in self.penalties:
            if not any(set(penalty.needs) <= set(part) for part in parts):
                yield f"{where}: {penalty.kind} looks at real and fake together; {joint}"
        if train.batch % len(parts):
            yield f"train.batch = {train.batch}: half-batches need an even number"

    def patched(self, patch: Mapping[str, Any] | Sequence[str]) -> Recipe:
        """Give this recipe with the edits of a patch made; RecipeError, one line a problem."""
        return build_recipe(edit(self.as_tree(), as_patch(patch)))

    def without_labels(self) -> Recipe:
        """Give this recipe for data without labels: what needs them goes, features learn rotations."""
        named = ("auxiliary_classifier", "classifier_guidance", "d2d_ce")
        patch: dict[str, Any] = {"generator.labels": "ignored", "discriminator.labels": "ignored"}
        patch["penalties"] = [each for each in self.as_tree()["penalties"] if each["kind"] not in named]
        if self.features is not None and self.features.task == "classes":
            patch["features.kind"] = "rotations"
        return self.patched(patch)

    def diff(self, other: Recipe) -> Patch:
        """Give the edits that make the other recipe of this one."""
        return difference(self.as_tree(), other.as_tree())

    def as_tree(self) -> dict[str, Any]:
        """Give every setting as plain data under the names that are typed."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @property
    def digest(self) -> str:
        """Give the sha256 of all but the title: equal for equal trainings, on any machine."""
        tree = {key: value for key, value in self.as_tree().items() if key != "title"}
        return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()

    @property
    def updates(self) -> Updates:
        """The order of the moves of a step."""
        return self.train.d_update

    @property
    def uses_labels(self) -> bool:
        """Tell whether any net takes labels."""
        return self.generator.labels != "ignored" or self.discriminator.labels != "ignored"

    @property
    def compares_in_g(self) -> bool:
        """Tell whether G's update needs real images, too."""
        of_g = (penalty for penalty in self.penalties if "g" in penalty.sides)
        return self.objective.relative or any("real" in penalty.needs for penalty in of_g)

    @property
    def shown_per_update(self) -> int:
        """Give how many real images one move of D shows it."""
        return self.train.batch // len(self.updates.parts)

    @property
    def shown_per_step(self) -> int:
        """Give how many real images one step shows to D."""
        return self.train.d_steps * self.shown_per_update

    def steps_for(self, dataset_size: int, stages: int = 1) -> int:
        """Give the steps of one training on this many images, where the run is `stages` trainings in all."""
        if self.train.images is not None:
            return max(1, -(-self.train.images // (self.shown_per_step * stages)))
        assert self.train.epochs is not None
        return max(1, round(self.train.epochs * max(1, dataset_size // self.train.batch)))


def _last_way(design: GeneratorDesign | DiscriminatorDesign) -> str:
    """Name the way by which a net takes labels that comes last among those it has."""
    return (typing.get_args(type(design).model_fields["labels"].annotation) or ("ignored",))[-1]


def build_recipe(tree: Mapping[str, Any], folder: Path | None = None) -> Recipe:
    """Check plain data and make the recipe; its plugins are looked for in `folder`, too.

    Raises: RecipeError, one line a problem.
    """
    if not _bounded(tree):
        raise RecipeError("the recipe is nested too deep, or a number is too long")
    import_plugins(tree.get("plugins"), folder)
    try:
        return Recipe.model_validate(dict(tree))
    except ValidationError as error:
        raise RecipeError(*problem_lines(error, dict(tree), Recipe)) from None


def _bounded(value: Any, levels: int = 50) -> bool:
    """Say whether plain data can be shown: what cannot trips pydantic itself."""
    if isinstance(value, int):
        return value.bit_length() < 10_000
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return levels > 0 and all(_bounded(part, levels - 1) for part in parts)
