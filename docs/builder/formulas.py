r"""Formulas: LaTeX between dollar signs becomes MathML when the site is built, so a page needs no script to show them.

`pymdownx.arithmatex` finds them, and leaves `\(...\)` or `\[...\]` in an element of the class arithmatex.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

__all__ = ["characters", "math_font", "mathml", "with_mathml"]

ELEMENT = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
ROOM = '<mspace width="0.167em" />'
# Where MathML's own rules leave too little room, or too much.
SPACING = (
    (re.compile(r"(<mi>(?:log|exp|ln|tanh|cos|sin)</mi>)(?!<mo[^>]*>&#x00028;)"), rf"\1{ROOM}"),
    (re.compile(r"<mo>(/|&#x0002F;|&#x02202;)</mo>"), r'<mo lspace="0" rspace="0">\1</mo>'),
    (re.compile(r"(<mo[^>]*>&#x(?:0003D|00028|0002C|02190|02248);</mo><mo)(>&#x02212;</mo>)"), r'\1 form="prefix"\2'),
    (re.compile(r"<mo>(&#x0221E;)</mo>"), r"<mi>\1</mi>"),
)
DRAWN = "()[]{}|+-=\u221a\u2212"
"""Characters that a formula may need without naming them, such as the sign of a root."""


def with_mathml(page: str) -> str:
    """The HTML of a page with its formulas as MathML. Errors: ValueError for one that cannot be read."""
    return ELEMENT.sub(lambda found: mathml(html.unescape(found[3]), block=found[2] == "["), page)


def mathml(latex: str, block: bool = False) -> str:
    r"""One formula; `\qquad` parts those that may come below each other. Errors: ValueError for an unknown command."""
    if block:
        parts = latex.split(r"\qquad") if r"\begin" not in latex else [latex]
        return f'<div class="formula">{"".join(converted(part, "block") for part in parts)}</div>'
    return converted(latex, "inline")


def converted(latex: str, display: str) -> str:
    """Without anything around it."""
    from latex2mathml.converter import convert

    found = convert(latex.strip(), display=display)
    if "\\" in found or re.search(r"&(?![#a-z])", found):
        raise ValueError(f"a formula that cannot be shown: {latex}")
    for pattern, better in SPACING:
        found = pattern.sub(better, found)
    # The search would find pieces of it.
    return found.replace("<math ", "<math data-search-exclude ", 1)


def characters(pages: str) -> set[str]:
    """All characters in the formulas of these pages."""
    formulas = re.findall(r"<math .*?</math>", pages, re.DOTALL)
    return set(html.unescape(re.sub(r"<[^>]*>", "", "".join(formulas))))


def math_font(used: set[str], path: Path) -> None:
    """Writes STIX Two Math, cut down to the characters in use: without a font of this kind roots and sums look poor.

    The font is under the SIL Open Font License; the package ziamath brings it. Its names and its licence stay in it.
    """
    import ziamath
    from fontTools import subset

    options = subset.Options(flavor="woff2", layout_features=["*"], name_IDs=["*"], notdef_outline=True)
    font = subset.load_font(str(Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf"), options)
    italic = {chr(0x1D434 + i) for i in range(52)} | {chr(0x1D6E2 + i) for i in range(58)} | {"\u210e"}
    subsetter = subset.Subsetter(options)
    subsetter.populate(text="".join(used | italic | set(DRAWN)))
    subsetter.subset(font)
    subset.save_font(font, str(path), options)
