"""Libraries that lossviz can do without, imported when they are asked for."""

from __future__ import annotations

import importlib
from typing import Any

from lossviz.errors import MissingExtraError


def need(module: str, purpose: str) -> Any:
    """Import an optional library.

    Raises:
        MissingExtraError: If it is not installed, with what to type.

    Example:
        >>> need("no_such_library", "to_dataframe")
        Traceback (most recent call last):
        lossviz.errors.MissingExtraError: to_dataframe needs no_such_library: pip install no_such_library
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(f"{purpose} needs {module}: pip install {module}") from error
