"""The HTML of a report: one page that needs nothing beside itself, and runs nothing."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

from tinynn.pictures.figure import as_bytes

__all__ = ["Section", "page", "picture", "preformatted", "table"]

STYLE = """
:root { color-scheme: light; }
body { margin: 2rem auto; max-width: 68rem; padding: 0 1rem; color: #222; background: #fff;
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; padding-bottom: .2rem; border-bottom: 1px solid #ddd; }
.said { color: #555; margin: 0 0 1.2rem; }
.numbers { display: flex; flex-wrap: wrap; gap: .8rem; }
.numbers div { border: 1px solid #ddd; border-radius: 6px; padding: .5rem 1rem; }
.numbers b { display: block; font-size: 1.3rem; font-variant-numeric: tabular-nums; }
.numbers span, td i { color: #666; font-size: .85rem; }
img { max-width: 100%; height: auto; display: block; margin: .4rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .9rem .15rem 0; text-align: left; vertical-align: top; }
th { font-weight: 600; border-bottom: 1px solid #ddd; }
tr.best { background: #e8f1fa; font-weight: 600; }
.wide { overflow-x: auto; }
.long { overflow: auto; max-height: 26rem; }
pre { overflow-x: auto; font: 13px/1.45 ui-monospace, Menlo, Consolas, monospace; margin: 0; }
"""

# No script, nothing from elsewhere: what a name in the page might smuggle in does not run either.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Section(NamedTuple):
    """A part of the page: its title, as text, and its body, as HTML."""

    title: str
    body: str


def page(
    title: str, said: str, numbers: Sequence[tuple[str, str]], sections: Sequence[Section], every: int | None
) -> str:
    """The page. `said`: how things stand; `numbers`: names and values above all else; `every`: seconds to a reload."""
    reload = "" if every is None else f'<meta http-equiv="refresh" content="{every}">'
    shown = "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in numbers)
    body = "".join(f"<section><h2>{escape(part.title)}</h2>{part.body}</section>\n" for part in sections)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">{reload}
<title>{escape(title)}</title><style>{STYLE}</style></head>
<body><h1>{escape(title)}</h1><p class="said">{escape(said)}</p>
<div class="numbers">{shown}</div>
{body}</body></html>
"""


def picture(figure: Any, kind: str, says: str) -> str:
    """A figure within the page, an inch of it 96 pixels wide: its letters are as large as those of the others.

    `kind`: "svg", or "png" where there are images in it; `says`: what it shows, for who does not see it.
    """
    data = base64.b64encode(as_bytes(figure, kind)).decode()
    mime, width = {"svg": "svg+xml", "png": "png"}[kind], round(96 * figure.get_figwidth())
    return f'<img alt="{escape(says)}" width="{width}" src="data:image/{mime};base64,{data}">'


def preformatted(text: str) -> str:
    """Text in columns, as a terminal shows it."""
    return f"<pre>{escape(text)}</pre>"


def table(rows: Sequence[Sequence[str]], head: Sequence[str] = (), marked: int | None = None) -> str:
    """Rows of text; `marked`: the one that stands out."""
    top = f"<thead><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr></thead>" if head else ""
    lines = []
    for i, row in enumerate(rows):
        look = ' class="best"' if i == marked else ""
        lines.append(f"<tr{look}>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>")
    look = "long" if head else "wide"  # epochs may be thousands
    return f'<div class="{look}"><table>{top}<tbody>{"".join(lines)}</tbody></table></div>'
