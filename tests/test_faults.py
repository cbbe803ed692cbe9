"""A disk that is full, a folder that is gone, a signal: an error that says which, the old file whole, and no litter."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_helpers import SCHEDULE, X, checkpoints, network, optimizer, outcome, trained

from tinynn import SGD, DataError, StateError
from tinynn.data import archive

NUMBERS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your quota is used up",
    errno.EFBIG: "larger than files may be",
    errno.EIO: "the disk fails",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "no permission",
    errno.ENOENT: "does not exist",
    errno.EBUSY: "the operating system refuses",
}


def failing(real: Callable[..., Any], number: int, at: int) -> Callable[..., Any]:
    """`real`, but its call of that number, from 1 on, fails."""
    calls = 0

    def call(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise OSError(number, os.strerror(number))
        return real(*args, **options)

    return call


def break_at(stage: str, number: int, patch: pytest.MonkeyPatch, at: int = 1) -> None:
    """Lets a stage of the next write fail."""
    if stage == "opening":
        patch.setattr(Path, "open", failing(Path.open, number, at))
    elif stage == "writing":
        patch.setattr(np.lib.format, "write_array", failing(np.lib.format.write_array, number, at))
    elif stage == "fsync":
        patch.setattr(os, "fsync", failing(os.fsync, number, 2 * at - 1))  # of the file, then of the folder
    elif stage == "rename":
        patch.setattr(Path, "replace", failing(Path.replace, number, at))


STAGES = "opening", "writing", "fsync", "rename"


@pytest.mark.parametrize("number", NUMBERS, ids=NUMBERS.values())
@pytest.mark.parametrize("stage", STAGES)
def test_a_save_that_fails_leaves_the_old_file(
    stage: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, net = tmp_path / "net.npz", network()
    net.save(path)
    before = path.read_bytes()
    net.storage.params[...] += 1
    with monkeypatch.context() as patch:
        break_at(stage, number, patch)
        with pytest.raises(DataError, match=NUMBERS[number]) as caught:
            net.save(path)
    assert caught.value.path == str(path) and isinstance(caught.value.__cause__, OSError)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("stage", STAGES)
def test_a_checkpoint_that_fails_ends_the_run_and_the_older_ones_go_on(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = network()
    expected = outcome(net, trained(net))
    with monkeypatch.context() as patch:
        at = {"opening": 4, "writing": 4 * 40, "fsync": 4, "rename": 4}[stage]
        break_at(stage, errno.ENOSPC, patch, at)
        with pytest.raises(DataError, match="the disk is full"):
            trained(network(), checkpoint=tmp_path, every=2)
    there = checkpoints(tmp_path)
    assert there and [path.suffix for path in tmp_path.iterdir()] == [".npz"] * len(there)
    again = network()
    assert outcome(again, trained(again, checkpoint=tmp_path, resume=True)) == expected


def test_a_folder_whose_names_cannot_be_written_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows opens no folder; some file systems do not write one by itself."""
    path, opened, synced = tmp_path / "net.npz", os.open, os.fsync

    def no_folder(place: Any, flags: int, *more: Any, **named: Any) -> int:
        if Path(place) == tmp_path:
            raise PermissionError(errno.EACCES, "a folder")
        return opened(place, flags, *more, **named)

    def no_sync(number: int) -> None:
        if stat.S_ISDIR(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "a folder")
        synced(number)

    for name, instead in (("open", no_folder), ("fsync", no_sync)):
        net = network()
        with monkeypatch.context() as patch:
            patch.setattr(os, name, instead)
            net.save(path)
        assert network().load(path).storage.params.tobytes() == net.storage.params.tobytes()
        path.unlink()
    monkeypatch.setattr(os, "fsync", failing(os.fsync, errno.EIO, 2))  # a disk that breaks says another number
    with pytest.raises(DataError, match="cannot write the file"):
        network().save(path)


def test_a_folder_that_cannot_be_listed_or_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "inner"):
        with pytest.raises(DataError, match="cannot make the folder"):
            trained(network(), checkpoint=folder)


def test_a_folder_that_goes_while_the_run_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    class Removing(SGD):
        def step(self, net: Any) -> None:
            super().step(net)
            if self.steps_taken == 15:
                for path in folder.iterdir():
                    path.unlink()
                folder.rmdir()

    net = network()
    history = trained(net, Removing(0.1), checkpoint=folder, every=4)  # it is made again
    assert len(history) == 20 and len(checkpoints(folder)) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    script = f"""
        import resource, sys
        from tinynn import Affine, DataError, Sequential
        net = Sequential(Affine(100)).build((100,))
        net.save({str(tmp_path / "net.npz")!r})
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            net.save({str(tmp_path / "net.npz")!r})
        except DataError as error:
            print(error.what)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert "larger than files may be" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["net.npz"]
    archive.read(tmp_path / "net.npz")


# --- signals


class Signalled(SGD):
    """The helpers' SGD, which is sent signals in the middle of some of its steps."""

    def __init__(self, number: int, *steps: int) -> None:
        super().__init__(SCHEDULE, l2=1e-3, momentum=0.9)
        self.number, self.when = number, steps

    def step(self, net: Any) -> None:
        for _ in range(self.when.count(self.steps_taken + 1)):
            os.kill(os.getpid(), self.number)
        super().step(net)

    def __repr__(self) -> str:
        return repr(optimizer())


