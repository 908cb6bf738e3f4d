"""How tests read a report: its elements, its headings, what a person reads in it."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

_VOID = {"meta", "img", "input", "br", "hr", "link"}
_UNREAD = {"script", "style"}


class Page(HTMLParser):
    """A parsed page; every element that is opened must be closed in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.headings: list[tuple[int, str]] = []
        self.scripts: list[tuple[dict[str, str], str]] = []
        self.styles: list[str] = []
        self.words = ""
        self._open: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        assert len(known) == len(attrs), f"{tag} says something twice"
        self.elements.append((tag, known))
        if tag not in _VOID:
            self._open.append(tag)
        if tag in ("h1", "h2", "h3", "h4"):
            self.headings.append((int(tag[1]), ""))
        if tag == "script":
            self.scripts.append((known, ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside == "script":
            attributes, before = self.scripts[-1]
            self.scripts[-1] = attributes, before + data
        elif inside == "style":
            self.styles.append(data)
        else:
            self.words += data
            if inside in ("h1", "h2", "h3", "h4"):
                level, before = self.headings[-1]
                self.headings[-1] = level, before + data

    @property
    def text(self) -> str:
        """What is read, with single spaces."""
        return " ".join(self.words.split())

    def all(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        """Return the attributes of all elements of a name that have some of them so."""
        names = {name.rstrip("_"): value for name, value in wanted.items()}
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and names.items() <= attributes.items()
        ]

    def film(self, number: int = 1) -> dict[str, list[Any]]:
        """Return what the script plays of a run."""
        (found,) = [words for about, words in self.scripts if about.get("id") == f"film-{number}"]
        return dict(json.loads(found))
