"""Runs the notebooks beside this file, each in a kernel of its own, and puts what they print and draw into them.

    python docs/notebooks/run.py        all of them; half a minute. Needs the extras `notebooks` and `plot`

The pictures become smaller by a palette of 48 colours, so that a notebook stays light enough for a repository.
"""

from __future__ import annotations

import base64
import io
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).resolve().parent
NOTEBOOKS = tuple(sorted(FOLDER.glob("*.ipynb")))
SECONDS = 180  # that one cell may take, or the kernel to start, on a machine that has much else to do
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def execute(notebook: Any, folder: Path) -> None:
    """Fills in the outputs of all cells, run from the first to the last, with `folder` as the place for their files.

    Errors: nbclient's CellExecutionError for a cell that fails.
    """
    place = {"metadata": {"path": str(folder)}}
    NotebookClient(
        notebook, kernel_name="python3", timeout=SECONDS, startup_timeout=SECONDS, resources=place, record_timing=False
    ).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = tidy(cell.outputs)


def tidy(outputs: list[Any]) -> list[Any]:
    """What was printed in one piece, however it arrived; of pictures the picture alone, made small."""
    kept: list[Any] = []
    for output in outputs:
        if output.output_type == "stream" and kept and kept[-1].get("name") == output.name:
            kept[-1].text += output.text
            continue
        if "image/png" in output.get("data", {}):
            output.data = {"image/png": small(output.data["image/png"])}
            output.metadata = {}
        kept.append(output)
    return kept


def small(png: str) -> str:
    """The same picture in 48 colours, 520 points wide at most; both in base64."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    picture.thumbnail((520, 520))
    written = io.BytesIO()
    picture.quantize(48).save(written, "PNG", optimize=True)
    return base64.b64encode(written.getvalue()).decode("ascii")


def text_of(cell: Any) -> str:
    """What a cell printed."""
    return "".join(output.text for output in cell.get("outputs", []) if output.output_type == "stream")


def main() -> None:
    """Runs and writes them all."""
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as folder:
            execute(notebook, Path(folder))
        notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
        nbformat.validate(notebook)
        nbformat.write(notebook, path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
