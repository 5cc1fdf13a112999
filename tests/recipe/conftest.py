"""Techniques that tests define are forgotten after each."""

import sys

import pytest

from gander.registry import techniques


@pytest.fixture
def as_before():
    """Forget what a test defined and where it looked."""
    known = {slot: dict(kinds) for slot, kinds in techniques().items()}
    path, modules = [*sys.path], {*sys.modules}
    yield
    for slot, kinds in techniques().items():
        kinds.clear()
        kinds.update(known[slot])
    sys.path[:] = path
    for name in {*sys.modules} - modules:
        if name.startswith("my_"):
            del sys.modules[name]
