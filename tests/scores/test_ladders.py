"""Images that are spoilt more are farther from real ones, and what shows nothing is not called real."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gander.data.images import open_images
from gander.scores.evaluation import Comparison, Reference
from gander.scores.frechet import Moments, frechet_distances
from gander.scores.judge import find_judge
from results.corruptions import CORRUPTIONS, junk

N = 200


@pytest.fixture(scope="module")
def reals(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANDER_CACHE", str(tmp_path_factory.mktemp("ladders")))
        shapes = open_images("shapes")
        yield Reference(shapes, find_judge(shapes), N, whole=False)


def compared(reals, pixels):
    """Give the distance of some images, and what the neighbours say."""
    found = Comparison(reals, reals.extractor.extract(pixels), None, lambda: pixels)
    (distance,) = frechet_distances(reals.moments, [Moments.of(found.features)])
    return distance, found.neighbourhood


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_more_an_image_is_spoilt_the_farther_it_is(reals, name):
    corrupt, strengths = CORRUPTIONS[name]
    clean = reals.floor.pixels()
    steps = [
        compared(reals, pixels) for pixels in (clean, *(corrupt(clean, each) for each in strengths[::2]))
    ]
    distances, neighbours = zip(*steps, strict=True)
    assert [*distances] == sorted(distances)
    seen = [each.recall if name == "one image repeated" else each.precision for each in neighbours]
    assert all(after <= before + 0.01 for before, after in pairwise(seen))  # two images of 200
    assert seen[-1] < 0.9 * seen[0]


@pytest.mark.parametrize("kind", junk(1))
def test_junk_is_not_called_real(reals, kind):
    assert compared(reals, junk(N)[kind])[1].precision < 0.5


def test_real_images_are(reals):
    distance, neighbours = compared(reals, reals.floor.pixels())
    assert distance < 1.5
    assert min(neighbours[:4]) > 0.9
