"""check_finite names the layer, the phase, the array and the element where a NaN or Inf was born: in every layer."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import laid_out
from table import ROWS, Case

import tinynn
from tinynn import (
    Add,
    Affine,
    BatchNorm,
    DataError,
    Dropout,
    Embedding,
    Graph,
    LabelError,
    Layer,
    MeanSquaredError,
    NonFiniteError,
    QuadraticCost,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    StateError,
    Tanh,
    check_finite,
)
from tinynn.backend import NumpyOps
from tinynn.init import ones
from tinynn.losses import Loss
from tinynn.network import watched
from tinynn.network.blame import limits
from tinynn.testing import FakeDevice

X = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
T = np.array([0, 1, 2, 0, 1, 2])
SEEDS = st.integers(0, 2**32 - 1).map(np.random.default_rng)
LEARN = ("Affine", "Conv", "Norm", "PReLU", "Embedding", "Residual", "Dropout")
"""Words in the names of the table's rows that have parameters or states."""
BAD = st.sampled_from([math.nan, math.inf, -math.inf])


def classifier(**options: Any) -> Sequential:
    return Sequential(Affine(5), ReLU(), Affine(3), SoftmaxCrossEntropy()).build((4,), **options)


def caught(call: Callable[[], Any]) -> NonFiniteError:
    with pytest.raises(NonFiniteError) as found, check_finite():
        call()
    return found.value


def assert_named(error: NonFiniteError, layer: Layer, phase: str, array: str, index: Any, value: float) -> None:
    """All that the error says, as attributes and as text."""
    path = layer._built().path
    assert (error.layer, error.phase, error.array, error.index) == (path, phase, array, tuple(index))
    assert type(error.value) is float
    assert error.value == value or (math.isnan(error.value) and math.isnan(value))
    what, where, expected, got, fix = str(error).splitlines()
    assert array in what
    for part in (layer.where, phase, f"{array}{list(index)}" if index else array):
        assert part in where
    assert "finite numbers" in expected
    assert str(value) in got
    assert any(word in got for word in (" from ", " = ", "without a finite number"))
    assert len(fix.split()) > 4


# --- planted in every layer of the test table


class Subject:
    """A layer of the table in a network, and inputs for that."""

    def __init__(self, case: Case, backend: str) -> None:
        ops = FakeDevice() if backend == "fake" else "numpy"
        self.xs = [laid_out(x, case.layout) for x in case.inputs]
        shapes = tuple(x.shape[1:] for x in self.xs)
        if isinstance(case.layer, Loss) or len(self.xs) == 1:
            self.net: Any = Sequential(case.layer).build(shapes[0], backend=ops, needs_dx=True)
            self.names = ["x", "targets", "weights"][: len(self.xs)]
        else:
            self.names = [f"in{i}" for i in range(len(self.xs))]
            self.net = Graph(y=(case.layer, *self.names)).build(*shapes, backend=ops, needs_dx=True)
        self.layers = [layer for _, layer in self.net.walk()][1:]
        self.kinds = [(type(layer), set(layer.__dict__)) for layer in self.layers]

    def train(self) -> None:
        y, cache = self.net.forward(*self.xs)
        self.net.backward(1.0 if self.net.final_loss else 0 * y + 1, cache)

    def untouched(self) -> bool:
        """Whether nothing is left at the layers, nor in the list of those that are watched."""
        return not watched.HELD and self.kinds == [(type(layer), set(layer.__dict__)) for layer in self.layers]


def plant(array: Any, rng: np.random.Generator, value: float) -> tuple[int, ...]:
    """Writes the value at a random index, and returns that."""
    index = tuple(int(rng.integers(size)) for size in array.shape)
    array[index] = value
    return index


