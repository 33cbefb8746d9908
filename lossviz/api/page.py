"""The interactive page as an object: shown within a notebook in a frame of its own, saved as one HTML file."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path

HEIGHT_PX = 640


@dataclass(frozen=True, repr=False)
class Page:
    """One self-contained HTML document.

    Attributes:
        content: Its bytes, UTF-8.

    Example:
        >>> page = Page(b"<!doctype html><p>hello")
        >>> page
        Page of 0.0 kB; show it at the end of a cell, or page.save('net.html')
    """

    content: bytes

    def __repr__(self) -> str:
        return f"Page of {len(self.content) / 1000:.1f} kB; show it at the end of a cell, or page.save('net.html')"

    def _repr_html_(self) -> str:
        """A frame whose scripts and styles neither see the notebook's nor are seen by it."""
        inner = html.escape(self.content.decode("utf-8"), quote=True)
        return (
            f'<iframe srcdoc="{inner}" sandbox="allow-scripts allow-downloads" loading="lazy" '
            f'style="width:100%;height:{HEIGHT_PX}px;border:0;color-scheme:normal"></iframe>'
        )

    def save(self, path: Path | str) -> Path:
        """Write the page as a file; its path.

        Raises:
            UnwritableError: If it cannot be written there.
        """
        from lossviz.store.atomic_file import write_whole

        path = Path(path)
        write_whole(path, self.content)
        return path
