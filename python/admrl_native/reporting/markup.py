"""HTML in small pieces; what is given as text is escaped."""

from __future__ import annotations

import base64
import html
import pathlib
from collections.abc import Iterable, Sequence

from .style import Look

_TYPES = {".svg": "image/svg+xml", ".png": "image/png", ".webp": "image/webp"}


class Markup(str):
    """Text that is HTML already."""


def escaped(text: str) -> Markup:
    """HTML that shows a text."""
    return text if isinstance(text, Markup) else Markup(html.escape(text))


def joined(parts: Iterable[str], between: str = "") -> Markup:
    """One after the other."""
    return Markup(between.join(escaped(p) for p in parts))


def element(name: str, *content: str, **attributes: str) -> Markup:
    """<name attributes>content</name>; an attribute's "_" is "-", "class_" is class."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for key, value in attributes.items()
    )
    return Markup(f"<{name}{written}>{joined(content)}</{name}>")


def paragraph(*content: str, class_: str = "") -> Markup:
    return element("p", *content, **({"class_": class_} if class_ else {}))


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, words: Sequence[int] = (0,)
) -> Markup:
    """A table that scrolls by itself where the screen is narrow.

    Args:
        head: of the columns.
        rows: cells.
        words: columns of words, aligned left; the others are numbers, aligned right.
    """

    def row(name: str, cells: Sequence[str]) -> Markup:
        return element(
            "tr",
            *(element(name, c, class_="word" if i in words else "number")
              for i, c in enumerate(cells)),
        )  # fmt: skip

    body = element("tbody", *(row("td", r) for r in rows))
    return element("div", element("table", element("thead", row("th", head)), body), class_="wide")


def image(path: pathlib.Path, text: str) -> Markup:
    """A picture inside the page itself."""
    data = base64.b64encode(path.read_bytes()).decode()
    source = f"data:{_TYPES[path.suffix]};base64,{data}"
    return Markup(f'<img src="{source}" alt="{html.escape(text)}">')


def figure(content: str, caption: str, class_: str = "") -> Markup:
    return element(
        "figure",
        element("div", content, class_="wide"),
        element("figcaption", caption),
        **({"class_": class_} if class_ else {}),
    )


def badge(label: str, look: Look) -> Markup:
    """The name of a method, with its colour and marker as in the figures."""
    return element("span", _sign(look), Markup("&nbsp;"), element("b", label), class_="badge")


def _sign(look: Look) -> Markup:
    """A tiny drawing of the marker."""
    shapes = {
        "o": '<circle cx="6" cy="6" r="5"/>',
        "s": '<rect x="1.5" y="1.5" width="9" height="9"/>',
        "D": '<polygon points="6,0 12,6 6,12 0,6"/>',
        "^": '<polygon points="6,0.5 12,11.5 0,11.5"/>',
        "v": '<polygon points="6,11.5 12,0.5 0,0.5"/>',
        "P": '<polygon points="4,0 8,0 8,4 12,4 12,8 8,8 8,12 4,12 4,8 0,8 0,4 4,4"/>',
        "X": '<path d="M1,1 L11,11 M11,1 L1,11" stroke-width="4" stroke="currentColor"/>',
        "*": '<polygon points="6,0 8,4 12,5 9,8 10,12 6,10 2,12 3,8 0,5 4,4"/>',
    }  # fmt: skip
    return Markup(
        f'<svg class="sign" viewBox="0 0 12 12" style="fill:{look.colour};color:{look.colour}" '
        f'aria-hidden="true">{shapes[look.marker]}</svg>'
    )
