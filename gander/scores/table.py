"""All scores, one class each. Evaluation, training, pages, progress and documents follow from `METRICS`.

A new score is a class here and its mathematics. Nothing here loads torch before it computes, for what shows
scores must not.
"""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, ClassVar

from gander.scores.score import NORMAL, Estimate, around, around_share, ratio

if TYPE_CHECKING:
    from gander.scores.evaluation import Comparison

JUDGE, INCEPTION = "judge", "inception"
"""Networks whose features scores are made of: the data's own classifier, and that of published numbers."""

Interval = tuple[float | None, float | None]


class Metric:
    """A score before it is computed; a subclass's docstring is what documents and pages say of it.

    Args:
        name: with the features of the data's judge.
        elsewhere: its name with those of another network, which stands at `{}`; "" where it is the same.
        published: its name with the weights that papers use.
        better: lower, higher or near (the floor).
        source: authors and year.
        needs: what a comparison must offer: `labels` that were asked for, a `judge` that knows the classes,
            and `copies`: all real images looked at, some of them held out.
        words: the verdict, with the value at `{}`.
        in_progress: is shown while a run trains.
        in_chart: is drawn over a run's clock.
        standard_errors: to either end of a 95 % interval.
    """

    name: ClassVar[str]
    elsewhere: ClassVar[str] = ""
    published: ClassVar[str] = ""
    better: ClassVar[str] = "higher"
    source: ClassVar[str] = ""
    needs: ClassVar[frozenset[str]] = frozenset()
    words: ClassVar[str] = ""
    in_progress: ClassVar[bool] = False
    in_chart: ClassVar[bool] = False
    standard_errors: ClassVar[float] = NORMAL

    @property
    def meaning(self) -> str:
        """One sentence."""
        return " ".join((inspect.getdoc(self) or "").split())

    def name_with(self, network: str) -> str:
        """Give the name with the features of a network."""
        if network == JUDGE or not self.elsewhere:
            return self.name
        return self.published if network == INCEPTION and self.published else self.elsewhere.format(network)

    def estimate(self, compared: Comparison) -> Estimate | None:
        """Compute it; None where these images do not allow it."""
        raise NotImplementedError

    def floor(self, compared: Comparison) -> Estimate | None:
        """Give what other real images get; None where there are too few."""
        return compared.reference.floor_of(self)

    def interval(self, estimate: Estimate, compared: Comparison) -> Interval:
        """Give the 95 % interval over other draws of images; (None, None) where there is none."""
        if math.isnan(estimate.standard_error):
            return None, None
        return around(estimate.value, estimate.standard_error, self.standard_errors)

    def verdict(self, estimate: Estimate, floor: Estimate | None, compared: Comparison) -> str:
        """Say in a few words what the number says."""
        return self.words.format(estimate.value)


class _Distance(Metric):
    better = "lower"

    def verdict(self, estimate: Estimate, floor: Estimate | None, compared: Comparison) -> str:
        if floor is None:
            return "no floor to compare it with"
        # An error of nan or 0 is unknown, and not certain: the other's stands for it.
        known = [each for each in (estimate.standard_error, floor.standard_error) if each > 0]
        if not known and estimate.value != floor.value:
            return "too few images to tell"
        if estimate.value - floor.value <= self.standard_errors * math.hypot(*(known * 2)[:2]):
            few = "too few images to tell, though recall or coverage is lower"
            return few if compared.varies_less else "not told from real images"
        if floor.value <= 2 * known[-1]:  # nothing to be a multiple of
            return "told from real images"
        times = estimate.value / floor.value
        return f"told from real images: {times:,.{0 if times >= 10 else 1}f} times the floor"


class _Share(Metric):
    of_real: ClassVar[bool] = False  # a share of the real images, not of the others

    def interval(self, estimate: Estimate, compared: Comparison) -> Interval:
        images = compared.reference.features if self.of_real else compared.features
        return around_share(estimate.value, len(images))


class Frechet(_Distance):
    """Squared Fréchet distance between two normal distributions with the moments of the features."""

    name, elsewhere, published = "fd-judge", "fd-{}", "fid"
    source = "Dowson and Landau 1982; Heusel et al. 2017"
    in_progress = in_chart = True
    standard_errors = 2.262  # Student's t of 9 degrees of freedom: the jackknife has ten groups

    def estimate(self, compared: Comparison) -> Estimate:
        from gander.scores.frechet import frechet_with_error

        return frechet_with_error(compared.reference.moments, compared.features)

    def interval(self, estimate: Estimate, compared: Comparison) -> Interval:
        low, high = around(*estimate, self.standard_errors)
        return max(low, 0.0), high


class FrechetAtInfinity(Metric):
    """The same, extrapolated to endlessly many generated images (from 10 images a feature on)."""

    name, elsewhere, published = "fd-judge-infinity", "fd-{}-infinity", "fid-infinity"
    better, source = "lower", "Chong and Forsyth 2020"
    words = "what endlessly many of these images would get"
    standard_errors = 2.228  # Student's t of 10 degrees of freedom

    def estimate(self, compared: Comparison) -> Estimate | None:
        from gander.scores.frechet import IMAGES_A_FEATURE, frechet_at_infinity

        reference = compared.reference
        if len(compared.features) < IMAGES_A_FEATURE * reference.features.shape[1]:
            return None
        return frechet_at_infinity(reference.moments, compared.features, reference.seed)


class Kernel(_Distance):
    """Squared maximum mean discrepancy under the kernel (x.y / D + 1)^3, without bias, over all pairs."""

    name, elsewhere, published = "kd-judge", "kd-{}", "kid"
    source = "Binkowski et al. 2018"
    in_chart = True

    def estimate(self, compared: Comparison) -> Estimate:
        from gander.scores.kernel import kernel_distance

        return kernel_distance(compared.reference.features, compared.features)


