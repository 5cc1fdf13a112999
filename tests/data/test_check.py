"""What `gander data` says about a data set."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gander.data.check import inspect_data


def test_a_summary_has_the_figures_and_every_problem(tmp_path):
    images = np.zeros((40, 8, 8, 3), np.uint8)
    images[:, :, :4, 0], images[..., 1] = 200, np.arange(40)[:, None, None]
    images[39] = images[0]
    labels = np.array([0.0] * 10 + [1.0] * 5 + [-1.0] * 24 + [0.0])
    np.savez(tmp_path / "x.npz", images=images, labels=labels, classes=np.array(["ant", "bee"]))
    summary = inspect_data(path=str(tmp_path / "x.npz"))
    assert summary.counts == {"ant": 11, "bee": 5}
    assert (summary.images, summary.size, summary.channels, summary.duplicates) == (16, 8, 3, 1)
    assert summary.means == pytest.approx((100, sum(range(15)) / 16, 0))
    assert summary.deviations[0] == pytest.approx(100)
    assert len(summary.problems) == 24
    assert (summary.problems[0].file, summary.problems[0].index) == ("x.npz", 15)
    assert (
        json.loads(json.dumps(summary.as_dict()))["problems"][0]["reason"] == "the label -1.0 is outside 0..1"
    )
    assert ("classes", "ant 11, bee 5") in summary.rows()


@pytest.mark.slow
def test_cifar10_has_its_known_means_and_content(shared):
    summary = inspect_data("cifar10", str(shared / "data/cifar10"))
    assert summary.means == pytest.approx((125.307, 122.950, 113.865), abs=1e-3)
    assert summary.counts["truck"] == 5000
    assert not summary.problems