def plant_into(subject: Subject, layer: Any, method: str, rng: np.random.Generator, value: float) -> list[Any]:
    """From now on the layer's method gives a result with the value in it; where, is in the list after its first run."""
    places: list[Any] = []
    plain = getattr(layer, method)

    def into(result: Any) -> Any:
        if not hasattr(result, "shape"):
            return result
        result = result.copy() if result.shape else subject.net.ops.asarray(np.array(0.0, "float32"))
        places.append(("y", plant(result, rng, value)))
        return result

    def forward(*args: Any) -> Any:
        y, cache = plain(*args)
        return into(y), cache

    def predict(*args: Any) -> Any:
        return into(plain(*args))

    def backward(*args: Any) -> Any:
        result = plain(*args)
        parts = list(result) if isinstance(result, tuple) else [result]
        options: list[Any] = [k for k, part in enumerate(parts) if part is not None]
        options += [f"d{name}" for name, declared in layer._site.declared.items() if declared.trained]
        if not options:
            return result
        chosen = options[int(rng.integers(len(options)))]
        if isinstance(chosen, str):
            places.append((chosen, plant(getattr(layer, chosen), rng, value)))
            return result
        parts[chosen] = parts[chosen].copy()
        many = "dx" if len(parts) == 1 else f"dx{chosen}"
        places.append((("dscores" if isinstance(layer, Loss) else many), plant(parts[chosen], rng, value)))
        return tuple(parts) if isinstance(result, tuple) else parts[0]

    setattr(layer, method, {"forward": forward, "predict": predict, "backward": backward}[method])
    subject.kinds = [(type(each), set(each.__dict__)) for each in subject.layers]
    return places


@pytest.mark.parametrize("backend", ["numpy", "fake"])
@pytest.mark.parametrize("name", ROWS)
def test_nothing_is_found_where_nothing_is(name: str, backend: str) -> None:
    @settings(max_examples=5)
    @given(ROWS[name].cases)
    def check(case: Case) -> None:
        subject = Subject(case, backend)
        with check_finite():
            subject.train()
            subject.net.predict(*subject.xs[: len(subject.net.input_names)])
        assert subject.untouched()

    check()


@pytest.mark.parametrize("backend", ["numpy", "fake"])
@pytest.mark.parametrize("place", ["input", "parameter", "forward", "predict", "backward"])
@pytest.mark.parametrize("name", ROWS)
def test_what_is_planted_is_found(name: str, place: str, backend: str) -> None:
    met = 0

    @settings(max_examples=12 if backend == "numpy" else 3)
    @given(ROWS[name].cases, SEEDS, BAD)
    def check(case: Case, rng: np.random.Generator, value: float) -> None:
        nonlocal met
        subject = Subject(case, backend)
        layer = subject.layers[int(rng.integers(len(subject.layers)))]
        if place == "input":
            floats = [k for k, x in enumerate(subject.xs) if x.dtype.kind == "f"]
            if not floats:
                return
            k = floats[int(rng.integers(len(floats)))]
            subject.xs[k] = np.array(subject.xs[k], order="K")
            expected: list[Any] = [(subject.names[k], plant(subject.xs[k], rng, value))]
            layer = next(each for each in subject.layers if not hasattr(each, "reads"))
            call = subject.train
        elif place == "parameter":
            arrays = [(each, own) for each in subject.layers for own in each._built().declared]
            if not arrays:
                return
            layer, own = arrays[int(rng.integers(len(arrays)))]
            expected = [(own, plant(getattr(layer, own), rng, value))]
            call = subject.train
        else:
            expected = plant_into(subject, layer, place, rng, value)
            inputs = subject.xs[: len(subject.net.input_names)]
            call = subject.train if place != "predict" else lambda: subject.net.predict(*inputs)
        if place == "backward":  # where there is no gradient at all, none can be wrong
            with np.errstate(all="ignore"):
                subject.train()
            if not expected:
                return
            expected.clear()
        error = caught(call)
        phase = "forward" if place == "predict" else place
        array, index = expected[0]
        assert_named(error, layer, phase, array, index, value)
        assert (place == "predict") == ("forward, in predict" in str(error))
        assert subject.untouched()
        met += 1

    check()
    bare = place == "parameter" and not any(word in name for word in LEARN)
    assert met or bare or (name, place) == ("Embedding", "input") or backend == "fake"


# --- networks


