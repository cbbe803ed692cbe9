"""Pages that nobody writes: the scripts of examples/, the reports of benchmarks/, the changes, and the API."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from docs.builder.sources import ROOT, code_of

__all__ = ["API", "generated", "nav_of", "pictures"]

API = {
    "Layers": ["layer", "layers"],
    "Losses": ["losses"],
    "Networks": ["network.sequential", "network.graph", "network.network", "network.evaluation", "network.loading"],
    "Training": ["training.fit", "history"],
    "Optimizers": ["optim"],
    "Data": ["datasets", "data.split", "data.idx"],
    "Checks": ["gradcheck", "network.finite", "testing.compliance", "testing.report", "testing.fake_device"],
    "Initialisers": ["init"],
    "Registry": ["registry"],
    "Pictures": ["pictures"],
    "Errors": ["errors"],
    "Backends": ["backend"],
}
"""The pages of the API: modules, and folders of modules."""
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


def pictures() -> list[Path]:
    """The pictures that README, examples and reports show, which keep their paths in the site."""
    return sorted([*(ROOT / "examples" / "pictures").rglob("*.png"), *(ROOT / "benchmarks").glob("*.png")])


def nav_of(folder: str) -> list[Any]:
    """The lines of the navigation for a folder, of generated pages or under docs/: titles and pages; maybe none."""
    made = [{heading(text): page} for page, text in generated().items() if page.startswith(folder)]
    return made or written(ROOT / "docs" / folder)


def written(folder: Path) -> list[Any]:
    """The pages of a folder: its index, the others in the order in which that names them, then folders within it."""
    pages = {path: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))}
    index = pages.get(folder / "index.md", "")
    order = sorted(pages, key=lambda path: (path.name != "index.md", index.find(path.name) % 10**9, path))
    found: list[Any] = [{heading(pages[path]): path.relative_to(ROOT / "docs").as_posix()} for path in order]
    inner = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return found + [{next(iter(within[0])): within} for within in map(written, inner) if within]


def heading(text: str) -> str:
    """The title of a page."""
    return text.lstrip("# ").partition("\n")[0].removeprefix("examples/")


def example(name: str) -> str:
    """A script as a page; its docstring says what the lesson is."""
    return "\n\n".join([f"# {name}", f"```sh\npython {name} --help\n```", code_of(name)]) + "\n"


def api_page(title: str, names: list[str]) -> str:
    """The documentation of modules, by mkdocstrings."""
    parts = [f"# {title}"]
    for module in (module for name in names for module in modules_of(name)):
        public = public_names(module)
        if public:
            file = (ROOT / Path(*module.split("."))).with_suffix(".py")
            file = file if file.exists() else file.with_suffix("") / "__init__.py"
            doc = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").splitlines()[0]
            parts.append(f"## {doc.rstrip('.')}\n\n`{module}`")
            parts += [entry(module, name) for name in public]
    return "\n\n".join(parts) + "\n"


def entry(module: str, name: str) -> str:
    """What mkdocstrings is asked for: a class with its methods, but of those that are all alike the class alone."""
    alone = module.startswith(ALIKE) and name not in BASES
    return f"::: {module}.{name}" + ("\n    options:\n      members: false" if alone else "")


def modules_of(name: str) -> list[str]:
    """A module, or all those of a folder."""
    path = ROOT / "tinynn" / Path(*name.split("."))
    if path.is_dir():
        return [f"tinynn.{name}.{file.stem}" for file in sorted(path.glob("*.py")) if file.stem != "__init__"]
    return [f"tinynn.{name}"]


def public_names(module: str) -> list[str]:
    """The classes and functions that a module lists in `__all__`, in the order in which they stand in the file."""
    tree = ast.parse((ROOT / Path(*module.split("."))).with_suffix(".py").read_text(encoding="utf-8"))
    listed: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            listed = set(ast.literal_eval(node.value))
    return [n.name for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name in listed]
