"""Numbers that depend on weights, images and device alone, however fast a training may compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import backends


@contextmanager
def exact() -> Iterator[None]:
    """Compute in float32, without TF32, autocast or a search for the fastest algorithm; then restore all.

    It is a decorator, too.
    """
    settings = _settings()
    before = [getattr(owner, name) for owner, name, _ in settings]
    with ExitStack() as stack:
        for device in ("cpu", "cuda", "mps"):
            stack.enter_context(torch.autocast(device, enabled=False))
        try:
            for owner, name, value in settings:
                setattr(owner, name, value)
            yield
        finally:
            for (owner, name, _), value in zip(settings, before, strict=True):
                setattr(owner, name, value)


def _settings() -> list[tuple[Any, str, object]]:
    settings: list[tuple[Any, str, object]] = [
        (backends.cudnn, "benchmark", False),
        (backends.cudnn, "deterministic", True),
    ]
    if not hasattr(backends.cuda.matmul, "fp32_precision"):  # torch before 2.9
        return [*settings, (backends.cuda.matmul, "allow_tf32", False), (backends.cudnn, "allow_tf32", False)]
    # Each operator by itself: reading the old switches fails where the operators of one library differ.
    cudnn: Any = backends.cudnn
    mkldnn: Any = backends.mkldnn
    operators = (backends.cuda.matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv, mkldnn.rnn)
    return [*settings, *((operator, "fp32_precision", "ieee") for operator in operators)]
