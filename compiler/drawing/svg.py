"""SVG text: the elements pictures are made of, their colours, and how wide text is.

In: coordinates and text of any kind. Out: XML, escaped. Fonts are the generic monospace one, so
that the width of a text is known without a font; colours come in a light and a dark set.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from ...grammar.source import columns, visible

FONT = 12.0  # px
LINE = 16.0  # px from line to line
SIGN = 7.4  # px a sign takes; monospace fonts have 0.6 of their size, or a little more
ROUND = 5

# What a shape is -> its fill, line and text, in light and in dark.
COLOURS: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "once": (("#dfe6f3", "#8796b8"), ("#2b3447", "#7f90b5")),
    "before": (("#cfe4fb", "#3f86cf"), ("#17385a", "#5aa2e8")),
    "step": (("#d6f0d8", "#46a052"), ("#1c4023", "#5fbf6d")),
    "after": (("#e6dcf7", "#8b67c4"), ("#39285a", "#a888e0")),
    "saved": (("#ffe9b8", "#c98a00"), ("#55400e", "#e0aa33")),
    "param": (("#eeeeee", "#a0a0a0"), ("#35383c", "#8a8d91")),
    "input": (("#ffffff", "#707070"), ("#26292d", "#b5b8bc")),
    "carry": (("#ffffff", "#46a052"), ("#26292d", "#5fbf6d")),
}
PLAIN = {
    "page": ("#ffffff", "#1b1d20"),
    "band": ("#f6f7f8", "#222529"),
    "ink": ("#1d2125", "#e4e6e8"),
    "quiet": ("#5c646c", "#a2a9b0"),
    "edge": ("#88909a", "#868e97"),
}


def style() -> str:
    """The style sheet. Names begin with `rnnc-`, as a page shares them among its pictures."""

    def rules(at: int) -> Iterable[str]:
        for name, sets in COLOURS.items():
            fill, line = sets[at]
            yield f".rnnc-{name}{{fill:{fill};stroke:{line}}}"
        page, band, ink, quiet, edge = (PLAIN[n][at] for n in PLAIN)
        yield f".rnnc-page{{fill:{page}}}.rnnc-band{{fill:{band}}}.rnnc-ink{{fill:{ink}}}"
        yield f".rnnc-quiet{{fill:{quiet}}}.rnnc-edge{{stroke:{edge};fill:none}}"
        yield f".rnnc-head{{fill:{edge}}}.rnnc-mark{{fill:{COLOURS['saved'][at][1]}}}"

    dark = "".join(rules(1))
    text = f".rnnc-text{{font:{FONT:g}px monospace}}.rnnc-small{{font-size:11px}}"
    return f"{text}{''.join(rules(0))}@media(prefers-color-scheme:dark){{{dark}}}"


def width(text: str) -> float:
    """px."""
    return columns(text) * SIGN


def wrapped(text: str, most: int, lines: int) -> list[str]:
    """Lines of at most about `most` signs, broken at spaces; what does not fit is cut."""
    found, line = [], ""
    for word in text.split(" "):
        if line and columns(line) + columns(word) + 1 > most:
            found.append(line)
            line = f"  {word}"
        else:
            line = f"{line} {word}" if line else word
    found.append(line)
    if len(found) > lines:
        found = [*found[: lines - 1], f"{found[lines - 1]} ..."]
    return [shortened(line, most + most // 2) for line in found]


def shortened(text: str, most: int) -> str:
    """At most `most` signs of a text."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def rect(kind: str, x: float, y: float, wide: float, high: float, *, radius: float = ROUND,
         line: float = 1.0) -> str:  # fmt: skip
    """A rectangle in the colours of `kind`."""
    return (
        f'<rect class="rnnc-{kind}" x="{_px(x)}" y="{_px(y)}" width="{_px(wide)}" '
        f'height="{_px(high)}" rx="{radius:g}" stroke-width="{line:g}"/>'
    )


def text(words: str, x: float, y: float, *, kind: str = "ink", middle: bool = False,
         small: bool = False, bold: bool = False) -> str:  # fmt: skip
    """One line of text, whatever is in it."""
    names = f"rnnc-text rnnc-{kind}" + " rnnc-small" * small
    more = ' text-anchor="middle"' * middle + ' font-weight="bold"' * bold
    return (
        f'<text class="{names}" x="{_px(x)}" y="{_px(y)}" xml:space="preserve"{more}>'
        f"{escape(visible(words))}</text>"
    )


def curve(points: Sequence[tuple[float, float]]) -> str:
    """A curve that passes its points upright, with an arrow's head at the last."""
    (x, y), *rest = points
    path = [f"M{_px(x)} {_px(y)}"]
    for at, (to_x, to_y) in enumerate(rest):
        end = to_y - (6 if at == len(rest) - 1 else 0)
        half = (y + end) / 2
        path.append(f"C{_px(x)} {_px(half)} {_px(to_x)} {_px(half)} {_px(to_x)} {_px(end)}")
        x, y = to_x, end
    head = f"M{_px(x - 3.5)} {_px(y)}h7l-3.5 6z"
    return f'<path class="rnnc-edge" d="{"".join(path)}"/><path class="rnnc-head" d="{head}"/>'


def line(points: Sequence[tuple[float, float]]) -> str:
    """A straight line from point to point."""
    path = "L".join(f"{_px(x)} {_px(y)}" for x, y in points)
    return f'<path class="rnnc-edge" d="M{path}"/>'


def arrow(x: float, y: float, to: float) -> str:
    """A level arrow."""
    step = 6 if to > x else -6
    return (
        f'<path class="rnnc-edge" d="M{_px(x)} {_px(y)}H{_px(to - step)}"/>'
        f'<path class="rnnc-head" d="M{_px(to - step)} {_px(y - 3.5)}v7l{step} -3.5z"/>'
    )


def document(title: str, wide: float, high: float, parts: Iterable[str]) -> str:
    """The whole picture, as XML that may also stand in a page."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{_px(wide)}" '
            f'height="{_px(high)}" viewBox="0 0 {_px(wide)} {_px(high)}">',
            f"<title>{escape(visible(title))}</title>",
            f"<style>{style()}</style>",
            rect("page", 0, 0, wide, high, radius=0, line=0),
            *parts,
            "</svg>\n",
        ]
    )


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
