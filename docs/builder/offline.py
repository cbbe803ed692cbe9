"""Whether a page can be read without a network: what it would fetch from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["fetched", "fetched_by_site"]

ELSEWHERE = re.compile(
    r"""<(?:link|script|img|iframe|source|video|audio|embed|object|use)\b[^>]*?
        \s(?:href|src|srcset|data|poster|xlink:href)=["']?\s*((?:https?:)?//[^"'\s>]+)""",
    re.VERBOSE | re.IGNORECASE,
)
STYLE = re.compile(r"""(?:@import\s*["']?|url\(\s*["']?)((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)
MERMAID = re.compile(r'class="mermaid"')  # the theme would fetch the script that draws it


def fetched(text: str) -> list[str]:
    """The addresses on other machines that a page or a style sheet would load something from; links are none."""
    return [*ELSEWHERE.findall(text), *STYLE.findall(text), *(["mermaid.js"] if MERMAID.search(text) else [])]


def fetched_by_site(folder: Path) -> list[str]:
    """The same for all pages and style sheets in a folder, each with its file."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".html", ".css"))
    return [
        f"{path.relative_to(folder)}: {address}"
        for path in files
        for address in fetched(path.read_text(encoding="utf-8"))
    ]
