"""float32 means float32, whichever of torch's switches was turned before."""

import subprocess
import sys

import pytest
import torch

from lossviz.problem.float32 import float32_as, float32_switches
from lossviz.problem.isolation import preserved_globals

WORDS = ["b.fp32_precision = 'tf32'", "b.cudnn.conv.fp32_precision = 'tf32'", "b.cuda.matmul.fp32_precision = 'tf32'",
         "torch.set_float32_matmul_precision('medium')"]  # fmt: skip
PROGRAM = """
import torch
from lossviz.problem.float32 import float32_as, float32_switches, read_switch
from lossviz.problem.isolation import preserved_globals
b = torch.backends

def read():
    return [read_switch(read) for read, _ in float32_switches()]

def turn():
    {words}

fresh = read()
with preserved_globals():
    turn()
assert read() == fresh, ("not put back", fresh, read())
turn()
turned = read()
for kind in ("float32", "tf32"):
    with float32_as(kind):
        tf32 = kind == "tf32"
        assert (b.cuda.matmul.allow_tf32, b.cudnn.allow_tf32) == (tf32, tf32)
        if hasattr(b.cudnn, "conv"):
            found = [owner.fp32_precision for owner in (b.cuda.matmul, b.cudnn.conv, b.cudnn.rnn, b.mkldnn.matmul)]
            assert found == ["tf32" if tf32 else "ieee"] * 3 + ["ieee"], found
        with b.cudnn.flags(enabled=False):  # reads the old switch
            pass
    assert all(now == then for now, then in zip(read(), turned) if then is not None), (kind, turned, read())
"""


@pytest.mark.parametrize("words", WORDS if hasattr(torch.backends.cudnn, "conv") else WORDS[-1:])
def test_float32_is_float32_and_everything_is_put_back(words):
    # in a process of its own: some switches cannot be turned back
    command = [sys.executable, "-W", "error", "-c", PROGRAM.format(words=words)]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_an_exception_puts_them_back_too():
    before = [read() for read, _ in float32_switches()]
    with pytest.raises(KeyError), preserved_globals(), float32_as("tf32"):
        raise KeyError
    assert [read() for read, _ in float32_switches()] == before