@pytest.mark.parametrize("step", [1, 9, 10, 11, 25, 200])
def test_ctrl_c_writes_a_checkpoint_and_the_run_goes_on(step: int, tmp_path: Path) -> None:
    net = network()
    expected = outcome(net, trained(net))
    net = network()
    history = trained(net, Signalled(signal.SIGINT, step), checkpoint=tmp_path)
    assert history.stopped == "interrupted" and len(history) == (step - 1) // 10
    assert checkpoints(tmp_path)[-1].name == f"step-{step:09d}.npz"
    net = network()
    assert outcome(net, trained(net, checkpoint=tmp_path, resume=True)) == expected


def test_sigterm_writes_a_checkpoint_and_then_takes_its_course(tmp_path: Path) -> None:
    net = network()
    expected = outcome(net, trained(net))
    met: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: met.append(len(checkpoints(tmp_path))))
    try:
        history = trained(network(), Signalled(signal.SIGTERM, 17, 17), checkpoint=tmp_path, keep=9)
    finally:
        handler = signal.signal(signal.SIGTERM, before)
    assert met == [2] and history.stopped == "interrupted"  # after both files were there
    assert handler is not before
    net = network()
    assert outcome(net, trained(net, checkpoint=tmp_path, resume=True)) == expected


def test_without_a_handler_sigterm_ends_the_process(tmp_path: Path) -> None:
    script = f"""
        import signal, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from checkpoint_helpers import network, trained
        from test_faults import Signalled
        trained(network(), Signalled(signal.SIGTERM, 17), checkpoint={str(tmp_path)!r})
        print("never reached")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGTERM and "never" not in done.stdout
    assert [path.stem for path in checkpoints(tmp_path)] == ["step-000000010", "step-000000017"]


def test_without_checkpoints_sigterm_is_not_waited_for() -> None:
    met: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: met.append(number))
    try:
        assert len(trained(network(), Signalled(signal.SIGTERM, 17))) == 20
    finally:
        signal.signal(signal.SIGTERM, before)
    assert met == [signal.SIGTERM]


def test_a_second_ctrl_c_while_a_checkpoint_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync, calls = os.fsync, 0

    def impatient(number: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:  # of the checkpoint that Ctrl-C asked for
            os.kill(os.getpid(), signal.SIGINT)
        fsync(number)

    monkeypatch.setattr(os, "fsync", impatient)
    with pytest.raises(KeyboardInterrupt):
        trained(network(), Signalled(signal.SIGINT, 25), checkpoint=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000010.npz", "step-000000020.npz"]


# --- what cannot be gone on with is not kept


def test_nothing_that_is_not_finite_is_written(tmp_path: Path) -> None:
    class Overflowing(SGD):
        def step(self, net: Any) -> None:
            super().step(net)
            if self.steps_taken == 25:
                net.storage.params[0] = np.inf

    net = network()
    trained(again := network(), SGD(0.1), epochs=2)
    with pytest.raises(StateError, match="diverged in epoch 3"):
        trained(net, Overflowing(0.1), checkpoint=tmp_path, every=1, keep=4)
    assert [int(path.stem[5:]) for path in checkpoints(tmp_path)] == [21, 22, 23, 24]
    np.testing.assert_array_equal(net.storage.params, again.storage.params)


def test_after_divergence_the_optimizer_is_as_it_was_before_the_epoch() -> None:
    class Overflowing(SGD):
        def step(self, net: Any) -> None:
            super().step(net)
            if self.steps_taken == 25:
                net.storage.params[0] = np.inf

    sgd, plain = Overflowing(0.1, momentum=0.9), SGD(0.1, momentum=0.9)
    with pytest.raises(StateError, match="diverged in epoch 3"):
        trained(network(), sgd)
    trained(network(), plain, epochs=2)
    assert sgd.steps_taken == plain.steps_taken == 20
    for name, array in plain.state().items():
        np.testing.assert_array_equal(sgd.state()[name], array)


def test_where_patience_goes_back_the_optimizer_does_too() -> None:
    sgd, plain = SGD(0.1, momentum=0.9), SGD(0.1, momentum=0.9)
    labels = np.random.default_rng(0).integers(0, 3, 20)
    history = trained(network(), sgd, validation=(X[:20], labels), patience=3, epochs=50)
    best = int(np.argmin(history.validation_loss)) + 1
    assert history.stopped == "early" and len(history) == best + 3
    trained(network(), plain, epochs=best)
    assert sgd.steps_taken == plain.steps_taken
    for name, array in plain.state().items():
        np.testing.assert_array_equal(sgd.state()[name], array)
