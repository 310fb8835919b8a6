"""HTML and SVG as a tree, which escapes every text and attribute as it is written: no name of a series can become markup."""

from __future__ import annotations

from xml.etree.ElementTree import Element, tostring

Child = Element | str


def el(tag: str, *children: Child, **attributes: str | float) -> Element:
    """``el("td", "7", class_="n")`` is ``<td class="n">7</td>``; an underscore in a name stands for a hyphen."""
    made = Element(tag, {_name(name): _text(value) for name, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + _plain(child)
        else:
            made.text = (made.text or "") + _plain(child)
    return made


def written(root: Element) -> str:
    """As HTML."""
    return tostring(root, encoding="unicode", method="html")


def _name(name: str) -> str:
    return "viewBox" if name == "view_box" else name.rstrip("_").replace("_", "-")


def _text(value: str | float) -> str:
    return _plain(value) if isinstance(value, str) else f"{value:.6g}"


def _plain(text: str) -> str:
    """Without what no page can hold: controls, and halves of characters."""
    return "".join(c if c in "\n\t" or (ord(c) >= 32 and not 0xD800 <= ord(c) <= 0xDFFF) else "\ufffd" for c in text)
