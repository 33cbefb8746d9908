"""A caption for a paper: what a figure shows and how it was made, in a few sentences, as text and as LaTeX."""

from __future__ import annotations

from lossviz import __version__
from lossviz.render.paper.legend import BEST
from lossviz.render.scene import Scene
from lossviz.render.text.footer import examples_text, precision_text
from lossviz.render.values.cells import Cell
from lossviz.render.values.scale import SCALE_WORDS
from lossviz.render.values.uncertainty import samples_some
from lossviz.render.words.plane_text import centre_text, plane_phrase
from lossviz.render.words.quantity import quantity_label

LATEX = {
    **{sign: "\\" + sign for sign in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "–": "--"},
    **{"α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "λ": r"$\lambda$", "θ*": r"$\theta^*$", "θ": r"$\theta$"},
    **{"×": r"$\times$", "±": r"$\pm$", "∞": r"$\infty$", "‖": r"$\Vert$", "°": r"$^\circ$", "·": r"$\cdot$"},
}
RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def paper_caption(scene: Scene) -> str:
    """The caption of a map, surface or profile as plain text."""
    first = scene.panels[0]
    view = first.view
    words = quantity_label(view.name, view.split)
    subject = view.surface.subject
    titles = list(dict.fromkeys(panel.title for panel in scene.panels if panel.title))
    panels = f" ({', '.join(titles)})" if len(titles) > 1 and len(titles) == len(scene.panels) else ""
    grid = " × ".join(str(len(axis)) for axis in view.surface.plan.grid.axes)
    used = precision_text(view.surface) or view.surface.precision
    made = ", ".join(part for part in (f"{grid} grid", f"mean over {examples_text(view)}", str(used)) if part)
    sentences = [f"{words[:1].upper()}{words[1:]} of {subject}{panels} along {plane_phrase(view.surface)}; {made}."]
    sentences += [*_scales(scene), *_signs(scene)]
    plans = list(dict.fromkeys(panel.view.surface.plan.digest()[:10] for panel in scene.panels))
    named = plans[0] if len(plans) == 1 else ", ".join(plans[:4])
    sentences.append(f"Made with lossviz {__version__}, plan{'s' * (len(plans) > 1)} {named}.")
    return " ".join(sentences)


def to_latex(text: str) -> str:
    r"""A caption with its signs as LaTeX has them.

    Example:
        >>> to_latex("5 % at α = −1, 3×10⁻⁴ of θ*, a_b")
        '5 \\% at $\\alpha$ = $-$1, 3$\\times 10^{-4}$ of $\\theta^*$, a\\_b'
    """
    out, i = "", 0
    while i < len(text):
        power = 0
        while text.startswith(("10", "×10"), i) and i + 2 + text.startswith("×", i) + power < len(text):
            if text[i + 2 + text.startswith("×", i) + power] not in "⁻⁰¹²³⁴⁵⁶⁷⁸⁹":
                break
            power += 1
        start = i + 2 + text.startswith("×", i)
        if power:
            times = r"\times " if text.startswith("×", i) else ""
            out += f"${times}10^{{{text[start : start + power].translate(RAISED)}}}$"
            i = start + power
            continue
        sign = text[i : i + 2] if text[i : i + 2] in LATEX else text[i]
        out += LATEX.get(sign, sign)
        i += len(sign)
    return rf"{out}"


def _scales(scene: Scene) -> list[str]:
    sentences = []
    for key in scene.keys:
        kind = SCALE_WORDS[key.scale.kind]
        unit = " %" * key.percent
        ends = f"{key.text(key.scale.low)}{unit} to {key.text(key.scale.high)}{unit}"
        shared = " shared by all panels" if len(scene.panels) > 1 and len(scene.keys) == 1 else ""
        clipped = sum(panel.counts[Cell.CLIPPED] for panel in scene.panels if scene.key_of(panel) is key)
        beyond = f"; {clipped} points above are clipped (dotted)" if clipped else ""
        sentences.append(f"{scene.easel.read_by} on a {kind} scale{shared}, {ends}{beyond}.")
    return sentences


def _signs(scene: Scene) -> list[str]:
    marks = {mark.kind for panel in scene.panels for mark in panel.shown_marks}
    parts = []
    if "trained" in marks:
        parts.append(f"circle: {centre_text(scene.panels[0].view.surface)}")
    best = [words for kind, words in BEST.items() if kind in marks and scene.easel.planar]
    parts += [f"cross: {words} where it is another" for words in best]
    if any(key.chance is not None for key in scene.keys):
        chance = next(key.chance_text for key in scene.keys if key.chance is not None)
        parts.append(f"dashed: {chance}")
    infinite = sum(panel.counts[Cell.PLUS_INF] + panel.counts[Cell.NAN] for panel in scene.panels)
    if infinite:
        parts.append(f"hatched: {infinite} points without a finite value")
    sentences = [f"{'; '.join(parts)[:1].upper()}{'; '.join(parts)[1:]}."] if parts else []
    if any(panel.paths for panel in scene.panels):
        lifted = ", and lifted to its own loss, which is not the surface's" if scene.easel.relief else ""
        sentences.append(
            f"The path is that of the nearest points of the plane to the snapshots{lifted}; the strip shows what the "
            "plane does not."
        )
    if scene.easel.ribbons and any(samples_some(panel) for panel in scene.panels):
        sentences.append("Ribbons: two standard errors.")
    return sentences
