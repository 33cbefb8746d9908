"""The devices themselves: a small library, compiled once, that torch must find before it looks for CUDA."""

import ctypes
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("guard.cpp")


def load() -> ctypes.CDLL:
    """Compile the library with g++ (some seconds, kept in the temporary folder) and load it."""
    assert "torch" not in sys.modules, "a pretend machine must be there before torch is imported"
    found = importlib.util.find_spec("torch")
    assert found is not None and found.submodule_search_locations
    home = Path(found.submodule_search_locations[0])
    assert not (home / "lib/libtorch_cuda.so").exists(), "this torch has CUDA itself"
    # of this user, torch and source alone
    stamp = f"{(home / 'version.py').stat().st_mtime_ns}_{SOURCE.stat().st_mtime_ns}"
    built = Path(tempfile.gettempdir()) / f"lossviz_pretend_{os.getuid()}_{stamp}.so"
    if not built.exists():
        part = built.with_suffix(f".{os.getpid()}")
        where = [f"-I{home}/include", f"-L{home}/lib", f"-Wl,-rpath,{home}/lib"]
        how = ["-std=c++20", "-shared", "-fPIC", "-O0", "-w"]
        subprocess.run(["g++", *how, str(SOURCE), "-o", str(part), *where, "-lc10", "-ltorch_cpu"], check=True)
        part.replace(built)
    return ctypes.CDLL(str(built), ctypes.RTLD_GLOBAL)


_library = load()


def current_device() -> int:
    """Index of the current device."""
    return _library.pretend_get_device()


def set_current_device(index: int) -> None:
    """Make a device the current one."""
    _library.pretend_set_device(index)
