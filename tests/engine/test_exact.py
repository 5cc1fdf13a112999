"""Scores are computed in float32 whatever the training has set, and the training finds its settings again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import backends

from gander.engine.exact import exact

OPERATORS = {
    "matmul": backends.cuda.matmul,
    "cudnn.conv": backends.cudnn.conv,
    "mkldnn.conv": backends.mkldnn.conv,
    "mkldnn.matmul": backends.mkldnn.matmul,
}


def settings():
    flags = {name: operator.fp32_precision for name, operator in OPERATORS.items()}
    cudnn = {"benchmark": backends.cudnn.benchmark, "deterministic": backends.cudnn.deterministic}
    return flags | cudnn | {"matmul of old": torch.get_float32_matmul_precision()}


@pytest.fixture(params=["high", "medium"])
def fast(monkeypatch, request):
    """Set what a training on a GPU sets."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(request.param)
    monkeypatch.setattr(backends.cudnn, "benchmark", True)
    yield settings()
    torch.set_float32_matmul_precision(before)


def test_no_operator_may_round_to_fewer_bits_inside(fast):
    with exact():
        inside = settings()
    assert {inside[name] for name in OPERATORS} == {"ieee"}
    assert (inside["benchmark"], inside["deterministic"]) == (False, True)


def test_the_old_switches_can_be_read_and_set_inside(fast):
    with exact():
        assert torch.get_float32_matmul_precision() == "highest"
        assert not backends.cudnn.allow_tf32
        torch.set_float32_matmul_precision("high")
    assert settings() == fast
    assert backends.cudnn.allow_tf32


def test_everything_is_as_it_was_afterwards_also_after_an_error(fast):
    assert fast["benchmark"]
    with exact():
        pass
    assert settings() == fast
    with pytest.raises(ZeroDivisionError), exact():
        _ = 1 / 0
    assert settings() == fast


def test_an_operator_that_was_set_by_itself_is_set_so_again():
    before = backends.mkldnn.conv.fp32_precision
    backends.mkldnn.conv.fp32_precision = "bf16"
    try:
        with exact():
            assert backends.mkldnn.conv.fp32_precision == "ieee"
        assert backends.mkldnn.conv.fp32_precision == "bf16"
    finally:
        backends.mkldnn.conv.fp32_precision = before


def test_autocast_does_not_reach_inside():
    ones = torch.ones(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert (ones @ ones).dtype == torch.bfloat16
        with exact():
            assert (ones @ ones).dtype == torch.float32


def test_a_judge_says_the_same_in_the_middle_of_a_fast_training():
    from gander.scores.judge import Judge, JudgeNet, Record

    torch.manual_seed(0)
    record = Record("made", "", ("a", "b"), 3, 8, 8, 1.0, 0, 0, 0, "", "")
    judge = Judge(JudgeNet(3, 2, 8), record, "0" * 64)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 3, 8, 8), np.uint8)
    alone = judge.extract(pixels)
    with torch.autocast("cpu", torch.bfloat16):
        amid = judge.extract(pixels)
    assert torch.equal(alone.features, amid.features)
    assert torch.equal(alone.probabilities, amid.probabilities)
