"""The device that model and examples lie on, by its name, and the machine it is part of."""

from __future__ import annotations

import datetime
import os
import platform
import socket
import sys

import numpy as np
import torch

import lossviz
from lossviz.errors import UsageError
from lossviz.records.session import Session


def choose_device(name: str) -> torch.device:
    """The device of that name; ``"auto"`` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        UsageError: If torch does not know the name or cannot reach the device.
    """
    if name == "auto":
        kinds = (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available()), ("cpu", True))
        name = next(kind for kind, there in kinds if there)
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        if "device type at start of device string" in str(error):
            raise UsageError(f"There is no device {name!r}; write --device auto, cpu, cuda, cuda:1 or mps.") from None
        first = str(error).splitlines()[0].split(". ")[0].rstrip(".")  # torch goes on with all it knows
        raise UsageError(f"--device {name} cannot be used here: {first}. Use --device auto or --device cpu.") from None
    return device


def session_facts(device: str) -> Session:
    """One row of provenance: which machine and software computes, since when."""
    return Session(
        host=socket.gethostname(),
        pid=os.getpid(),
        started=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        device=device,
        **gpu_facts(device),
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=np.__version__,
        lossviz=lossviz.__version__,
        command_line=" ".join(sys.argv),
    )


def gpu_facts(device: str) -> Session:
    """Which GPU a device is, and the versions of its libraries; empty for others."""
    if not device.startswith(("cuda", "auto")) or not torch.cuda.is_available():
        return Session()
    index = torch.device(device).index if device.startswith("cuda:") and device != "cuda:all" else None
    cudnn = torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None
    return Session(gpu=torch.cuda.get_device_name(index), cuda=torch.version.cuda, cudnn=cudnn)
