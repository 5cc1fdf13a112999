"""A score is said once: whatever computes, shows, writes or describes scores follows from the table."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from torch import backends

from gander.actions.evaluate import evaluate
from gander.actions.generate import generate
from gander.cli.progress import TrainingProgress
from gander.cli.training import _close
from gander.data.images import open_images
from gander.generation.load import Sampler
from gander.report.evaluation import write_evaluation
from gander.scores.score import Estimate
from gander.scores.table import METRICS, Kernel, Metric
from gander.training.loop import train
from tests.judged import dark_and_light, train_judge
from tests.tiny import BATCH, tiny

ROOT = Path(__file__).resolve().parents[2]


SEARCHES = []  # for the fastest algorithm, whether they were allowed when a score was computed


class Brightness(Metric):
    """Mean of all pixel values."""

    name, better, words, in_progress = "brightness", "near", "{:.0f} of 255", True
    in_chart = True

    def estimate(self, compared):
        SEARCHES.append(backends.cudnn.benchmark)
        return Estimate(float(compared.pixels().mean()), 1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANDER_CACHE", str(folder / "cache"))
        train_judge(dark_and_light(folder))
        yield folder


@pytest.fixture(autouse=True)
def registered():
    METRICS.append(Brightness())
    SEARCHES.clear()
    yield
    METRICS.pop()


@pytest.fixture
def fast(monkeypatch):
    """Allow what a training on a GPU allows, and note whether images to be scored are made so."""
    monkeypatch.setattr(backends.cudnn, "benchmark", True)
    images = Sampler.images

    def noted(sampler, latents, labels=None):
        if len(latents) in (100, 200):  # no sheet
            SEARCHES.append(backends.cudnn.benchmark)
        return images(sampler, latents, labels)

    monkeypatch.setattr(Sampler, "images", noted)


def test_a_new_score_is_evaluated_with_its_floor_and_stands_on_the_page(folder, tmp_path):
    evaluation = evaluate(folder / "data.npz", folder / "data.npz", n=200, device="cpu")
    score, pixels = evaluation["brightness"], open_images(str(folder / "data.npz")).pixels
    assert score.value == pytest.approx(evaluation.samples.pixels.mean())
    assert score.floor == pytest.approx(pixels.mean(), abs=5)
    assert score.floor != score.value
    assert (score.low, score.high) == pytest.approx((score.value - 1.96, score.value + 1.96))
    assert score.verdict == f"{score.value:.0f} of 255"
    write_evaluation(tmp_path / "out", evaluation, evaluation.facts())
    written = json.loads((tmp_path / "out" / "scores.json").read_text())["scores"]
    assert written[-1]["name"] == "brightness"
    page = (tmp_path / "out" / "page.html").read_text("utf-8")
    assert '<tr title="Mean of all pixel values."><td>brightness</td>' in page


def test_a_new_score_is_made_and_shown_while_a_run_trains_and_written_into_cards(
    folder, tmp_path, monkeypatch, capsys, fast
):
    recipe = tiny(folder, "projection", {"evaluate": {"every": 6 * BATCH, "n": 100, "share": 1.0}})
    with TrainingProgress() as shown:
        run = train(recipe, tmp_path / "run", shown)
    rows = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    assert {"brightness", "brightness/floor", "brightness/low", "brightness/high"} <= {*rows[-1]}
    assert f"brightness {rows[-1]['brightness']:.3g} (" in capsys.readouterr().out
    charts = []
    monkeypatch.setattr("gander.pictures.charts.draw_curves", lambda *given: charts.append(given[-1]))
    _close(run, as_json=True)
    assert charts[0]["fd-judge"] == "lower"
    assert charts[0]["brightness"] == "near"
    card = generate(run, 200, tmp_path / "set", device="cpu").page.read_text("utf-8")
    assert "| brightness |" in card
    evaluate(run, n=200, device="cpu")
    assert len(SEARCHES) > 8
    assert not any(SEARCHES)


@pytest.mark.parametrize(
    ("network", "names"),
    [
        ("judge", "fd-judge fd-judge-infinity kd-judge precision classifier-score class-diversity memorised"),
        ("inception", "fid fid-infinity kid precision-inception inception-score class-diversity memorised"),
        ("mine", "fd-mine fd-mine-infinity kd-mine precision-mine classifier-score-mine class-diversity"),
    ],
)
def test_only_official_weights_give_the_published_names(network, names):
    assert {*names.split()} <= {metric.name_with(network) for metric in METRICS}


def test_what_needs_labels_a_judge_or_held_out_images_says_so():
    needs = {metric.name: metric.needs for metric in METRICS if metric.needs}
    assert needs == {
        "label-fidelity": {"labels", "judge"},
        "class-diversity": {"labels"},
        "memorised": {"copies"},
    }


def test_the_table_loads_no_torch():
    code = "import sys, gander.scores.table; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


def test_the_document_describes_every_score_in_its_order():
    page = (ROOT / "docs" / "scores.md").read_text("utf-8").partition("## The protocol")[0]
    rows = re.findall(r"^\| `.*$", page, re.MULTILINE)
    expected = [
        f"| `{metric.name}` | {metric.meaning} | {metric.better} | {metric.source} |"
        for metric in METRICS[:-1]
    ]
    assert rows == expected


def test_an_error_whose_estimate_fell_to_nothing_is_unknown_and_not_certain():
    (kernel,) = (metric for metric in METRICS if isinstance(metric, Kernel))
    say = partial(kernel.verdict, compared=SimpleNamespace(varies_less=False))
    assert say(Estimate(-0.0003), Estimate(-0.0004, 0.0001)) == "not told from real images"
    assert say(Estimate(-0.0003), Estimate(-0.0004)) == "too few images to tell"
    assert say(Estimate(0.01), Estimate(-0.0004, 0.0001)) == "told from real images"
    few = kernel.verdict(Estimate(0.0, 0.1), Estimate(0.0, 0.1), SimpleNamespace(varies_less=True))
    assert few.startswith("too few images to tell, though recall")
    assert say(Estimate(-0.0003, 0.0), Estimate(-0.0004, 0.0001)) == "not told from real images"
    assert say(Estimate(-0.0003, 0.0), Estimate(-0.0004, 0.0)) == "too few images to tell"
    assert say(Estimate(0.01, 0.001), Estimate(0.0, 0.0)).startswith("told from real images")
