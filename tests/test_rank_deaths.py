"""A rank that ends before its time takes the whole job with it: with a status, no process left, and its checkpoints.

`python tests/rank_deaths.py` prints how long each took.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mpi_helpers import needs_mpiexec
from rank_deaths import PLACES, SILENT, WAYS, ended, newest, prepared

pytestmark = needs_mpiexec


@pytest.fixture(scope="module")
def two_epochs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("kept"))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", WAYS)
def test_the_job_ends_whole(way: str, place: str, two_epochs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    shutil.copytree(two_epochs, folder)
    ending = ended(way, place, folder)
    assert ending.left == [], ending.said
    assert (ending.status != 0) == (way != SILENT), ending.said
    assert newest(folder) >= 40
    if way == "raises an error":
        assert "ValueError: as planned" in ending.said
    if way in ("hangs", "is stopped"):
        assert "rank 1 did not come in 2 s" in ending.said
