"""What the tests of `explain` and of the report, which shows it, share: layers that are odd, and a reader of HTML."""

from __future__ import annotations

import threading
from html.parser import HTMLParser
from typing import Any

from tinynn import Layer

__all__ = ["Locked", "Odd", "Reader"]


class Odd(Layer):
    """y = <script>alert(1)</script> & x."""

    def __init__(self, name: str) -> None:
        self.name = name

    def forward(self, x: Any) -> Any:
        return x * 1, None

    def backward(self, dy: Any, cache: None) -> Any:
        return dy


class Locked(Layer):
    """y = x, under a lock, so that no copy can be made of it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def forward(self, x: Any) -> Any:
        return x * 1, None

    def backward(self, dy: Any, cache: None) -> Any:
        return dy


class Reader(HTMLParser):
    """The tags and the text of a piece of HTML, in which all that is opened must be closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        if tag not in ("br", "img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += f"{data}\n"
