"""The report: one HTML page that needs nothing else, with the figures, the plan in words, the checks and the doubts.

Everything that comes from a file or the command line is escaped; figures are pictures within the page.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from lossviz import __version__
from lossviz.errors import UsageError
from lossviz.records.remark import write_remarks
from lossviz.records.shape import CAUTION
from lossviz.records.surface import Surface
from lossviz.records.table import Table
from lossviz.render.draw.figure import draw_bytes
from lossviz.render.export.csv_table import write_csv
from lossviz.render.page.page import write_page
from lossviz.render.page.paper_caption import paper_caption, to_latex
from lossviz.render.scene import Scene, make_scene
from lossviz.render.text.caution import difference_cautions
from lossviz.render.text.findings import (
    PROVES,
    PROVES_NOT,
    READING,
    plan_table,
    remarks_on,
    scalar_table,
)
from lossviz.render.values.comparison import comparison_table
from lossviz.render.words.quantity import quantity_label

LARGEST = 3_000_000  # bytes of the page
LARGEST_TABLE = 300_000  # bytes of a table carried in the page
DPI = {"surface": 170, "line": 170, "contour": 170}


@dataclass(frozen=True, eq=False)
class Plate:
    """One figure of a report.

    Attributes:
        heading: Above it.
        scene: What is seen.
        suffix: ``".png"``, or ``".svg"`` for figures of lines alone.
    """

    heading: str
    scene: Scene
    suffix: str


def write_report(
    surfaces: Sequence[Surface],
    titles: Sequence[str],
    *,
    title: str | None = None,
    command: str | None = None,
) -> bytes:
    """The whole page as UTF-8 HTML, under 3 MB.

    Args:
        surfaces: At least one, of one dimension.
        titles: A name for each.
        title: Of the page; by default the names.
        command: The command line, for the page's description of itself.

    Raises:
        UsageError: If there is no surface, or the surfaces do not fit one report.
    """
    if not surfaces or len({surface.plan.grid.dimension for surface in surfaces}) > 1:
        raise UsageError("A report takes surfaces of one dimension; give lines, planes and cubes reports of their own.")
    # 1. figures, as large as the page allows
    for scale in (1.0, 0.7, 0.45):
        plates = _make_plates(surfaces, titles, scale)
        figures = [_figure(plate) for plate in plates]
        if sum(map(len, figures)) < 0.8 * LARGEST:
            break
    # 2. the page, with the live view and the tables where there is room for them
    heading = title or ", ".join(titles)
    optional = [_live(surfaces, titles), *(_download(s, t) for s, t in zip(surfaces, titles, strict=True))]
    room = LARGEST - sum(map(len, figures)) - 60_000
    for i, part in enumerate(optional):
        optional[i], room = (part, room - len(part)) if len(part) < room else ("", room)
    live, downloads = optional[0], "".join(optional[1:])
    body = "\n".join(
        [
            _header(heading, surfaces, titles, command),
            "<h2>How to read this</h2>" + _list(READING),
            "<h2>Figures</h2>" + "".join(figures) + live,
            "<h2>In numbers</h2>"
            + _comparison(surfaces, titles)
            + "".join(_scalars(s, t) for s, t in zip(surfaces, titles, strict=True)),
            "<h2>The plan</h2>" + "".join(_plan(s, t, len(surfaces)) for s, t in zip(surfaces, titles, strict=True)),
            "<h2>Checks and doubts</h2>" + _differences(surfaces, titles)
            + "".join(_checks(s, t, len(surfaces)) for s, t in zip(surfaces, titles, strict=True)),
            "<h2>What these pictures show, and what they do not</h2><h3>They show</h3>" + _list(PROVES)
            + "<h3>They do not prove</h3>" + _list(PROVES_NOT),
            "<h2>Captions for the paper</h2>" + "".join(map(_paper_caption, plates[:2])),
            f'<div class="downloads"><h2>Data</h2>{downloads}</div>' if downloads else "",
        ]
    )  # fmt: skip
    return _fill(heading, body, [plate.scene.metadata for plate in plates], command).encode()


def _make_plates(surfaces: Sequence[Surface], titles: Sequence[str], scale: float) -> list[Plate]:
    dimension, several = surfaces[0].plan.grid.dimension, len(surfaces) > 1
    wanted: list[tuple[str, dict[str, Any]]] = []
    if dimension > 1:
        wanted.append(("The map", {"kind": "contour"}))
        wanted.append(("The surface", {"kind": "surface", "footer": False}))
    wanted.append(("Along each direction" if dimension > 1 else "The profile", {"kind": "line"}))
    losses = [name for name in surfaces[0].names if name.endswith("_loss") and all(name in s.names for s in surfaces)]
    if dimension == 2 and len(losses) > 1 and not several:
        together = {"kind": "contour", "quantity": losses[:3], "path": False}
        wanted.append(("Every part of the data, on one scale", together))
    elif dimension == 2:
        others = losses[1:3]
        wanted += [
            (f"{_heading(surfaces[0], n)}, on a scale of its own", {"kind": "contour", "quantity": n, "path": False})
            for n in others
        ]
    plates = []
    for heading, words in wanted:
        dpi = max(50, round(scale * DPI[words["kind"]]))
        scene = make_scene(surfaces, titles=list(titles) if several else None, style="wide", dpi=dpi, **words)
        plates.append(Plate(heading, scene, ".png" if scene.easel.planar else ".svg"))
    return plates


def _heading(surface: Surface, name: str) -> str:
    words = quantity_label(name, surface.split_of(name))
    return words[:1].upper() + words[1:]


def _figure(plate: Plate) -> str:
    data = base64.b64encode(draw_bytes(plate.scene, plate.suffix)).decode()
    kind = "svg+xml" if plate.suffix == ".svg" else "png"
    caption = html.escape(plate.scene.caption.strip()).replace("\n\n", "<br>")
    width = round(96 * plate.scene.layout.width * 1.3)
    return (
        f'<h3>{html.escape(plate.heading)}</h3><figure><img alt="{html.escape(plate.heading)}" width="{width}" '
        f'src="data:image/{kind};base64,{data}"><figcaption><details><summary>In words</summary>{caption}</details>'
        "</figcaption></figure>"
    )


def _paper_caption(plate: Plate) -> str:
    text = paper_caption(plate.scene)
    return (
        f"<h3>{html.escape(plate.heading)}</h3><blockquote>{html.escape(text)}</blockquote><details><summary>As LaTeX"
        f"</summary><blockquote><code>\\caption{{{html.escape(to_latex(text))}}}</code></blockquote></details>"
    )


def _live(surfaces: Sequence[Surface], titles: Sequence[str]) -> str:
    if surfaces[0].plan.grid.dimension != 2:
        return ""
    scene = make_scene(surfaces, kind="html", titles=list(titles) if len(surfaces) > 1 else None)
    page = write_page(scene, None).decode()
    return (
        '<details class="live"><summary>Turn it</summary><iframe title="Interactive surface" sandbox="allow-scripts" '
        f'loading="lazy" srcdoc="{html.escape(page)}"></iframe></details>'
    )


def _download(surface: Surface, title: str) -> str:
    if surface.plan.grid.size * len(surface.names) * 60 > LARGEST_TABLE:  # about so many bytes a row
        return ""
    table = write_csv([surface], [title])
    data = base64.b64encode(table).decode()
    link = f'<a download="{html.escape(_file_name(title))}" href="data:text/csv;base64,{data}">'
    return f"<p>{link}{html.escape(title)} as CSV</a></p>"


def _file_name(title: str) -> str:
    """A name for the table of a surface, of letters that every file system takes."""
    return re.sub(r"[^\w.-]+", "-", title).strip("-.")[:80] + ".csv" if re.search(r"\w", title) else "surface.csv"


def _header(heading: str, surfaces: Sequence[Surface], titles: Sequence[str], command: str | None) -> str:
    networks = ", ".join(dict.fromkeys(s.facts.model or s.plan.problem.source for s in surfaces))
    words = f"lossviz {__version__} · {networks} · {len(surfaces)} surface{'s' * (len(surfaces) > 1)}"
    made = f'<p class="muted"><code>{html.escape(command)}</code></p>' if command else ""
    return f'<h1>{html.escape(heading[:300])}</h1><p class="lead">{html.escape(words)}</p>{made}'


def _scalars(surface: Surface, title: str) -> str:
    table = scalar_table(surface)
    if not table.records:
        return f"<h3>{html.escape(title)}</h3><p>No point has been evaluated yet.</p>"
    return f"<h3>{html.escape(title)}</h3>{_wide(table)}"


def _comparison(surfaces: Sequence[Surface], titles: Sequence[str]) -> str:
    """For several surfaces a table of each quantity that all of them have."""
    if len(surfaces) < 2:
        return ""
    shared = [name for name in surfaces[0].names if all(name in surface.sums for surface in surfaces)]
    parts = [
        f"<h3>{html.escape(_heading(surfaces[0], n))}</h3>{_wide(comparison_table(surfaces, titles, n))}"
        for n in shared
    ]
    return "".join(parts) + f'<p class="muted">{html.escape(CAUTION)}</p>' if parts else ""


def _wide(table: Table) -> str:
    return f'<div class="wide">{table.to_html()}</div>'


def _plan(surface: Surface, title: str, count: int) -> str:
    return (f"<h3>{html.escape(title)}</h3>" if count > 1 else "") + plan_table(surface).to_html()


def _differences(surfaces: Sequence[Surface], titles: Sequence[str]) -> str:
    items = "".join(write_remarks(difference_cautions(surfaces, titles), "html"))
    return f"<ul>{items}</ul>" if items else ""


def _checks(surface: Surface, title: str, count: int) -> str:
    remarks = remarks_on(surface)
    nothing = [] if any(r.level == "doubt" for r in remarks) else ["<li>Nothing else to doubt was found.</li>"]
    items = "".join([*write_remarks(remarks, "html"), *nothing])
    return (f"<h3>{html.escape(title)}</h3>" if count > 1 else "") + f"<ul>{items}</ul>"


def _list(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{html.escape(text)}</li>' for text in sentences)}</ul>" if sentences else ""


def _fill(heading: str, body: str, facts: Sequence[dict[str, Any]], command: str | None) -> str:
    folder = resources.files("lossviz.render") / "page"
    metadata = {"lossviz": __version__, "figures": list(facts), **({"command": command} if command else {})}
    parts = {
        "__GENERATOR__": html.escape(f"lossviz {__version__}"),
        "__TITLE__": html.escape(heading[:300]),
        "__STYLE__": (folder / "report.css").read_text(encoding="utf-8"),
        "__BODY__": body,
        # "<" never appears in the data, so no text in it can end the script element
        "__METADATA__": json.dumps(metadata, allow_nan=False).replace("<", "\\u003c"),
    }
    page = (folder / "report.html").read_text(encoding="utf-8")
    before = ""
    for mark, part in parts.items():  # in the order of the page, so that no part is searched for another's mark
        head, _, page = page.partition(mark)
        before += head + part
    return before + page
