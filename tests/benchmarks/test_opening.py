"""What data cost is measured in an empty store of its own."""

import os

import numpy as np
import pytest
from opening import measure_data


@pytest.mark.slow
def test_a_data_set_is_decoded_opened_and_trained_on(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(
        path,
        images=np.zeros((200, 32, 32, 3), np.uint8) + np.arange(200, dtype=np.uint8)[:, None, None, None],
    )
    before = os.environ.get("GANDER_CACHE")
    cost = measure_data(str(path))
    assert os.environ.get("GANDER_CACHE") == before
    assert cost.images == 200
    assert 0 < cost.open_seconds < cost.decode_seconds
    assert cost.store_mib == pytest.approx(200 * 3072 / 2**20, rel=0.1)
    assert min(cost.first_step_seconds, cost.first_step_again_seconds) > 0
