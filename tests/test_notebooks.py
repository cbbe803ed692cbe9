"""The notebooks run from top to bottom, and what they print is what their committed copies show."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from test_readme import same_text

from docs.notebooks.run import NOTEBOOKS, execute, text_of, tidy

# What Jupyter's own libraries find old-fashioned in one another is not ours to mend; the notebooks run in a process of
# their own, and a warning of theirs would be an output that the committed copies do not have.
pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")

LARGEST = 50_000  # characters of one output
# Two thousand images are enough to see that every cell runs.
FEW = "train, test = (type(part)(part.images[:2000], part.labels[:2000]) for part in (train, test))"


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(autouse=True)
def nothing_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Kernels keep a history, a profile and the files of their connections."""
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["mnist", "own_layer", "quadrant"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_committed_copy_is_whole_and_light(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))
    for cell in code(notebook):
        for output in cell.outputs:
            assert output.output_type in ("stream", "execute_result"), "an error, or a warning"
            assert output.get("name", "stdout") == "stdout"
            assert len(json.dumps(output)) < LARGEST
    assert any("image/png" in output.get("data", {}) for cell in code(notebook) for output in cell.outputs)
    assert "/" not in json.dumps(notebook.metadata), "a path of somebody's machine"


@pytest.mark.parametrize("name", ["quadrant", "own_layer"])
def test_it_prints_what_it_printed(name: str, tmp_path: Path) -> None:
    path = next(path for path in NOTEBOOKS if path.stem == name)
    notebook = read(path)
    execute(notebook, tmp_path)
    for cell, committed in zip(code(notebook), code(read(path)), strict=True):
        assert same_text(text_of(cell), text_of(committed)), cell.source
        assert [output.output_type for output in cell.outputs] == [o.output_type for o in committed.outputs]
    assert list(tmp_path.glob("*.png"))


def test_mnist_runs_with_a_few_images(tmp_path: Path) -> None:
    path = next(path for path in NOTEBOOKS if path.stem == "mnist")
    notebook = read(path)
    first = notebook.cells.index(code(notebook)[0])
    notebook.cells.insert(first + 1, nbformat.v4.new_code_cell(FEW))
    execute(notebook, tmp_path)
    printed = "".join(text_of(cell) for cell in code(notebook))
    assert float(printed.partition("test accuracy ")[2].partition("%")[0]) > 70
    assert "the same as predict: True" in printed
    assert {file.name for file in tmp_path.glob("*.png")} == {"digits.png", "curve.png", "wrong.png", "weights.png"}


def test_what_the_mnist_notebook_says_is_what_it_reached() -> None:
    printed = "".join(text_of(cell) for cell in code(read(next(path for path in NOTEBOOKS if path.stem == "mnist"))))
    assert "test accuracy 97." in printed
    assert "the digit is 7 and the label 7" in printed


def test_a_cell_that_fails_is_noticed(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        execute(notebook, tmp_path)


def test_outputs_are_tidied() -> None:
    png = Path(__file__).parents[1] / "examples" / "pictures" / "regions.png"
    picture = base64.b64encode(png.read_bytes()).decode("ascii")
    new = nbformat.v4.new_output
    data = {"image/png": picture, "text/plain": "<Image object at 0x7f>"}
    outputs = [
        new("stream", name="stdout", text="a\n"),
        new("stream", name="stdout", text="b\n"),
        new("execute_result", data=data, metadata={}),
        new("stream", name="stdout", text="c\n"),
    ]
    first, second, third = tidy(outputs)
    assert (first.text, third.text) == ("a\nb\n", "c\n")
    assert set(second.data) == {"image/png"}
    assert len(second.data["image/png"]) < len(picture) / 2
