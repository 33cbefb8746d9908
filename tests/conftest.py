"""Every test process computes with one thread: the suite itself runs one process a core."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import tempfile

import pytest
from hypothesis import HealthCheck, settings

try:
    import torch
except ModuleNotFoundError:  # the rooms that do without it are also tested without it
    torch = None
else:
    torch.set_num_threads(1)
settings.register_profile(
    "lossviz",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],  # a loaded machine
)
settings.load_profile("lossviz")
# what was computed in tests leaves its marks apart from the user's own
_STATE = tempfile.TemporaryDirectory(prefix="lossviz-state-")
os.environ["XDG_STATE_HOME"] = _STATE.name


@pytest.fixture(autouse=True)
def global_state_is_left_alone():
    """The library changes neither the global generator, nor gradients, nor threads."""
    before = _torch_state()
    yield
    assert _torch_state() == before


def _torch_state():
    return torch and (torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype())
