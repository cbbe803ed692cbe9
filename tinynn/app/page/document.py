"""The page as one HTML text, with its style, its program and its data within it: nothing else is loaded."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

__all__ = ["document", "policy"]

FILES = Path(__file__).with_name("files")
SCRIPTS = ("digitise.js", "network.js", "brain.js", "pad.js", "page.js")
LONGEST_NAME = 80


def document(name: str, classes: Sequence[str], **data: Any) -> str:
    """The page for a network of that name, which tells these classes apart.

    `data`: `layers`, the network itself as `export.described` has it, for a page that reads without a server;
    `keeps`: whether the server keeps corrections.
    """
    name = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."
    text = json.dumps({"name": name, "classes": classes, **data}, allow_nan=False)
    return Template(file("page.html")).substitute(
        title=html.escape(name),
        policy=policy("'none'" if "layers" in data else "'self'"),
        style=file("page.css"),
        script=script(),
        # Within a script element only "<" could end it, or begin a comment; as an escape JSON reads it again.
        data=text.replace("<", "\\u003c"),
    )


def policy(connect: str) -> str:
    """The content security policy: this style and this program, by their hashes, and nothing else."""
    return (
        f"default-src 'none'; script-src {digest(script())}; style-src {digest(file('page.css'))}; img-src data:; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


@cache
def file(name: str) -> str:
    return (FILES / name).read_text(encoding="utf-8")


@cache
def script() -> str:
    """All of the program: one element, one hash."""
    return "".join(file(name) for name in SCRIPTS)


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
