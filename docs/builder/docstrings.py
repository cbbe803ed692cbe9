"""The docstrings as Markdown: the formula in front, and the fields, Shapes, Backward, Errors and so on, as a list.

Docstrings here are plain text, in which `*` is a product and `<-` an arrow; nothing of that may be taken for Markdown.
"""

from __future__ import annotations

import html
import inspect
import re
from typing import Any

from griffe import Extension, Object

__all__ = ["Docstrings", "markdown"]

FIELD = re.compile(r"([A-Z][a-z]+):(?:\s+(.*))?$")
NAMES = {"Shapes", "Backward", "Predict", "Init", "Note", "Errors", "Error", "Source", "Sources", "Example", "Range"}
FORMULA = re.compile(r" (=|<-) ")
ITS_OWN = re.compile(r"([\\*_\[\]|$])|^(?=#)", re.MULTILINE)


class Docstrings(Extension):
    """Rewrites every docstring that is going to be shown."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(doc: str) -> str:
    """A docstring as Markdown."""
    parts: list[str] = []
    paragraphs = re.split(r"\n{2,}", inspect.cleandoc(doc))
    for number, paragraph in enumerate(paragraphs):
        lines = paragraph.splitlines()
        if all(line.startswith("    ") for line in lines):
            parts.append(paragraph)  # code
            continue
        text, fields = [], []
        for line in lines:
            start = FIELD.match(line)
            if start and start[1] in NAMES:
                fields.append((start[1], [start[2] or ""]))
            elif fields:
                fields[-1][1].append(line.strip())
            else:
                text.append(line)
        if text:
            shown = escaped("\n".join(text))
            parts.append(f"{shown}\n{{ .formula-line }}" if number == 0 and FORMULA.search(lines[0]) else shown)
        if fields:
            parts.append("\n".join(f"- **{name}:** {escaped(' '.join(words).strip())}" for name, words in fields))
    return "\n\n".join(parts)


def escaped(text: str) -> str:
    """The text with what Markdown would take for its own, outside of code, made harmless."""
    pieces = re.split(r"(`[^`\n]*`)", text)
    return "".join(
        piece if i % 2 else ITS_OWN.sub(r"\\\1", html.escape(piece, quote=False)) for i, piece in enumerate(pieces)
    )
