"""Code in the pages: included from the package by name, so that it is always the code that runs.

A page writes

    ```source
    tinynn/layers/affine.py Affine.forward Affine.backward
    ```

and shows those functions as they stand in the file. `readme` in the place of `source` includes a section of the README
by its heading, or with `-` what comes before the first; `extras` is the table of the extras in pyproject.toml. Links go
to files of the repository, as they are read there; on the site they go to the pages that show these files.
"""

from __future__ import annotations

import ast
import posixpath
import re
import textwrap
import tomllib
from pathlib import Path

__all__ = ["ROOT", "code_of", "expand", "extras", "relinked", "section"]

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(source|readme|extras)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NO_RUN = re.compile(r'^```python no-run="[^"\n]+"$', re.MULTILINE)
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)#:\s]+)((?:#[^)\s]*)?\))")
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changes.md"}
SHOWN = ("docs/", "examples/pictures/", "benchmarks/")
"""Folders whose files have pages, or are on the site as they are."""
WORKERS = ("test", "quality", "lint", "docs")
"""Extras for those who work on tinynn."""


def expand(markdown: str, page: str) -> str:
    """The page, given by its path under docs/, with all that it includes. Errors: ValueError for what is not there."""

    def included(match: re.Match[str]) -> str:
        kind, lines = match[1], match[2].strip().splitlines()
        if kind == "source":
            return "\n\n".join(code_of(*line.split()) for line in lines)
        return extras() if kind == "extras" else "\n\n".join(relinked(section(line), "", page) for line in lines)

    markdown = relinked(markdown, posixpath.join("docs", posixpath.dirname(page)), page)
    return NO_RUN.sub("```python", FENCE.sub(included, markdown))


def relinked(markdown: str, folder: str, page: str) -> str:
    """Links that are right in a folder of the repository, as they are right on a page of the site.

    A link to a file that no page shows becomes its text.
    """

    def there(link: re.Match[str]) -> str:
        text, target, rest = link.groups()
        path = posixpath.normpath(posixpath.join(folder, target))
        made = path.endswith(".ipynb") or (path.startswith("examples/") and path.endswith(".py"))
        if not (ROOT / path).is_file() or (path.startswith("docs/") and folder and not made):
            return link[0]
        shown = PAGES.get(path, path.removeprefix("docs/"))
        if made:
            shown = f"{posixpath.splitext(shown)[0]}.md"
        elif not path.startswith(SHOWN) and path not in PAGES:
            return text.lstrip("!").removeprefix("[").removesuffix("](")
        return f"{text}{posixpath.relpath(shown, posixpath.dirname(page) or '.')}{rest}"

    return LINK.sub(there, markdown)


def code_of(file: str, *names: str) -> str:
    """A fenced block with these functions, classes and methods of a file, in this order; without names, all of it."""
    text = (ROOT / file).read_text(encoding="utf-8")
    parts = [part(text, file, name) for name in names] if names else [text.rstrip()]
    return "\n".join([f'````python title="{file}"', "\n\n".join(parts), "````"])


def part(text: str, file: str, name: str) -> str:
    """The lines of `Class`, `function` or `Class.method`, decorators included."""
    found: ast.AST = ast.parse(text)
    for each in name.split("."):
        found = next((node for node in getattr(found, "body", ()) if each in names_of(node)), ast.Pass())
    if not isinstance(found, ast.stmt) or isinstance(found, ast.Pass):
        raise ValueError(f"{file} has no {name}")
    first = min([found.lineno, *(node.lineno for node in getattr(found, "decorator_list", ()))])
    return textwrap.dedent("\n".join(text.splitlines()[first - 1 : found.end_lineno]))


def names_of(node: ast.AST) -> list[str]:
    """What a statement defines or assigns."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def section(heading: str) -> str:
    """The README's section of that heading; `-`: what stands before the first."""
    before, *sections = re.split(r"^## ", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = {"-": before.partition("\n")[2]}
    for each in sections:
        title, _, text = each.partition("\n")
        texts[title] = text
    if heading not in texts:
        raise ValueError(f"README.md has no section {heading!r}")
    return texts[heading].strip()


def extras() -> str:
    """A table of the extras that users install, and the packages that each of them brings."""
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    rows = [
        f"| `tinynn-xp[{name}]` | {', '.join(f'`{package}`' for package in packages)} |"
        for name, packages in metadata["optional-dependencies"].items()
        if name not in WORKERS
    ]
    return "\n".join(["| to install | brings |", "|---|---|", *rows])
