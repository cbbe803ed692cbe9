"""Ways for one of several ranks to end before its time: `python tests/rank_deaths.py` tries each three times.

It prints how the job ended, and how long after. `mpiexec -n 2 python -m mpi4py tests/rank_deaths.py WAY PLACE FOLDER`
is one of these runs: it goes on from the checkpoint in the folder, and rank 1 ends by that way: in a step, in a
callback, or before `fit`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, NoReturn

import numpy as np
from mpi_helpers import launched

from tinynn import SGD, Affine, Layer, ReLU, Sequential, SoftmaxCrossEntropy, fit
from tinynn.distributed import Ranks

PLACES = ("step", "callback", "before")
TIMEOUT = 2.0  # seconds after which a rank that waits for one that hangs gives up


def raises() -> NoReturn:
    raise ValueError("as planned")


def to_itself(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


WAYS: dict[str, Callable[[], Any]] = {
    "raises an error": raises,
    "exits with 0": lambda: sys.exit(0),
    "exits with 3": lambda: sys.exit(3),
    "ends at once with 3": lambda: os._exit(3),
    "is killed": to_itself(signal.SIGKILL),
    "is terminated": to_itself(signal.SIGTERM),
    "crashes": lambda: ctypes.string_at(0),
    "hangs": lambda: time.sleep(10**6),
    "is stopped": to_itself(signal.SIGSTOP),
}
SILENT = "ends at once with 0"
"""MPICH's mpiexec ends the others, and tells nobody: its own status is 0. Nothing of tinynn's is asked."""
WAYS[SILENT] = lambda: os._exit(0)


class Ending(NamedTuple):
    """How a job ended: its status, the seconds from the death to the end, processes that are left, what was said."""

    status: int
    seconds: float
    left: list[int]
    said: str


class Mortal(Layer):
    """y = x; on some call it is the end."""

    __module__ = "rank_deaths"  # also where this file is the program: a checkpoint names it
    deaths: ClassVar[list[Callable[[], None]]] = []  # not an argument: the ranks' layers are to be alike
    calls = 0

    def forward(self, x: Any) -> tuple[Any, None]:
        type(self).calls += 1
        for die in self.deaths if self.calls >= 30 else ():
            die()
        return x, None

    def backward(self, dy: Any, cache: None) -> Any:
        return dy


def run(epochs: int, folder: Path, way: str = "", place: str = "") -> None:
    """Up to so many epochs, with checkpoints; rank 1 does not live to see them."""
    ranks = Ranks(timeout=TIMEOUT if way else 60.0)
    (folder / f"pid-{ranks.rank}").write_text(str(os.getpid()))
    (folder / f"shared-{ranks.rank}").write_text("\n".join(shared_memory()))

    def die() -> None:
        (folder / "died").write_text(repr(time.time()))
        WAYS[way]()

    mortal = ranks.rank == 1
    if mortal and place == "step":
        Mortal.deaths.append(die)
    net, x, t = material()
    callbacks = [lambda history: die() if len(history) == 4 else None] if mortal and place == "callback" else []
    if mortal and place == "before":
        die()
    options = {"checkpoint": folder / "kept", "every": 7, "resume": True, "progress": False, "comm": ranks}
    fit(net, SGD(0.1), (x, t), epochs=epochs, batch_size=32, callbacks=callbacks, **options)


def prepared(folder: Path) -> Path:
    """The folder with checkpoints of two epochs."""
    done = launched(2, "rank_deaths.py", "", "", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


def ended(way: str, place: str, folder: Path) -> Ending:
    """Starts such a job, which goes on from the checkpoint in the folder, and sees it end."""
    done = launched(2, "rank_deaths.py", way, place, str(folder))
    seconds = time.time() - float((folder / "died").read_text())
    processes = [int(path.read_text()) for path in folder.glob("pid-*")]
    until = time.monotonic() + 10  # the last of them may be about to end
    while (left := [one for one in processes if alive(one)]) and time.monotonic() < until:
        time.sleep(0.01)
    for path in {Path(line) for found in folder.glob("shared-*") for line in found.read_text().splitlines()}:
        path.unlink(missing_ok=True)  # MPICH leaves it behind where it was killed
    return Ending(done.returncode, seconds, left, done.stdout + done.stderr)


def shared_memory() -> set[str]:
    """The files of shared memory that this process has from MPICH."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    return {line.split()[-1] for line in lines if "/dev/shm/mpich" in line}


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def newest(folder: Path) -> int:
    """The step of the newest checkpoint, from which one process goes on for a little."""
    net, x, t = material()
    last = max((folder / "kept").glob("step-*.npz"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that there are fewer ranks
        epochs = int(last.stem[5:]) // 20 + 1
        again = fit(net, SGD(0.1), (x, t), epochs=epochs, checkpoint=folder / "kept", resume=True, progress=False)
    assert len(again) == epochs
    return int(last.stem[5:])


def material() -> tuple[Sequential, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    net = Sequential(Affine(30), Mortal(), ReLU(), Affine(5), SoftmaxCrossEntropy()).build((20,), seed=3)
    return net, rng.standard_normal((640, 20)), rng.integers(0, 5, 640)


def main() -> None:
    """Every way, three times: a table."""
    print(f"{'rank 1':<20} {'in':<9} {'status':>6} {'seconds':>8}  newest checkpoint")
    for way in WAYS:
        for place in PLACES:
            with tempfile.TemporaryDirectory() as name:
                ending = ended(way, place, prepared(Path(name)))
                assert not ending.left, ending
                row = f"{way:<20} {place:<9} {ending.status:>6} {ending.seconds:>8.2f}  step {newest(Path(name))}"
                print(row, flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    elif sys.argv[1]:
        run(10**6, Path(sys.argv[3]), sys.argv[1], sys.argv[2])
    else:
        run(2, Path(sys.argv[3]))
