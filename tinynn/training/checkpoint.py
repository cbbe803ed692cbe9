"""Checkpoints of a run: a folder of files, of which the last few are kept, and the way back from the newest whole one.

A file is there whole or not at all, also when the process is killed or the machine stops while it is written.
"""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinynn.data import archive
from tinynn.data.files import list_folder, make_folder, remove_litter
from tinynn.errors import ConfigurationError, DataError, TinynnError
from tinynn.network.model_file import check_format, contents
from tinynn.training.course import Course
from tinynn.training.packing import pack, unpack
from tinynn.training.surroundings import different

__all__ = ["Checkpoints"]

NAME = re.compile(r"step-(\d{9,18})\.npz")


class Restored(NamedTuple):
    """From which file, how often the run had made batches of each length, and what is not as it was, in words."""

    path: Path
    seen: dict[int, int]
    changed: list[str]


class Checkpoints:
    """`folder`: made if it is not there. `keep`: how many files stay. `about`: what the run is, for whoever goes on.

    Errors: DataError where the folder cannot be used.
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int, about: dict[str, Any]) -> None:
        self.folder, self.keep, self.about = Path(folder), keep, about
        make_folder(self.folder)
        remove_litter(self.folder)

    def paths(self) -> list[Path]:
        """The files, oldest first."""
        return [self.folder / name for name in sorted(filter(NAME.fullmatch, list_folder(self.folder)[0]), key=step_of)]

    def refuse_others(self) -> None:
        """Errors: ConfigurationError where there are checkpoints of another run, which would be lost by and by."""
        if found := self.paths():
            raise ConfigurationError(
                "the folder holds checkpoints of another run",
                where=f"fit, checkpoint={str(self.folder)!r}",
                expected="an empty folder, or none yet",
                got=f"{len(found)}, the last of them {found[-1].name}",
                fix="resume=True to go on with that run, or another folder",
            )

    def write(self, course: Course, seen: dict[int, int]) -> None:
        """One more file; the oldest beyond `keep` are removed. Errors: DataError; the older files are there then."""
        numbers, arrays = pack(course)
        numbers["seen"] = {str(n): times for n, times in seen.items()}
        header, arguments = contents(course.net)
        header["run"] = {**self.about, "course": numbers}
        archive.write(self.folder / f"step-{course.steps:09d}.npz", header, {**arrays, **arguments})
        for path in self.paths()[: -self.keep]:
            remove(path)

    def read(self) -> tuple[Path, dict[str, Any], dict[str, np.ndarray]] | None:
        """The newest file that is whole; None where there is no file.

        Errors: DataError where none of them is whole.
        """
        first: DataError | None = None
        for path in reversed(self.paths()):
            try:
                header, arrays = archive.read(path)
            except DataError as error:
                first = first or error
                continue
            if first is not None:
                warnings.warn(
                    f"the newest checkpoint cannot be used, so fit goes on from {path.name}:\n{first}",
                    RuntimeWarning,
                    stacklevel=4,
                )
            return path, header, arrays
        if first is not None:
            raise first
        return None

    def restore(self, course: Course) -> Restored | None:
        """Puts the course where the newest whole file has it; None without files.

        Errors: DataError for a file that is no checkpoint; ShapeError, ConfigurationError for one of another run.
        """
        found = self.read()
        if found is None:
            return None
        path, header, arrays = found
        try:
            check_format(path, header)
            run = header["run"]
            own = contents(course.net)[0]["network"]
            refuse_another(path, run, self.about, header["network"], own)
            seen = {int(n): int(times) for n, times in run["course"]["seen"].items()}
            changed = different(run["surroundings"], self.about["surroundings"])
            for name in ("optimizer", "data"):
                if run[name] != self.about[name]:
                    changed.append(f"{name}: {run[name]} before, {self.about[name]} now")
            if header["network"] != own and not changed:
                changed.append("what layers hold besides their arrays was changed since the network was made")
            unpack(course, run["course"], arrays)
        except TinynnError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                "the file is no checkpoint of a run",
                path=path,
                expected="a file that fit(..., checkpoint=...) wrote",
                got=f"{type(error).__name__}: {error}",
                fix="another folder; a saved network is read by net.load",
            ) from error
        return Restored(path, seen, changed)


def step_of(name: str) -> int:
    """The step that a file's name says."""
    match = NAME.fullmatch(name)
    assert match is not None
    return int(match[1])


def remove(path: Path) -> None:
    """A file that is no longer needed. One that cannot be removed harms nobody."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        warnings.warn(f"an old checkpoint stays: {error}", RuntimeWarning, stacklevel=4)


def refuse_another(
    path: Path, run: dict[str, Any], about: dict[str, Any], network: dict[str, Any], own: dict[str, Any]
) -> None:
    """Errors: ConfigurationError for a checkpoint of another network, on other data or in another order."""
    names = ["rows", "batch_size", "seed", *(["data"] if about["fixed"] else [])]
    pairs = {name: (run[name], about[name]) for name in names}
    pairs["network"] = plain(network), plain(own)
    for name, (before, now) in pairs.items():
        if before != now:
            raise ConfigurationError(
                f"the checkpoint is of another run: its {name.replace('_', ' ')} is not this one's",
                where=f"fit, resume=True, {path}",
                expected=f"{name} {before}",
                got=now,
                fix="the same call as before; or another folder, and net.load(path) to begin with its weights",
            )


def plain(described: Any) -> Any:
    """A network's description, or a part of it, without where it was built and what was changed in its layers since."""
    if isinstance(described, list):
        return [plain(part) for part in described]
    if not isinstance(described, dict):
        return described
    kept = {name: plain(part) for name, part in described.items()}
    if "layer" in described:
        for name in ("settings", "after"):
            kept.pop(name, None)
        for name in ("backend", "precision", "seed"):
            kept.get("build", {}).pop(name, None)
    return kept