def test_the_innermost_layer_is_named() -> None:
    def net() -> Sequential:
        inner = Graph(h=(Affine(4), "z"), s=(Add(), "h", "z"), y=(Tanh(), "s"))
        return Sequential(Affine(4), Residual(Sequential(inner, ReLU())), Affine(3), SoftmaxCrossEntropy()).build((4,))

    made = net()
    path, layer = "1.layer.0.y", dict(made.walk())["1.layer.0.y"]
    plain: Any = layer.forward
    layer.forward = lambda x: (plain(x)[0] / 0.0, None)
    error = caught(lambda: made.forward(X, T))
    assert (error.layer, error.phase, error.array) == (path, "forward", "y")

    inner: Any = dict(net().walk())["1.layer.0"]
    bad = X.copy()
    bad[2, 1] = np.nan
    assert_named(caught(lambda: inner.predict(bad)), inner["h"], "input", "z", (2, 1), math.nan)  # a part by itself

    nested = Sequential(Sequential(Sequential(Affine(4), ReLU()), Affine(2))).build((4,))
    assert caught(lambda: nested.forward(bad)).layer == "0.0.0"
    _, cache = nested.forward(X)
    error = caught(lambda: nested.backward(np.full((6, 2), np.inf), cache))
    assert (error.layer, error.phase, error.array, error.index) == ("0.1", "backward", "dy", (0, 0))
    assert "which the network was given" in error.what


def test_what_a_network_makes_between_its_layers_is_its_own() -> None:
    def big(x: Any) -> Any:
        return x * np.float32(3e38)

    class Large(Layer):
        """y = x, and a gradient that is large, but finite."""

        def forward(self, x: Any) -> Any:
            return x, None

        def backward(self, dy: Any, cache: None) -> Any:
            return big(dy)

    graph = Graph(h=(Affine(4), "x"), a=(Large(), "h"), b=(Large(), "h"), y=(Add(), "a", "b")).build((4,))
    _, cache = graph.forward(X)
    error = caught(lambda: graph.backward(np.ones((6, 4)), cache))
    assert (error.layer, error.phase, error.array, error.index, error.value) == ("", "backward", "dy", (0, 0), math.inf)
    assert "in what it hands to layer h" in str(error)

    class Divides(Layer):
        """y = f(x / 0): wrong between its input and the layer within."""

        def __init__(self) -> None:
            self.f = Tanh()

        def build(self, shape: Any) -> Any:
            return self.sublayer("f", self.f, shape)

        def forward(self, x: Any) -> Any:
            return self.f.forward(x / 0.0)

        def backward(self, dy: Any, cache: Any) -> Any:
            return self.f.backward(dy, cache)

    error = caught(lambda: Sequential(Affine(3), Divides()).build((4,)).forward(X))
    assert (error.layer, error.phase, error.array) == ("1", "forward", "x")
    assert "in what it hands to layer 1.f" in str(error)


def test_several_outputs_and_inputs() -> None:
    net = Graph(
        h=(Affine(4), "x"),
        one=(Affine(3), "h"),
        first=(SoftmaxCrossEntropy(), "one", "labels"),
        two=(Add(), "h", "z"),
        second=(MeanSquaredError(), "two", "wanted"),
    ).build((4,), (4,))
    z, wanted = X[::-1].copy(), np.zeros((6, 4))
    with check_finite():
        _, cache = net.forward(X, z, T, wanted)
        net.backward((1.0, 0.5), cache)
    _, cache = net.forward(X, z, T, wanted)
    assert_named(caught(lambda: net.backward((1.0, np.inf), cache)), net["second"], "backward", "dy", (), math.inf)
    z[3, 1], wanted[4, 2] = np.inf, np.nan
    assert_named(caught(lambda: net.forward(X, z, T, wanted)), net["two"], "input", "z", (3, 1), math.inf)
    assert_named(caught(lambda: net.predict(X, z)), net["two"], "input", "z", (3, 1), math.inf)
    z[3, 1] = 0
    assert_named(caught(lambda: net.forward(X, z, T, wanted)), net["second"], "input", "wanted", (4, 2), math.nan)


@pytest.mark.parametrize("call", ["forward", "loss", "evaluate"])
@pytest.mark.parametrize(("array", "index"), [("x", (4, 1)), ("targets", (4, 2)), ("weights", (4,))])
def test_inputs_targets_and_weights_are_located_before_they_are_refused(call: str, array: str, index: Any) -> None:
    net = Sequential(Affine(5), Affine(3), QuadraticCost()).build((4,))
    data: dict[str, Any] = {"x": X.copy(), "targets": np.zeros((6, 3)), "weights": np.ones(6)}
    data[array][index] = np.nan
    layer = net.layers[0 if array == "x" else 2]
    assert_named(caught(lambda: getattr(net, call)(*data.values())), layer, "input", array, index, math.nan)
    if call != "forward":
        with pytest.raises(DataError if array == "x" else LabelError):
            getattr(net, call)(*data.values())


