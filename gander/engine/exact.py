"""Numbers that depend on weights, images and device alone, however fast a training may compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch
from torch import backends


@contextmanager
def exact() -> Iterator[None]:
    """Compute in float32, without TF32, autocast or a search for the fastest algorithm; then restore all.

    It is a decorator, too.
    """
    matmul, settings = _matmul_precision(), _settings()
    before = [getattr(owner, name) for owner, name, _ in settings]
    with ExitStack() as stack:
        for device in ("cpu", "cuda", "mps"):
            stack.enter_context(torch.autocast(device, enabled=False))
        try:
            # The old switches first, for each sets several operators.
            if matmul is not None:
                torch.set_float32_matmul_precision("highest")
            for owner, name, value in settings:
                setattr(owner, name, value)
            yield
        finally:
            if matmul is not None:
                torch.set_float32_matmul_precision(matmul)
            for (owner, name, _), value in zip(settings, before, strict=True):
                setattr(owner, name, value)


def _matmul_precision() -> str | None:
    """Read the old switch; None where it cannot be, for operators were set by themselves."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None


def _settings() -> list[tuple[Any, str, object]]:
    cudnn: Any = backends.cudnn
    mkldnn: Any = backends.mkldnn
    settings: list[tuple[Any, str, object]] = [(cudnn, "benchmark", False), (cudnn, "deterministic", True)]
    with suppress(RuntimeError):  # as above
        if isinstance(cudnn.allow_tf32, bool):
            settings.append((cudnn, "allow_tf32", False))
    if hasattr(backends.cuda.matmul, "fp32_precision"):  # torch 2.9 and newer
        operators = (backends.cuda.matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv, mkldnn.rnn)
        settings += [(operator, "fp32_precision", "ieee") for operator in operators]
    return settings
