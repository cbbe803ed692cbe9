"""check_layer finds every planted bug by the check that is there for it, and passes the right version of each layer."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
import threading
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from planted_bugs import activations, affine, custom, losses, rules

from tinynn import Affine, ConfigurationError, Layer, ReLU, Sequential, Sigmoid, SoftmaxCrossEntropy, TinynnError
from tinynn.backend import NumpyOps
from tinynn.testing import Check, ComplianceError, arithmetic, check_layer, checks
from tinynn.testing.compliance import ALL


class Planted(NamedTuple):
    """A bug, the check that must find it, and a word of what it must say."""

    bug: type[Layer]
    check: str
    says: str
    shapes: tuple[tuple[int, ...], ...] = ((4,),)
    arguments: tuple[Any, ...] = ()


LABELS: Any = ((4,), ())
TABLE = [
    Planted(rules.PredictWritesIntoX, "inputs untouched", "predict changed x"),
    Planted(rules.PredictLearns, "inputs untouched", "predict changed mean"),
    Planted(activations.DyMaskedInPlace, "inputs untouched", "backward changed dy"),
    Planted(activations.InputClippedInPlace, "inputs untouched", "forward changed x"),
    Planted(affine.StepTakenInBackward, "inputs untouched", "backward changed W", arguments=(2,)),
    Planted(affine.DividedByNTwice, "gradients", "dW is wrong", arguments=(2,)),
    Planted(affine.TransposedSquare, "gradients", "transpose", arguments=(4,)),
    Planted(affine.ForgottenBias, "gradients", "not written", arguments=(2,)),
    Planted(affine.ColumnTooMany, "gradients", "shape", arguments=(2,)),
    Planted(activations.LostSign, "gradients", "dx is wrong"),
    Planted(activations.WithoutTheSum, "gradients", "dx is wrong"),
    Planted(losses.NotDividedByN, "gradients", "dscores is wrong", LABELS),
    Planted(losses.IncomingIgnored, "gradients", "dscores is wrong", LABELS),
    Planted(losses.Twice, "gradients", "twice", ((4,), (4,))),
    Planted(custom.SwappedInputs, "gradients", "dx0 is wrong", ((3,), (3,))),
    Planted(rules.MeanOverThree, "gradients", "dg is wrong"),
    Planted(rules.RightForOneAndThree, "gradients", "in a batch of 2 rows"),
    Planted(rules.RoundedDown, "gradients", "dx is wrong"),
    Planted(rules.DxAccumulated, "repeats", "accumulated"),
    Planted(affine.AccumulatedOverNan, "repeats", "accumulated", arguments=(2,)),
    Planted(custom.AlwaysOtherNoise, "repeats", "another output"),
    Planted(rules.NoiseInPredict, "repeats", "predict gives another output"),
    Planted(rules.PredictInFloat64, "float32 stays float32", "became float64"),
    Planted(activations.PromotedGradient, "float32 stays float32", "became float64"),
    Planted(activations.DyReadInMemoryOrder, "memory layouts", "column-major"),
    Planted(affine.RowsLaidOutInMemoryOrder, "memory layouts", "column-major", arguments=(2,)),
    Planted(rules.InputBorrowed, "memory layouts", "read-only"),
    Planted(affine.PredictWithoutBias, "predict as forward", "predict differs", arguments=(2,)),
    Planted(rules.CrashWithoutDx, "without dx", "has no attribute"),
    Planted(rules.NothingWithoutDx, "without dx", "needs_dx=False"),
    Planted(rules.Uphill, "step helps", "does not lower"),
    Planted(rules.OtherOnCupy, "backends", "cupy gives another result"),
    Planted(rules.MaskInSelf, "cache alone", "later forward"),
    Planted(affine.LatestInput, "cache alone", "later forward", arguments=(2,)),
    Planted(rules.SizeOfFirstBatch, "batch sizes", "batches of other sizes"),
    Planted(rules.RaggedBatchForgotten, "batch sizes", "a batch of 1 rows"),
    Planted(rules.RoomOfFirstBatch, "batch sizes", "broadcast"),
    Planted(rules.BatchMeanInPredict, "rows alone", "when it comes alone"),
    Planted(rules.MaskInPredict, "rows alone", "when it comes alone", ((3,),)),
    Planted(rules.ScaledByTheBatch, "rows alone", "when it comes alone"),
    Planted(rules.LargestOfNone, "no rows", "zero-size"),
    Planted(rules.MeanOfNone, "no rows", "RuntimeWarning"),
    Planted(rules.FlattenedByMinusOne, "no rows", "reshape"),
    Planted(rules.OneRowForNone, "no rows", "predict of no rows"),
    Planted(rules.GlobalNoise, "global state", "random state"),
    Planted(rules.GlobalSeed, "global state", "random state"),
    Planted(rules.OverflowSilenced, "global state", "error handling"),
    Planted(rules.SizesInTheClass, "two instances", "another instance"),
    Planted(rules.GainsInTheClass, "two instances", "another instance"),
    Planted(rules.TakesAnyCache, "stale cache", "a later forward", arguments=(Affine(3), ReLU())),
    Planted(rules.OutputInOwnRoom, "threads", "another thread"),
    Planted(rules.WorkInOwnRoom, "threads", "another thread"),
    Planted(rules.GainsFromNowhere, "same seed", "two builds"),
    Planted(rules.SizeOfFirstBuild, "built again", "another output"),
    Planted(rules.BuildsCounted, "built again", "other values"),
    Planted(rules.NamesCounted, "save and load", "names"),
    Planted(rules.MeanInAttribute, "save and load", "saved and loaded"),
    Planted(rules.CopyForgetsFactor, "copies", "another output", arguments=(2.0,)),
    Planted(rules.LockInSelf, "copies", "lock"),
    Planted(rules.PickleForgetsFactor, "pickles", "predicts otherwise", arguments=(2.0,)),
    Planted(rules.OtherWithinANetwork, "fan out", "another result"),
    Planted(rules.OtherWithinANetwork, "residual", "another result"),
]
IDS = [f"{planted.bug.__name__}-{planted.check.replace(' ', '_')}" for planted in TABLE]


class SecondOps(NumpyOps):
    """A second backend, as CuPy would be."""

    name = "cupy"


@pytest.fixture(autouse=True)
def two_backends(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(arithmetic, "get_backend", lambda name: SecondOps())
    with np.errstate():  # one of the layers changes it
        yield


@pytest.mark.parametrize("planted", TABLE, ids=IDS)
def test_bug_is_found_by_the_check_that_is_there_for_it(planted: Planted) -> None:
    report = check_layer(planted.bug(*planted.arguments), *planted.shapes, raises=False)
    failed = {outcome.name: outcome for outcome in report.of("failed")}
    assert planted.check in failed
    outcome = failed[planted.check]
    assert planted.says in f"{outcome.message} {outcome.got} {outcome.fix}"
    assert planted.says in str(report)


@pytest.mark.parametrize("planted", TABLE, ids=IDS)
def test_the_right_version_passes_every_check(planted: Planted) -> None:
    right = planted.bug.__bases__[0]
    arguments = planted.arguments
    report = check_layer(right(*arguments), *planted.shapes)
    assert report.ok
    assert report.percent == 100


def test_every_check_has_a_bug_to_find() -> None:
    names = [rule.__name__.replace("_", " ") for rule in ALL]
    assert len(set(names)) == len(names)
    assert {planted.check for planted in TABLE} == set(names)
    assert all((rule.__doc__ or "").strip() for rule in ALL)


# --- the report


def test_failures_are_all_named_at_the_end() -> None:
    with pytest.raises(ComplianceError) as caught:
        check_layer(rules.NothingWithoutDx(), (3,))
    error = caught.value
    assert isinstance(error, AssertionError)
    assert error.report is not None
    assert error.got == ", ".join(outcome.name for outcome in error.report.of("failed"))
    for outcome in error.report.of("failed"):
        assert outcome.message in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert again.report == error.report


def test_the_table_has_a_line_for_each_check_and_tells_each_failure_once() -> None:
    report = check_layer(affine.ForgottenBias(2), (3,), raises=False)
    lines = str(report).splitlines()
    assert lines[0] == "ForgottenBias(2), (3,), numpy"
    assert [line.split()[0] for line in lines if line.startswith("  ") and not line.startswith("   ")] == [
        outcome.status.upper() if outcome.status == "failed" else outcome.status for outcome in report.outcomes
    ]
    score = report.as_dict()["score"]
    assert lines[-1] == f"{score['passed']} of {score['total']} checks passed, {score['skipped']} skipped"
    assert str(report).count("db was not written in full") == 1
    assert score["percent"] == round(100 * score["passed"] / score["total"], 1)
    assert json.loads(json.dumps(report.as_dict())) == report.as_dict()


def test_a_crash_fails_its_check_alone_and_says_where() -> None:
    report = check_layer(rules.CrashWithoutDx(), (3,), raises=False)
    (failed,) = report.of("failed")
    assert failed.name == "without dx"
    assert "AttributeError" in failed.message
    assert failed.code is not None
    assert failed.code.endswith(" in backward")
    line = int(failed.code.split(":")[-1].split()[0])
    source = Path(failed.code.rpartition(":")[0]).read_text(encoding="utf-8")
    assert "dx.reshape" in source.splitlines()[line - 1]


def test_a_layer_that_ends_the_program_has_failed() -> None:
    class Leaves(custom.Half):
        def predict(self, x: Any) -> Any:
            raise SystemExit(0)

    report = check_layer(Leaves(), (3,), raises=False)
    assert not report.ok
    assert "SystemExit" in str(report)


def test_usual_shapes_are_tried_where_none_is_named() -> None:
    class Images(custom.Half):
        def build(self, shape: Any) -> Any:
            c, h, w = shape
            return (c, h, w)

    assert check_layer(custom.Half()).shapes == ((4,),)
    assert check_layer(Images()).shapes == ((3, 8, 8),)
    assert check_layer(custom.Product()).shapes == ((4,), (4,))
    assert check_layer(SoftmaxCrossEntropy()).shapes == ((4,), ())
    assert check_layer(Sequential(Affine(3), SoftmaxCrossEntropy())).shapes == ((4,), ())
    assert check_layer(Sequential(Affine(3), Sigmoid())).shapes == ((4,),)


def test_a_layer_of_any_number_of_inputs_is_tried_with_one_and_with_two() -> None:
    class Sum(Layer):
        """y = the sum of its inputs."""

        def build(self, *shapes: Any) -> Any:
            if len(shapes) < self.least:
                raise ConfigurationError("one input is not enough")
            return shapes[0]

        def forward(self, *xs: Any) -> Any:
            return sum(xs[1:], start=1.0 * xs[0]), len(xs)

        def backward(self, dy: Any, n: int) -> Any:
            return dy if n == 1 else (dy,) * n

    for least, shapes in ((1, ((4,),)), (2, ((4,), (4,)))):
        kind = type("Sum", (Sum,), {"least": least, "__module__": "elsewhere"})
        assert check_layer(kind()).shapes == shapes


def test_a_layer_whose_parameters_change_nothing_has_no_step_that_helps() -> None:
    class Idle(custom.Gain):
        """y = x + 0 g."""

        def forward(self, x: Any) -> Any:
            return x + 0 * self.g, x

        def backward(self, dy: Any, x: Any) -> Any:
            self.dg[...] = 0
            return 1 * dy

    report = check_layer(Idle(), (4,))
    (skipped,) = [outcome for outcome in report.of("skipped") if outcome.name == "step helps"]
    assert "its gradient is 0" in skipped.message


def test_what_a_layer_raises_in_another_thread_alone_is_told() -> None:
    class Homebound(custom.Half):
        """Knows its thread."""

        def build(self, shape: Any) -> Any:
            self.home = threading.get_ident()
            return shape

        def predict(self, x: Any) -> Any:
            if threading.get_ident() != self.home:
                raise RuntimeError("not at home")
            return super().predict(x)

    report = check_layer(Homebound(), (4,), raises=False)
    (failed,) = report.of("failed")
    assert failed.name == "threads" and "not at home" in failed.message


def test_what_fits_no_shape_and_what_is_no_layer_is_refused() -> None:
    class Never(custom.Half):
        def build(self, shape: Any) -> Any:
            raise ConfigurationError("there is no shape that fits")

    with pytest.raises(ConfigurationError, match="there is no shape that fits"):
        check_layer(Never())
    with pytest.raises(ConfigurationError, match="only layers"):
        check_layer(Affine)  # pyright: ignore[reportArgumentType]


def test_the_layer_itself_is_not_touched() -> None:
    net = Sequential(Affine(3), ReLU()).build((4,))
    before = net.storage.arrays()
    layer = Affine(2)
    check_layer(layer, (3,))
    check_layer(net, (4,))
    assert layer._site is None
    for name, array in net.storage.arrays().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_class_that_pickle_cannot_find_is_skipped_with_the_reason() -> None:
    class Local(custom.Half):
        pass

    report = check_layer(Local(), (3,))
    (skipped,) = [outcome for outcome in report.of("skipped") if outcome.name == "pickles"]
    assert "Local" in skipped.message


# --- one test for each check, in the way that users write it


@pytest.mark.parametrize("check", checks(custom.Gain(), (4,)), ids=str)
def test_gain(check: Check) -> None:
    check()


def test_a_check_that_fails_raises_what_is_wrong_and_one_that_does_not_apply_is_skipped() -> None:
    made = {str(check): check for check in checks(rules.PredictWritesIntoX(), (4,))}
    assert repr(made["repeats"]) == "<check 'repeats' of PredictWritesIntoX()>"
    with pytest.raises(TinynnError, match="predict changed x"):
        made["inputs untouched"]()
    with pytest.raises(unittest.SkipTest, match="no parameters"):
        made["step helps"]()


def test_pytest_counts_one_test_for_each_check(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\nfrom tinynn import ReLU\nfrom tinynn.testing import checks\n"
        "@pytest.mark.parametrize('check', checks(ReLU(), (4,)), ids=str)\n"
        "def test_relu(check):\n    check()\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    assert "the layer has no parameters" in result.stdout
    passed, skipped = (int(number) for number in re.findall(r"(\d+) (?:passed|skipped)", result.stdout))
    assert passed + skipped == len(ALL)
