"""The options of ``lossviz plot`` as arguments of a picture: the same names and meanings."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from lossviz.errors import UsageError

LOOKS = (
    "quantity", "scale", "clip", "vmin", "vmax", "zlim", "levels", "colours", "label", "style", "dark", "title",
    "samples", "smooth", "camera", "height", "floor", "path", "band", "footer", "diff", "ratio", "dpi",
)  # fmt: skip
ALSO = {"title": "titles", "diff": "difference", "view": "camera"}  # as the scene calls them


def scene_words(words: Mapping[str, Any]) -> dict[str, Any]:
    """The words of a picture as those of :func:`lossviz.render.scene.make_scene`.

    Raises:
        UsageError: For a word that names nothing, with the nearest one.

    Example:
        >>> scene_words({"title": "ResNet", "vmax": 3.0})
        {'titles': ['ResNet'], 'vmax': 3.0}
        >>> scene_words({"levls": [1]})
        Traceback (most recent call last):
        lossviz.errors.UsageError: levls is no option of a picture; did you mean levels?
    """
    known = (*LOOKS, *ALSO, *ALSO.values(), "most_panels")
    for name in words:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(LOOKS)}."
            raise UsageError(f"{name} is no option of a picture; {hint}")
    words = dict(words)
    if words.pop("ratio", False):
        words["diff"] = "ratio"
    given = {ALSO.get(name, name): value for name, value in words.items()}
    if isinstance(given.get("titles"), str):
        given["titles"] = [given["titles"]]
    return given
