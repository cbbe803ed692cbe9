"""The package as a whole: imports only go down, nothing heavy comes with it, and every public name says what it is."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

import tinynn

PACKAGE = Path(tinynn.__file__).parent
FILES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
# From the ground up: a file imports from lines above its own, or from its own folder.
RANKS = (
    "errors version",
    "checks history init processors random registry targets",
    "compiler cuda",
    "backend",
    "data",
    "datasets",
    "site",
    "layer",
    "layers",
    "losses",
    "network",
    "optim",
    "specimen",
    "gradcheck",
    "pictures",
    "distributed",
    "training",
    "testing",
    "sklearn onnx torch",
    "app",
    "__main__",
)
RANK = {name: rank for rank, line in enumerate(RANKS) for name in line.split()}


def imports(path: Path) -> set[str]:
    """The modules that a file imports anywhere in it, its functions included; `from a import b` as a or a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & FILES.keys()
            found |= inner or {str(node.module)}
    return found


def test_every_file_has_a_rank() -> None:
    assert {name.split(".")[1] for name in FILES if name != "tinynn"} <= RANK.keys()


@pytest.mark.parametrize("name", [name for name in FILES if name != "tinynn"])
def test_imports_only_go_down(name: str) -> None:
    part = name.split(".")[1]
    for imported in imports(FILES[name]):
        if imported.split(".")[0] != "tinynn":
            continue
        assert imported in FILES, f"{name} imports {imported}, which is no file"
        assert imported != "tinynn", f"{name} imports the package itself, which stands above it"
        other = imported.split(".")[1]
        assert other == part or RANK[other] < RANK[part], f"{name} imports {imported}, which does not stand below it"


def test_no_file_waits_for_itself() -> None:
    order = list(TopologicalSorter({name: imports(path) & FILES.keys() for name, path in FILES.items()}).static_order())
    assert len(order) == len(FILES)


def test_the_search_for_imports_finds_them_in_functions_too(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("import os\ndef f():\n    from tinynn.network import storage\n    from tinynn.fit import x\n")
    assert imports(file) == {"os", "tinynn.network.storage", "tinynn.fit"}


@pytest.mark.parametrize("name", [n for n in FILES if n.split(".")[1:2] in (["layers"], ["losses"], ["optim"])])
def test_layers_losses_and_optimizers_compute_with_xp_alone(name: str) -> None:
    used = {
        node.attr
        for node in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("np", "numpy")
    }
    assert used <= {"ndarray", "dtype", "random"}, "np. where self.xp. is meant"
    assert not any(part.startswith("numpy.") for part in imports(FILES[name]))


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_one_idea_of_260_lines_at_most_and_says_which(name: str) -> None:
    text = FILES[name].read_text(encoding="utf-8")
    assert text.count("\n") <= 260
    assert ast.get_docstring(ast.parse(text)), "the file does not say what it is"


def test_importing_the_package_brings_numpy_and_nothing_else() -> None:
    program = (
        "import sys, numpy.random; before = set(sys.modules); import tinynn; "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    result = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    brought = set(result.stdout.split())
    assert "tinynn" in brought
    assert brought <= {"tinynn", "numpy"} | sys.stdlib_module_names


def test_importing_the_package_leaves_files_archives_devices_and_the_net_for_later() -> None:
    program = "import sys, numpy; before = set(sys.modules); import tinynn; print(*set(sys.modules) - before)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    brought = set(result.stdout.split())
    assert "tinynn.network" in brought
    assert not brought & {"zipfile", "secrets", "hashlib", "urllib.request", "tqdm", "matplotlib", "tinynn.datasets"}
    assert not any(name.startswith(("tinynn.cuda", "tinynn.compiler", "tinynn.testing")) for name in brought)


# --- public names


def public(module: ModuleType) -> dict[str, object]:
    return {f"{module.__name__}.{name}": getattr(module, name) for name in module.__all__}


PUBLIC = public(tinynn) | public(tinynn.datasets) | public(tinynn.init)


def test_all_is_complete() -> None:
    names = tinynn.__all__
    assert len(set(names)) == len(names)
    own = {
        name for name, thing in vars(tinynn).items() if not name.startswith("_") and not isinstance(thing, ModuleType)
    }
    assert set(names) == own | {"datasets", "distributed", "init", "pictures"}


@pytest.mark.parametrize("name", [name for name in FILES if name != "tinynn"])
def test_the_all_of_a_module_names_what_it_has(name: str) -> None:
    module = __import__(name, fromlist=["_"])
    listed = getattr(module, "__all__", [])
    assert (
        listed or name in ("tinynn.app", "tinynn.compiler", "tinynn.cuda") or not vars(module).keys() - {"__builtins__"}
    )
    assert [entry for entry in listed if not hasattr(module, entry)] == []
    assert len(set(listed)) == len(listed)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_says_what_it_is(name: str) -> None:
    thing = PUBLIC[name]
    if isinstance(thing, ModuleType | FunctionType | type):
        assert thing.__doc__
        first = thing.__doc__.strip().splitlines()[0]
        assert len(first) > 10
        assert not first.startswith(f"{getattr(thing, '__name__', '')}("), "a signature says nothing"
    if isinstance(thing, type):
        undocumented = [
            method
            for method, value in vars(thing).items()
            if not method.startswith("_")
            and isinstance(value, FunctionType)
            and not inspect.getdoc(getattr(thing, method))
        ]
        assert undocumented == []


def test_the_version_is_that_of_the_distribution() -> None:
    project = Path(__file__).parents[1] / "pyproject.toml"
    metadata = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    assert metadata["version"] == tinynn.__version__
    assert [requirement.partition(">")[0] for requirement in metadata["dependencies"]] == ["numpy"]
    assert (PACKAGE / "py.typed").exists()
