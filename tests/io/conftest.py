"""What the tests of conversions share: places, arrays of every dtype, exact comparison."""

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from numpack import NumPack

settings.register_profile(
    "io",
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("io")


@pytest.fixture
def npk(tmp_path):
    """Path of a store that is not there yet."""
    return tmp_path / "data.npk"


@pytest.fixture
def old(npk):
    """Path of a store with one array, `old`: arange(5)."""
    with NumPack(npk) as store:
        store.save({"old": np.arange(5)})
    return npk