def test_rows_count_from_the_first_of_the_data() -> None:
    net = classifier()
    x = np.tile(X, (3, 1))
    x[13, 2] = np.nan
    for call in (lambda: net.predict(x, batch_size=5), lambda: net.evaluate(x, np.tile(T, 3), batch_size=5)):
        assert caught(call).index == (13, 2)
    x[13, 2] = 3e38
    net.layers[0].W[...] = 1e5
    for call in (lambda: net.predict(x, batch_size=5), lambda: net.evaluate(x, np.tile(T, 3), batch_size=5)):
        error = caught(call)
        assert (error.layer, error.phase, error.array, error.index) == ("0", "forward", "y", (13, 0))


def test_within_it_predict_and_evaluate_give_what_they_give_outside() -> None:
    net = Sequential(Affine(5), BatchNorm(), Dropout(), Affine(3), SoftmaxCrossEntropy()).build((4,))
    expected = [net.predict(X) for _ in range(4)][-1], net.evaluate(X, T), net.predict(X, batch_size=4)
    for _ in range(3):
        with check_finite():
            got = net.predict(X), net.evaluate(X, T), net.predict(X, batch_size=4)
        np.testing.assert_array_equal(got[0], expected[0])
        np.testing.assert_array_equal(got[2], expected[2])
        assert got[1] == expected[1]
        np.testing.assert_array_equal(net.predict(X), expected[0])


def test_what_predict_has_recorded_is_not_asked() -> None:
    net = Sequential(Affine(5), Tanh(), Affine(3)).build((4,))
    for _ in range(4):
        net.predict(X)
    net.layers[0].W[1, 2] = np.inf  # Tanh makes 1 or -1 of it
    assert np.isfinite(net.predict(X)).all()
    error = caught(lambda: net.predict(X))
    assert_named(error, net.layers[0], "parameter", "W", (1, 2), math.inf)


@pytest.mark.parametrize("call", ["predict", "loss"])
def test_caches_from_before_it_are_stale(call: str) -> None:
    net = classifier()
    _, cache = net.forward(X, T)
    with check_finite():
        getattr(net, call)(*(X, T)[: 1 if call == "predict" else 2])
    with pytest.raises(StateError, match="stale"):
        net.backward(1.0, cache)


def test_what_a_layer_was_given_in_words() -> None:
    given = {"x": np.array([1.0, np.nan, -2.5]), "ids": np.empty(0, int), "none": np.full(2, np.inf), "n": 3, "c": None}
    words = limits(NumpyOps(), given)
    assert words == "x from -2.5 to 1; ids empty; none without a finite number; n = 3; c a NoneType"


def test_integers_are_not_looked_at_and_large_numbers_are_no_infinity() -> None:
    net = Sequential(Embedding(9, 4), Affine(3)).build((2,))
    with check_finite():
        net.forward(np.array([[0, 8], [3, 4]]))
        classifier().forward(np.full((2, 4), 1e37, np.float32), T[:2])


def test_a_state_that_forward_spoils_is_that_layers() -> None:
    class Counts(Layer):
        """y = x; n <- 1 / 0."""

        def build(self, shape: Any) -> Any:
            self.state("n", (2,), ones)
            return shape

        def forward(self, x: Any) -> Any:
            self.n[1] = np.inf
            return x, None

    error = caught(lambda: Sequential(Affine(4), Counts()).build((4,)).forward(X))
    assert (error.layer, error.phase, error.array, error.index) == ("1", "forward", "n", (1,))


def test_a_gradient_that_nobody_wrote_is_nan_in_its_layer() -> None:
    class Forgets(Affine):
        def backward(self, dy: Any, x: Any) -> Any:
            self.dW[...] = 0
            return dy @ self.W.T

    net = Sequential(Affine(5), Forgets(3), SoftmaxCrossEntropy()).build((4,))
    _, cache = net.forward(X, T)
    error = caught(lambda: net.backward(1.0, cache))
    assert_named(error, net.layers[1], "backward", "db", (0,), math.nan)
    assert "not written" in str(error)


