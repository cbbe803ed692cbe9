"""What is in a checkpoint, when one is due, and what a folder of them may hold."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_helpers import BATCH, T, X, checkpoints, network, optimizer, outcome, trained
from saving_helpers import refused

import tinynn
from tinynn import SGD, Affine, Sequential, SoftmaxCrossEntropy
from tinynn.data import archive

# By hand: ten steps an epoch, the last of four rows. A batch of a new length is run once, and recorded the second time.
DUE = {4: {"7": 2}, 8: {"7": 2}, 10: {"7": 2, "4": 1}, 12: {"7": 2, "4": 1}, 16: {"7": 2, "4": 1}}
DUE |= {n: {"7": 2, "4": 2} for n in (20, 24, 28, 30)}


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_each_is_written_when_it_is_due_and_says_where_the_run_stands(backend: str, tmp_path: Path) -> None:
    net = network(backend)
    trained(net, epochs=3, checkpoint=tmp_path, every=4, keep=99)
    headers = {int(path.stem[5:]): archive.read_header(path) for path in checkpoints(tmp_path)}
    assert list(headers) == list(DUE)
    for steps, header in headers.items():
        run, epoch, done = header["run"], steps // 10, steps % 10
        snapshots = {"": {"steps": steps}} | ({"before": {"steps": 10 * epoch}} if done else {})
        assert run["course"] == {
            "epoch": epoch,
            "done": done,
            "steps": steps,
            "best_epoch": 0,
            "stopped": "finished",
            "snapshots": snapshots,
            "seen": DUE[steps],
        }
        assert (run["seed"], run["rows"], run["batch_size"], run["fixed"]) == (5, 67, BATCH, True)
        assert run["optimizer"] == repr(optimizer())
        assert run["data"].startswith("float32[5] ") and ", int64[] " in run["data"]
        assert header["network"]["build"]["backend"] == backend
        assert (header["format"], header["tinynn"], header["numpy"]) == (1, tinynn.__version__, np.__version__)


def test_a_batch_of_a_length_seen_once_is_written_down_as_that(tmp_path: Path) -> None:
    trained(network(), epochs=1, checkpoint=tmp_path, every=1, keep=99)
    seen = [archive.read_header(path)["run"]["course"]["seen"] for path in checkpoints(tmp_path)]
    assert seen == [{"7": 1}, *[{"7": 2}] * 8, {"7": 2, "4": 1}]


def test_the_arrays_of_a_checkpoint(tmp_path: Path) -> None:
    net = network()
    history = trained(net, epochs=3, validation=(X[:20], T[:20]), patience=9, checkpoint=tmp_path, every=4, keep=99)
    names = [*net.storage.arrays(), *(f"#optimizer/velocity.{name}" for name in net.storage.parameters)]
    _, arrays = archive.read(tmp_path / "step-000000028.npz")
    state = [name for name in arrays if not name.startswith(("#history/", "#tally/", "#lowest", "#seconds"))]
    assert state == [prefix + name for prefix in ("", "#before/", "#best/") for name in names]
    assert arrays["#history/loss"].tolist() == history.loss[:2]
    assert arrays["#history/accuracy"].tolist() == history.accuracy[:2]
    assert arrays["#history/validation_loss"].tolist() == history.validation_loss[:2]
    assert arrays["#history/validation_accuracy"].tolist() == history.validation_accuracy[:2]
    assert arrays["#history/seconds"].tolist() == history.seconds[:2]
    assert float(arrays["#lowest"]) == min(history.validation_loss[:2])
    assert float(arrays["#seconds"]) > 0 and arrays["#tally/sums"].dtype == np.float64
    assert arrays["#tally/counts"][1] == arrays["#tally/sums"][1] == 56  # rows of the eight steps
    _, arrays = archive.read(tmp_path / "step-000000030.npz")
    assert not [name for name in arrays if name.startswith("#before/")]
    assert not arrays["#tally/sums"].any() and not arrays["#tally/counts"].any() and float(arrays["#seconds"]) == 0
    for name, array in net.storage.arrays().items():
        np.testing.assert_array_equal(arrays[name], array)


@pytest.mark.parametrize("step", [1, 2, 3, 9, 10, 11, 19, 20, 21])
def test_compiled_code_goes_on_from_where_batches_were_seen_once_or_twice(step: int, tmp_path: Path) -> None:
    net = network("llvm")
    expected = outcome(net, trained(net, epochs=4, checkpoint=tmp_path, every=1, keep=99))
    for path in checkpoints(tmp_path):
        if int(path.stem[5:]) > step:
            path.unlink()
    net = network("llvm")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert outcome(net, trained(net, epochs=4, checkpoint=tmp_path, every=3, keep=99, resume=True)) == expected
    assert [int(path.stem[5:]) for path in checkpoints(tmp_path)] == sorted(
        {*range(1, step + 1), *(n for n in range(step + 1, 41) if n % 3 == 0 or n % 10 == 0)}
    )


def test_losses_that_are_equal_are_not_better(tmp_path: Path) -> None:
    def train(**options: Any) -> Any:
        net = Sequential(Affine(3), SoftmaxCrossEntropy()).build((5,))
        return trained(net, SGD(1e-30), validation=(X, T), patience=2, **options)

    history = train(checkpoint=tmp_path, keep=99)
    assert (len(history), history.stopped) == (3, "early")
    assert len(set(history.validation_loss)) == 1
    courses = [archive.read_header(path)["run"]["course"] for path in checkpoints(tmp_path)]
    assert [course["best_epoch"] for course in courses] == [1, 1, 1]
    assert [course["stopped"] for course in courses] == ["finished", "finished", "early"]
    history = train(checkpoint=tmp_path, resume=True)  # it is over
    assert (len(history), history.stopped) == (3, "early")


def test_checkpoints_of_numbers_of_all_lengths_are_in_order(tmp_path: Path) -> None:
    trained(network(), epochs=1, checkpoint=tmp_path)
    first = checkpoints(tmp_path)[0].read_bytes()
    for name in ("step-0000000010.npz", "step-1000000000.npz", "step-999999999.npz"):
        (tmp_path / name).write_bytes(first[:-1])
    others = ["step-00000010.npz", "step-000000011.npz.old", "a-step-000000011.npz", "step-0000000000000000011.npz"]
    for name in others:
        (tmp_path / name).write_bytes(b"mine")
    with pytest.warns(RuntimeWarning, match=r"goes on from step-000000010\.npz") as caught:
        trained(network(), epochs=1, checkpoint=tmp_path, resume=True, keep=1)
    assert "step-1000000000.npz" in str(caught[0].message)  # the newest, by its number
    assert all((tmp_path / name).read_bytes() == b"mine" for name in others)


def test_an_old_checkpoint_that_cannot_be_removed_stays_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def refusing(path: Path, missing_ok: bool = False) -> None:
        if path.name == "step-000000010.npz":
            raise PermissionError(13, "not yours", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refusing)
    with pytest.warns(RuntimeWarning, match=r"an old checkpoint stays: .*not yours.*step-000000010") as caught:
        trained(network(), epochs=3, checkpoint=tmp_path, keep=1)
    assert len(caught) == 2 and [path.name for path in checkpoints(tmp_path)] == [
        "step-000000010.npz",
        "step-000000030.npz",
    ]


def test_an_old_checkpoint_that_is_gone_is_not_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink = Path.unlink

    def twice(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok=missing_ok)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", twice)
    trained(network(), epochs=3, checkpoint=tmp_path, keep=2)
    assert [path.name for path in checkpoints(tmp_path)] == ["step-000000020.npz", "step-000000030.npz"]


# --- files that say something else of their run

WRONG: dict[str, Any] = {
    "no course": lambda h, a: h["run"].pop("course"),
    "no run": lambda h, a: h.pop("run"),
    "a run that is a list": lambda h, a: h.update(run=[]),
    "a negative count": lambda h, a: h["run"]["course"].update(steps=-1),
    "a count that is true": lambda h, a: h["run"]["course"].update(epoch=True),
    "a count that is a text": lambda h, a: h["run"]["course"].update(done="1"),
    "a count with a half": lambda h, a: h["run"]["course"].update(best_epoch=0.5),
    "another reason to stop": lambda h, a: h["run"]["course"].update(stopped="tired"),
    "one epoch more than losses": lambda h, a: h["run"]["course"].update(epoch=3),
    "no snapshot": lambda h, a: h["run"]["course"]["snapshots"].pop(""),
    "no snapshot of the epoch's beginning": lambda h, a: h["run"]["course"]["snapshots"].pop("before"),
    "a snapshot too many": lambda h, a: h["run"]["course"].update(done=0),
    "no losses": lambda h, a: a.pop("#history/loss"),
    "losses of float32": lambda h, a: a.update({"#history/loss": a["#history/loss"].astype("float32")}),
    "losses in a column": lambda h, a: a.update({"#history/loss": a["#history/loss"][:, None]}),
    "a lowest loss with an axis": lambda h, a: a.update({"#lowest": a["#lowest"][None]}),
    "three sums": lambda h, a: a.update({"#tally/sums": np.zeros(3)}),
    "counts that are none": lambda h, a: a.update({"#tally/counts": np.array([-1, 5])}),
    "seen how often is a text": lambda h, a: h["run"]["course"].update(seen={"7": "x"}),
    "seen is a list": lambda h, a: h["run"]["course"].update(seen=[7]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_checkpoint_that_contradicts_itself_is_refused_and_nothing_is_changed(case: str, tmp_path: Path) -> None:
    trained(network(), epochs=3, checkpoint=tmp_path, every=4, keep=99)
    for path in checkpoints(tmp_path):
        if path.name != "step-000000024.npz":
            path.unlink()
    path = tmp_path / "step-000000024.npz"
    header, arrays = archive.read(path)
    WRONG[case](header, arrays)
    archive.write(path, header, arrays)
    net, by = network(), optimizer()
    before = net.storage.params.copy()
    error = refused(lambda: trained(net, by, epochs=3, checkpoint=tmp_path, resume=True), path)
    assert "no checkpoint of a run" in error.args[0]
    if not case.startswith(("seen", "counts that")):  # these are read after the network
        np.testing.assert_array_equal(net.storage.params, before)
        assert by.steps_taken == 0


def test_a_checkpoint_whose_arrays_are_of_another_shape_changes_nothing(tmp_path: Path) -> None:
    trained(network(), epochs=2, checkpoint=tmp_path, every=3, keep=1)
    (path,) = checkpoints(tmp_path)
    header, arrays = archive.read(path)
    archive.write(path, header, {**arrays, "0.W": np.zeros((2, 2), np.float32)})
    net, by = network(), optimizer()
    before = net.storage.params.copy()
    with pytest.raises(tinynn.ShapeError):
        trained(net, by, checkpoint=tmp_path, resume=True)
    np.testing.assert_array_equal(net.storage.params, before)
    assert by.steps_taken == 0
