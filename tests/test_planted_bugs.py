"""gradcheck finds every planted bug and says where it is; of the right version of the same layer it says nothing."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import pytest
from planted_bugs import activations, affine, custom, losses

from tinynn import (
    Affine,
    GradientError,
    Layer,
    Sequential,
    ShapeError,
    Sigmoid,
    SoftmaxCrossEntropy,
    StateError,
    TinynnError,
    gradcheck,
)


class Planted(NamedTuple):
    """A bug, the array that the error must name, and a word of what it must say."""

    bug: type[Layer]
    arguments: tuple[Any, ...]
    shapes: tuple[tuple[int, ...], ...]
    array: str
    says: str = "is wrong"
    element: bool = True  # whether one element of the array is at fault, and named
    error: type[TinynnError] = GradientError


LABELS: Any = ((4,), ())
TABLE = [
    Planted(affine.DividedByNTwice, (2,), ((3,),), "dW", "divided by 3"),
    Planted(affine.SumOverWrongAxis, (3,), ((2,),), "db"),
    Planted(affine.TransposedSquare, (3,), ((3,),), "dW", "transpose"),
    Planted(affine.UntransposedW, (3,), ((3,),), "dx"),
    Planted(affine.ForgottenBias, (2,), ((3,),), "db", "not written"),
    Planted(affine.ForgottenWeights, (2,), ((3,),), "dW", "not written"),
    Planted(affine.WeightsPartlyWritten, (2,), ((3,),), "dW", "not written"),
    Planted(affine.OnlyFirstRow, (2,), ((3,),), "dW"),
    Planted(affine.MeanForBias, (2,), ((3,),), "db", "divided by 3"),
    Planted(affine.DecayedBias, (2,), ((3,),), "db"),
    Planted(affine.DecayInTheLayer, (2,), ((3,),), "dW"),
    Planted(affine.Accumulated, (2,), ((3,),), "dW", "added to"),
    Planted(affine.AccumulatedOverNan, (2,), ((3,),), "dW", "accumulated"),
    Planted(affine.Rebound, (2,), ((3,),), "self.dW", "storage", element=False, error=StateError),
    Planted(affine.NothingReturned, (2,), ((3,),), "dx", "shape", element=False),
    Planted(affine.StepTakenInBackward, (2,), ((3,),), "W", "changed"),
    Planted(affine.WeightsNormalisedInForward, (2,), ((3,),), "W", "changed"),
    Planted(affine.DxOfFlattenedShape, (2,), ((2, 2),), "dx", "shape", element=False),
    Planted(affine.RowsLaidOutInMemoryOrder, (2,), ((3,),), "y", "column-major"),
    Planted(affine.LatestInput, (2,), ((3,),), "dW", "later forward"),
    Planted(activations.InputClippedInPlace, (), ((5,),), "x", "forward changed x"),
    Planted(custom.InputShiftedInPlace, (), ((3,),), "x", "forward changed x"),
    Planted(activations.DyMaskedInPlace, (), ((5,),), "dy", "backward changed dy"),
    Planted(activations.InputScaledInBackward, (0.5,), ((3,),), "x", "backward changed x"),
    Planted(activations.FlatViewThatIsACopy, (), ((3,),), "dx", "column-major"),
    Planted(activations.DyReadInMemoryOrder, (), ((3,),), "dx", "column-major"),
    Planted(custom.AlwaysOtherNoise, (), ((3,),), "y", says="another output"),
    Planted(activations.LostSign, (), ((3,),), "dx", "sign"),
    Planted(activations.ForgottenSquare, (), ((3,),), "dx"),
    Planted(activations.MaskFromDy, (), ((5,),), "dx"),
    Planted(activations.NoMask, (), ((5,),), "dx"),
    Planted(activations.SlopeFromX, (), ((3,),), "dx"),
    Planted(activations.ForgottenDy, (), ((3,),), "dx"),
    Planted(activations.OnlyTheDiagonal, (), ((3,),), "dx"),
    Planted(activations.WithoutTheSum, (), ((3,),), "dx"),
    Planted(activations.DividedByScale, (0.5,), ((3,),), "dx"),
    Planted(custom.PromotedOutput, (), ((3,),), "y", "float32 became float64", element=False),
    Planted(activations.PromotedGradient, (), ((3,),), "dx", "float32 became float64", element=False),
    Planted(affine.PredictWithoutBias, (2,), ((3,),), "y", "predict differs"),
    Planted(affine.ColumnTooMany, (2,), ((3,),), "y", "shape", element=False),
    Planted(activations.BatchOfOneSqueezed, (), ((3,),), "y", "shape", element=False),
    Planted(custom.ConstantMean, (), ((3,),), "dx"),
    Planted(custom.SummedOverAll, (), ((3,),), "dg"),
    Planted(custom.OnlyTheSignOfDy, (), ((3,),), "dg"),
    Planted(custom.SwappedInputs, (), ((3,), (3,)), "dx0"),
    Planted(custom.SecondGradientMissing, (), ((3,), (3,)), "dx1", "shape", element=False),
    Planted(losses.NotDividedByN, (), LABELS, "dscores", "3 times the right one"),
    Planted(losses.DividedByClassesToo, (), LABELS, "dscores"),
    Planted(losses.LabelsFromOne, (), LABELS, "dscores"),
    Planted(losses.IncomingIgnored, (), LABELS, "dscores"),
    Planted(losses.LogarithmWithFloor, (), LABELS, "dscores"),
    Planted(losses.Twice, (), ((4,), (4,)), "dscores", "twice the right one"),
    Planted(losses.OnAndOffSwapped, (0.1, 0.8), LABELS, "dscores"),
    Planted(losses.TargetMinusOutput, (), ((2, 2), (2, 2)), "dscores", "sign"),
]
NAMES = [planted.bug.__name__ for planted in TABLE]


@pytest.mark.parametrize("planted", TABLE, ids=NAMES)
def test_bug_is_caught_and_named(planted: Planted) -> None:
    with pytest.raises(TinynnError) as caught:
        gradcheck(planted.bug(*planted.arguments), *planted.shapes)
    error = caught.value
    assert type(error) is planted.error
    assert planted.says in str(error)
    assert error.where is not None and planted.bug.__name__ in error.where
    for part in ("expected", "got", "fix"):
        assert f"  {part + ':':<10}" in str(error)
    if not isinstance(error, GradientError):
        assert planted.array in str(error)
        return
    assert error.array == planted.array
    assert error.where.endswith(f"{planted.array}{list(error.index) if error.index else ''}")
    if planted.element:
        assert error.index is not None
        assert str(error.expected) != str(error.got)


@pytest.mark.parametrize("planted", TABLE, ids=NAMES)
def test_the_right_version_raises_no_alarm(planted: Planted) -> None:
    right = planted.bug.__bases__[0]
    assert right is not Layer
    for seed in range(3):
        gradcheck(right(*planted.arguments), *planted.shapes, seed=seed)


@pytest.mark.parametrize("planted", TABLE, ids=NAMES)
def test_bug_is_caught_whatever_numbers_are_drawn(planted: Planted) -> None:
    for seed in range(1, 4):
        with pytest.raises(planted.error):
            gradcheck(planted.bug(*planted.arguments), *planted.shapes, seed=seed)


def test_bug_within_a_network_is_traced_to_its_layer() -> None:
    net = Sequential(Affine(3), Sigmoid(), affine.TransposedSquare(3), SoftmaxCrossEntropy())
    with pytest.raises(GradientError) as caught:
        gradcheck(net, (2,), ())
    assert caught.value.array == "2.dW"
    assert caught.value.where is not None and "TransposedSquare" in caught.value.where


def test_wrong_element_is_the_one_that_is_named() -> None:
    class OneElement(Affine):
        def backward(self, dy: Any, x: Any) -> Any:
            dx = super().backward(dy, x)
            self.dW[1, 2] *= 1.00001
            return dx

    with pytest.raises(GradientError) as caught:
        gradcheck(OneElement(4), (3,))
    error = caught.value
    assert (error.array, error.index) == ("dW", (1, 2))
    assert error.where is not None and error.where.endswith("dW[1, 2]")
    assert float(str(error.got)) == pytest.approx(1.00001 * float(str(error.expected)), rel=1e-7)


def test_large_arrays_are_compared_at_a_thousand_places() -> None:
    class AlmostAll(Affine):
        def backward(self, dy: Any, x: Any) -> Any:
            dx = super().backward(dy, x)
            self.dW[:, :20] *= 1.001
            return dx

    gradcheck(Affine(40), (30,))
    with pytest.raises(GradientError) as caught:
        gradcheck(AlmostAll(40), (30,))
    assert caught.value.array == "dW" and caught.value.index is not None and caught.value.index[1] < 20


def test_what_fails_in_another_thread_alone_is_told() -> None:
    class Homebound(Affine):
        """Knows its thread."""

        def build(self, shape: Any) -> Any:
            self.home = threading.get_ident()
            return super().build(shape)

        def forward(self, x: Any) -> Any:
            if threading.get_ident() != self.home:
                raise RuntimeError("not at home")
            return super().forward(x)

    with pytest.raises(RuntimeError, match="not at home"):
        gradcheck(Homebound(2), (3,))


def test_an_output_that_changes_its_shape_is_told() -> None:
    class Narrower(Affine):
        """Of two outputs at first, and of one when it has seen a batch of three."""

        def predict(self, x: Any) -> Any:
            return super().predict(x)[:, : 1 if len(x) == 3 else None]

    with pytest.raises(GradientError, match="predict") as caught:
        gradcheck(Narrower(2), (3,))
    assert (caught.value.expected, caught.value.got) == ((3, 2), (3, 1))


def test_shapes_that_clash_are_a_shape_error_with_the_layer() -> None:
    class Untransposed(Affine):
        def backward(self, dy: Any, x: Any) -> Any:
            super().backward(dy, x)
            return dy @ self.W

    with pytest.raises(ShapeError, match=r"backward of a layer failed") as caught:
        gradcheck(Untransposed(2), (3,))
    assert caught.value.where is not None and "Untransposed(2)" in caught.value.where
