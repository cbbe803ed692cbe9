"""Pages that nobody writes: scripts of examples/, reports of benchmarks/, notebooks, the changes, and the API."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from docs.builder.sources import ROOT, code_of

__all__ = ["API", "generated", "nav_of", "notebooks", "pictures", "public"]

VERBS = [f"backend.{path.stem}" for path in sorted((ROOT / "tinynn" / "backend").glob("*_verbs.py"))]
"""The verbs of a backend, which a layer calls as `self.ops.verb`."""
API = {
    "Layers": ["layer", "layers"],
    "Losses": ["losses"],
    "Networks": ["network", "network.loading", "network.explanation"],
    "Training": ["training"],
    "Optimizers": ["optim"],
    "Data": ["datasets", "data"],
    "Checks": ["gradcheck", "network.finite", "testing"],
    "Initialisers": ["init"],
    "Registry": ["registry"],
    "Pictures": ["pictures"],
    "Errors": ["errors"],
    "scikit-learn": ["sklearn"],
    "ONNX": ["onnx"],
    "PyTorch": ["torch"],
    "Distributed": ["distributed"],
    "Backends": ["backend", *VERBS],
}
"""The pages of the API: the modules and packages from which users import."""
FIRST = ("RESULTS.md", "RESULTS-gpu.md", "MNIST.md", "CNN.md")
"""The reports that come first; the others follow by name."""
ALIKE = ("tinynn.layers.", "tinynn.losses.", "tinynn.optim.")
BASES = ("Loss", "ElementwiseLoss", "Optimizer")
"""To derive from, so their methods matter."""


def generated() -> dict[str, str]:
    """The text of every such page, by its path in the site."""
    pages = {}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    scripts = [(readme.find(f"examples/{path.name}"), path) for path in (ROOT / "examples").rglob("*.py")]
    for _, path in sorted(scripts, key=lambda script: (script[0] < 0, *script)):  # in the README's order
        name = path.relative_to(ROOT)
        pages[name.with_suffix(".md").as_posix()] = example(name.as_posix())
    reports = {path.name: path for path in sorted((ROOT / "benchmarks").glob("*.md")) if path.name != "README.md"}
    for report in dict.fromkeys([*(reports[name] for name in FIRST if name in reports), *reports.values()]):
        pages[f"benchmarks/{report.name}"] = report.read_text(encoding="utf-8")
    pages["changes.md"] = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for title, modules in API.items():
        pages[f"api/{title.lower()}.md"] = api_page(title, modules)
    return pages


def notebooks() -> dict[str, str | bytes]:
    """The notebooks as pages, and what they draw as pictures, by their paths in the site."""
    from nbconvert import MarkdownExporter

    found: dict[str, str | bytes] = {}
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        own = {"unique_key": path.stem, "output_files_dir": f"{path.stem}_files"}
        text, more = MarkdownExporter().from_filename(str(path), resources=own)
        text = text.replace("![png](", "![What the cell above draws](")
        download = f'<a href="{path.name}" download>{path.name}</a>: this page as a notebook, to run and to change.'
        found[f"notebooks/{path.stem}.md"] = f"{text}\n\n{download}\n"
        found |= {f"notebooks/{name}": picture for name, picture in more["outputs"].items()}
    return found


def pictures() -> list[Path]:
    """The pictures that README, examples and reports show, which keep their paths in the site."""
    return sorted([*(ROOT / "examples" / "pictures").rglob("*.png"), *(ROOT / "benchmarks").glob("*.png")])


def nav_of(folder: str) -> list[Any]:
    """The lines of the navigation for a folder, of generated pages or under docs/: titles and pages; maybe none."""
    made = [{heading(text): page} for page, text in generated().items() if page.startswith(folder)]
    return made or written(ROOT / "docs" / folder)


def written(folder: Path) -> list[Any]:
    """The pages of a folder: its index, the others in the order in which that names them, then folders within it."""
    pages = {path: opening(path) for path in sorted([*folder.glob("*.md"), *folder.glob("*.ipynb")])}
    index = pages.get(folder / "index.md", "")
    order = sorted(pages, key=lambda path: (path.name != "index.md", index.find(path.name) % 10**9, path))
    places = {path: path.with_suffix(".md").relative_to(ROOT / "docs").as_posix() for path in order}
    found: list[Any] = [{heading(pages[path]): place} for path, place in places.items()]
    inner = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return found + [{next(iter(within[0])): within} for within in map(written, inner) if within]


def opening(path: Path) -> str:
    """What stands on a page; of a notebook, in its first cell."""
    text = path.read_text(encoding="utf-8")
    return text if path.suffix == ".md" else "".join(json.loads(text)["cells"][0]["source"])


def heading(text: str) -> str:
    """The title of a page."""
    return text.lstrip("# ").partition("\n")[0].removeprefix("examples/")


def example(name: str) -> str:
    """A script as a page; its docstring says what the lesson is."""
    return "\n\n".join([f"# {name}", f"```sh\npython {name} --help\n```", code_of(name)]) + "\n"


def api_page(title: str, names: Sequence[str]) -> str:
    """The documentation of what these modules offer, by mkdocstrings."""
    parts = [f"# {title}"]
    for module, things in public(names).items():
        doc = inspect.getdoc(sys.modules[module]) or ""
        parts.append(f"## {doc.partition(chr(10))[0].rstrip('.')}\n\n`{module}`")
        parts += [entry(module, thing) for thing in things]
    return "\n\n".join(parts) + "\n"


def entry(module: str, name: str) -> str:
    """What mkdocstrings is asked for: a class with its methods, but of those that are all alike the class alone."""
    alone = module.startswith(ALIKE) and name not in BASES
    return f"::: {module}.{name}" + ("\n    options:\n      members: false" if alone else "")


def public(names: Sequence[str]) -> dict[str, list[str]]:
    """The classes and functions that these modules list in `__all__`, by the modules that define them, line by line."""
    found: dict[str, dict[str, int]] = {}
    for name in names:
        module = importlib.import_module(f"tinynn.{name}")
        for thing in sorted((getattr(module, each) for each in module.__all__), key=module_of):
            if module_of(thing).startswith("tinynn.") and (inspect.isclass(thing) or inspect.isfunction(thing)):
                found.setdefault(module_of(thing), {})[thing.__name__] = inspect.getsourcelines(thing)[1]
    return {module: sorted(lines, key=lines.__getitem__) for module, lines in found.items()}


def module_of(thing: Any) -> str:
    """Where it is defined; "" for what does not say so."""
    return getattr(thing, "__module__", "")
