"""A figure as SVG that lives inside the page: its colours follow the page's theme, its points can be asked what they are."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from vdmbench.figure_style import FAINT, INK, PALETTE, PAPER

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_THEMED = {
    INK.lower(): "var(--ink)",
    FAINT.lower(): "var(--faint)",
    PAPER.lower(): "none",
    "#ffffff": "var(--paper)",
    **{colour.lower(): f"var(--variant-{index})" for index, colour in enumerate(PALETTE)},
}
ElementTree.register_namespace("", "http://www.w3.org/2000/svg")
ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")


def inline_svg(markup: str, tips: Mapping[str, Sequence[str]], *, name: str, title: str) -> str:
    """A saved SVG without declaration, metadata or a fixed size; ids begin with ``name``, so that figures share none.

    Groups of a variant (``tips`` has their ids) carry ``data-variant``; each marker in them carries ``data-tip``, its line of
    text.
    """
    root = ElementTree.fromstring(markup)
    metadata = root.find(f"{_SVG}metadata")
    if metadata is not None:
        root.remove(metadata)
    for element in root.iter():
        _theme(element)
        if element.tag == f"{_SVG}g" and (lines := tips.get(element.get("id", ""))) is not None:
            element.set("data-variant", element.attrib["id"].rpartition("-")[0])
            _tell(element, lines)
        _own_ids(element, name)
    root.set("role", "img")
    root.set("aria-label", title)
    width, height = root.attrib.pop("width"), root.attrib.pop("height")
    root.set("style", f"max-width:{_pixels(width):.0f}px")
    root.attrib.setdefault("viewBox", f"0 0 {width} {height}")
    return (
        ElementTree.tostring(root, encoding="unicode")
        .replace(' xmlns="http://www.w3.org/2000/svg"', "")
        .replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
        .replace("xlink:href", "href")
    )


def _pixels(points: str) -> float:
    return float(points.removesuffix("pt")) * 4 / 3 * 1.25


def themed(style: str) -> str:
    """Inline style with the figure's colours as the page's variables."""
    return re.sub("#[0-9a-fA-F]{6}", lambda match: _THEMED.get(match[0].lower(), match[0]), style)


def _theme(element: ElementTree.Element) -> None:
    if style := element.get("style"):
        element.set("style", themed(style))


def _tell(group: ElementTree.Element, tips: Sequence[str]) -> None:
    marks = list(group.iter(f"{_SVG}use"))
    if len(marks) == len(tips):
        for mark, tip in zip(marks, tips, strict=True):
            mark.set("data-tip", tip)


def _own_ids(element: ElementTree.Element, name: str) -> None:
    if "id" in element.attrib:
        element.set("id", f"{name}-{element.attrib['id']}")
    for key in ("href", _LINK):
        if element.get(key, "").startswith("#"):
            element.set(key, f"#{name}-{element.attrib[key][1:]}")
    for key, value in element.attrib.items():
        if "url(#" in value:
            element.set(key, value.replace("url(#", f"url(#{name}-"))


def escaped(text: object) -> str:
    """Text as HTML shows it."""
    return html.escape(str(text))
