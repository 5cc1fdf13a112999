"""What every test stands on: one thread, a home of its own, and the real data where it is at hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Set before torch is first imported, and inherited by every process that a test starts: sums are made in
# one order, and tests that need no torch do not wait for it.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

settings.register_profile("gander", deadline=None)  # a busy machine is no failure
settings.load_profile("gander")


@pytest.fixture(scope="session", autouse=True)
def private_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the user's home, cache and runs out of every test, and of every process that a test starts."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patched:
        for name in [name for name in os.environ if name.startswith(("GANDER_", "XDG_"))]:
            patched.delenv(name)
        patched.setenv("HOME", str(home))
        patched.setenv("GANDER_CACHE", str(home / "cache"))
        patched.setenv("GANDER_RUNS", str(home / "runs"))
        yield home


@pytest.fixture(scope="session")
def shared() -> Path:
    """Give the folder of real data beside the repository; skip where there is none."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("real data is read from ../shared/data, which is not there")
    return folder