def test_dx_that_nobody_reads_may_be_anything() -> None:
    class Careless(Affine):
        def backward(self, dy: Any, x: Any) -> Any:
            super().backward(dy, x)
            return np.full(x.shape, np.nan)

    net = Sequential(Careless(3), SoftmaxCrossEntropy()).build((4,))
    with check_finite():
        net.backward(1.0, net.forward(X, T)[1])


# --- the context


def test_outside_it_nothing_is_looked_at() -> None:
    net, bad = classifier(), X.copy()
    bad[0, 0] = np.nan
    with check_finite(), check_finite():
        pass
    net.forward(bad, T)
    with pytest.raises(DataError, match="row 0"):
        net.predict(bad)


def test_it_nests_and_ends_with_an_exception() -> None:
    net, bad = classifier(), X.copy()
    bad[0, 0] = np.nan
    with check_finite():
        with check_finite(), pytest.raises(NonFiniteError):
            net.forward(bad, T)
        with pytest.raises(ZeroDivisionError), check_finite():
            raise ZeroDivisionError
        with pytest.raises(NonFiniteError):
            net.forward(bad, T)
    net.forward(bad, T)


def test_it_decorates_a_function() -> None:
    net, bad = classifier(), X.copy()
    bad[0, 0] = np.nan
    with pytest.raises(NonFiniteError):
        check_finite()(net.forward)(bad, T)
    net.forward(bad, T)


def test_an_exception_in_a_layer_comes_through_and_leaves_nothing_behind() -> None:
    class Fails(Layer):
        def forward(self, x: Any) -> Any:
            raise KeyError("its own")

    fails = Fails()
    net = Sequential(Affine(4), fails).build((4,))
    with check_finite(), pytest.raises(KeyError, match="its own"):
        net.forward(X)
    assert type(fails) is Fails
    assert not watched.HELD


def test_numpys_own_alarm_does_not_come_before_it() -> None:
    class Wrong(Layer):
        """y = x; dx = what NumPy would warn of."""

        def __init__(self, f: Callable[[Any], Any]) -> None:
            self.f = f

        def forward(self, x: Any) -> Any:
            return x, None

        def backward(self, dy: Any, cache: None) -> Any:
            return self.f(dy)

    numbers = np.zeros((6, 4), np.float32)
    for f in (lambda dy: dy / 0, lambda dy: (dy + 1) / 0, lambda dy: np.exp(dy + 1e3), lambda dy: np.log(dy - 1)):
        net = Sequential(Affine(4), Wrong(f)).build((4,))
        _, cache = net.forward(X)
        for how in ("raise", "warn", "ignore"):
            with np.errstate(all=how):
                error = caught(lambda net=net, cache=cache: net.backward(numbers, cache))
            assert (error.layer, error.phase, error.array) == ("1", "backward", "dx")
            assert isinstance(error, FloatingPointError)


def test_tasks_of_one_thread_are_apart() -> None:
    net, bad = classifier(), X.copy()
    bad[0, 0] = np.nan

    async def checks(turn: asyncio.Event, other: asyncio.Event) -> None:
        with check_finite():
            turn.set()
            await other.wait()
            with pytest.raises(NonFiniteError):
                net.forward(bad, T)

    async def does_not(turn: asyncio.Event, other: asyncio.Event) -> None:
        await turn.wait()
        net.forward(bad, T)
        other.set()

    async def both() -> None:
        turn, other = asyncio.Event(), asyncio.Event()
        await asyncio.gather(checks(turn, other), does_not(turn, other))

    asyncio.run(both())


def test_outside_it_no_function_of_it_is_entered() -> None:
    net = classifier()
    package, entered = Path(tinynn.__file__).parent, set()
    own = {str(package / "network" / name) for name in ("finite.py", "watched.py", "blame.py")}

    def look(frame: Any, event: str, arg: Any) -> None:
        if event == "call" and frame.f_code.co_filename in own:
            entered.add(frame.f_code.co_name)

    def calls() -> None:
        _, cache = net.forward(X, T)
        net.backward(1.0, cache)
        net.predict(X)
        net.loss(X, T)

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        calls()
        outside = set(entered)
        with check_finite():
            calls()
    finally:
        sys.setprofile(before)
    assert outside == set()
    assert {"call", "hold", "first_bad"} <= entered