class _Neighbours(Metric):
    def estimate(self, compared: Comparison) -> Estimate:
        return Estimate(getattr(compared.neighbourhood, self.name))


class Precision(_Neighbours, _Share):
    """Share of generated images within the fifth-neighbour balls of real ones, of which none is very wide."""

    name, elsewhere, source = "precision", "precision-{}", "after Kynkäänniemi et al. 2019"
    words = "{:.0%} of the images are among real ones"
    in_progress = in_chart = True


class Recall(_Neighbours, _Share):
    """Share of real images within the fifth-neighbour balls of generated ones."""

    name, elsewhere, source = "recall", "recall-{}", "after Kynkäänniemi et al. 2019"
    words = "{:.0%} of real images are among these"
    of_real = in_progress = in_chart = True


class Density(Metric):
    """In how many balls of real images a generated one lies, over five: harder to fool than precision."""

    name, elsewhere, source = "density", "density-{}", "after Naeem et al. 2020"
    words = "{:.0%} of the real neighbours that an image should have"

    def estimate(self, compared: Comparison) -> Estimate:
        return Estimate(compared.neighbourhood.density, compared.neighbourhood.density_error)


class Coverage(_Neighbours, _Share):
    """Share of real images with a generated one in their ball: harder to fool than recall."""

    name, elsewhere, source = "coverage", "coverage-{}", "after Naeem et al. 2020"
    words = "{:.0%} of real images have one of these near them"
    of_real = True


class ClassifierScore(Metric):
    """The Inception score's formula, with the judge's probabilities."""

    name, elsewhere, published = "classifier-score", "classifier-score-{}", "inception-score"
    source, words = "Salimans et al. 2016", "sure and varied as {:.1f} classes are"
    standard_errors = 2.262  # Student's t of 9 degrees of freedom: there are ten splits

    def estimate(self, compared: Comparison) -> Estimate:
        from gander.scores.classes import classifier_score

        return classifier_score(compared.probabilities, splits=10)


class Modes(Metric):
    """On drawn shapes only: how many of the 2,160 kinds are there, by images that could have been drawn."""

    name, words = "modes", "of 2,160 kinds (class, colour, size, place) are drawn well"

    def estimate(self, compared: Comparison) -> Estimate | None:
        from gander.scores.modes import covered_modes, has_known_modes

        known = has_known_modes(compared.reference.images)
        return Estimate(covered_modes(compared.pixels())) if known else None


class LabelFidelity(_Share):
    """Share of images that the judge takes for the class asked for; its floor is the judge's own accuracy."""

    name, needs = "label-fidelity", frozenset({"labels", "judge"})
    in_progress = in_chart = True

    def estimate(self, compared: Comparison) -> Estimate:
        from gander.scores.classes import label_fidelity

        assert compared.labels is not None
        return Estimate(label_fidelity(compared.labels, compared.outputs.probabilities.argmax(1)))

    def floor(self, compared: Comparison) -> Estimate:
        assert compared.reference.extractor.accuracy is not None
        return Estimate(compared.reference.extractor.accuracy)

    def verdict(self, estimate: Estimate, floor: Estimate | None, compared: Comparison) -> str:
        real = self.floor(compared).value
        return f"{estimate.value:.0%} are seen as the class asked for; of held-out real images {real:.0%}"


class ClassDiversity(Metric):
    """Mean distance of two images of a class, over that of two real ones; of the least varied class."""

    name, better, needs = "class-diversity", "near", frozenset({"labels"})

    def estimate(self, compared: Comparison) -> Estimate | None:
        return min(compared.diversity.values(), default=None)

    def verdict(self, estimate: Estimate, floor: Estimate | None, compared: Comparison) -> str:
        least = min(compared.diversity, key=compared.diversity.__getitem__)
        name = compared.reference.images.classes[least]
        return f"least in {name}: {estimate.value:.0%} of what real images have"


class Checkerboard(Metric):
    """Energy at a period of two pixels, along both axes, over that of real images."""

    name, better, source = "checkerboard", "near", "Odena et al. 2016"
    words = "{:.2g} times as much of a pattern of every other pixel as real images have"

    def estimate(self, compared: Comparison) -> Estimate | None:
        from gander.scores.spectrum import checkerboard_energy

        return ratio(checkerboard_energy(compared.pixels()), compared.reference.checkerboard)


class Memorised(_Share):
    """Share of images as near to a training image as the nearest hundredth of held-out real images are."""

    name, better, needs = "memorised", "near", frozenset({"copies"})
    source = "Meehan et al. 2020"
    chance = 0.001  # below which a share of near copies is none

    def estimate(self, compared: Comparison) -> Estimate:
        assert compared.memorisation is not None
        return Estimate(compared.memorisation.share)

    def floor(self, compared: Comparison) -> Estimate:
        """Give what is expected of images that are no copies."""
        assert compared.memorisation is not None
        return Estimate(compared.memorisation.expected)

    def verdict(self, estimate: Estimate, floor: Estimate | None, compared: Comparison) -> str:
        assert compared.memorisation is not None
        if compared.memorisation.p_value < self.chance:
            return "nearer to training images than held-out ones: look at the pairs"
        return "no sign of copies"


_FIRST = (Frechet, FrechetAtInfinity, Kernel, Precision, Recall, Density, Coverage)
_THEN = (ClassifierScore, Modes, LabelFidelity, ClassDiversity, Checkerboard, Memorised)
METRICS: list[Metric] = [kind() for kind in (*_FIRST, *_THEN)]
"""In the order in which they are shown."""
