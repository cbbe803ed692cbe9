"""How the tests run the examples: as a reader would, in a process of their own, or as a module in this one."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["EXAMPLES", "assert_one_line", "call", "load"]

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def call(name: str, *arguments: Any, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs an example in a folder, every warning being an error."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def load(name: str) -> ModuleType:
    """An example as a module, for what needs no process of its own."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclass looks for it
    spec.loader.exec_module(module)
    return module


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """An error as a user should see one."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr
