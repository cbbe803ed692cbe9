"""The optimizers with a memory against their formulas, element by element, and against PyTorch's numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from optim_helpers import PLACES, check_padding, network
from strategies import examples

from tinynn import SGD, Adagrad, Adam, AdamW, Optimizer, RMSProp, Sequential
from tinynn.network import storage as storage_module

Vectors = dict[str, np.ndarray]
Formula = Callable[[Any, np.ndarray, np.ndarray, Vectors, int, float], Any]

# --- the formulas as the papers have them: new parameters from old ones, in place in the vectors. `decays`: 1.0 or 0.0.


def momentum(o: SGD, W: np.ndarray, dW: np.ndarray, s: Vectors, t: int, decays: float) -> np.ndarray:
    g = dW + o.l2 * decays * W
    s["velocity"][...] = o.momentum * s["velocity"] + g
    return W - o.lr * (g + o.momentum * s["velocity"] if o.nesterov else s["velocity"])


def adam(o: Adam, W: np.ndarray, dW: np.ndarray, s: Vectors, t: int, decays: float, shrink: float = 0) -> np.ndarray:
    g = dW + (0 if isinstance(o, AdamW) else o.l2) * decays * W
    s["m"][...] = o.beta1 * s["m"] + (1 - o.beta1) * g
    s["v"][...] = o.beta2 * s["v"] + (1 - o.beta2) * g**2
    corrected = s["m"] / (1 - o.beta1**t) / (np.sqrt(s["v"] / (1 - o.beta2**t)) + o.eps)
    return W - o.lr * (corrected + shrink * decays * W)


def adamw(o: Any, W: np.ndarray, dW: np.ndarray, s: Vectors, t: int, decays: float) -> np.ndarray:
    return adam(o, W, dW, s, t, decays, o.weight_decay)


def rmsprop(o: RMSProp, W: np.ndarray, dW: np.ndarray, s: Vectors, t: int, decays: float) -> np.ndarray:
    g = dW + o.l2 * decays * W
    s["squares"][...] = o.rho * s["squares"] + (1 - o.rho) * g**2
    return W - o.lr * g / (np.sqrt(s["squares"]) + o.eps)


def adagrad(o: Adagrad, W: np.ndarray, dW: np.ndarray, s: Vectors, t: int, decays: float) -> np.ndarray:
    g = dW + o.l2 * decays * W
    s["squares"][...] += g**2
    return W - o.lr * g / (np.sqrt(s["squares"]) + o.eps)


CASES: dict[str, tuple[Callable[[], Optimizer], Formula]] = {
    "momentum": (lambda: SGD(0.3, l2=0.05, momentum=0.8), momentum),
    "nesterov": (lambda: SGD(0.3, l2=0.05, momentum=0.8, nesterov=True), momentum),
    "momentum without l2": (lambda: SGD(0.3, momentum=0.8), momentum),
    "Adam": (lambda: Adam(0.1, 0.7, 0.9, 1e-2, l2=0.05), adam),
    "Adam as it comes": (Adam, adam),
    "AdamW": (lambda: AdamW(0.1, 0.7, 0.9, 1e-2, weight_decay=0.2), adamw),
    "AdamW as it comes": (AdamW, adamw),
    "RMSProp": (lambda: RMSProp(0.1, 0.7, 1e-2, l2=0.05), rmsprop),
    "Adagrad": (lambda: Adagrad(0.1, 1e-2, l2=0.05), adagrad),
}


def check_formula(net: Sequential, optimizer: Optimizer, formula: Formula, steps: int = 3) -> None:
    """Each step from exactly where the last one left parameters and vectors, in longdouble."""
    rng = np.random.default_rng(3)
    parameters, gradients = net.storage.parameters, net.storage.gradients
    for t in range(1, steps + 1):
        for gradient in gradients.values():
            gradient[...] = rng.standard_normal(gradient.shape)
        held = net.storage.grads.copy()
        before = {name: W.astype(np.longdouble) for name, W in parameters.items()}
        old = {name: a.astype(np.longdouble) for name, a in optimizer.state().items() if name != "steps"}
        optimizer.step(net)
        new = optimizer.state()
        assert new.pop("steps") == t
        assert {name.partition(".")[0] for name in new} == set(optimizer.vectors)
        for name, W in parameters.items():
            zero = np.zeros(W.shape, np.longdouble)
            s = {vector: old.get(f"{vector}.{name}", zero.copy()) for vector in optimizer.vectors}
            right = formula(optimizer, before[name], gradients[name].astype(np.longdouble), s, t, float(".W" in name))
            eps = np.finfo(W.dtype).eps
            # What is added may nearly cancel, so the rounding of a direction is that of numbers about 1.
            assert (np.abs(W - right) <= eps * (np.abs(before[name]) + 64 * optimizer.lr)).all(), name
            for vector, values in s.items():
                mine = new[f"{vector}.{name}"]
                assert mine.dtype == W.dtype
                assert (np.abs(mine - values) <= 8 * eps * (np.abs(values) + 1)).all(), (vector, name)
        np.testing.assert_array_equal(net.storage.grads, held)
        check_padding(net)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", ["nesterov", "Adam", "AdamW", "RMSProp"])
def test_formula_over_several_blocks(case: str, place: str, dtype: str) -> None:
    make, formula = CASES[case]
    check_formula(network(PLACES[place][0], PLACES[place][1], dtype), make(), formula, steps=2)


sizes = st.lists(st.integers(1, 200), max_size=3)


@pytest.mark.parametrize("case", CASES)
def test_formula_for_any_sizes(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_module, "BLOCK", 128)
    make, formula = CASES[case]

    @settings(max_examples=examples(60))
    @given(sizes, sizes, st.sampled_from(["float32", "float64"]))
    def check(decayed: list[int], kept: list[int], dtype: str) -> None:
        net = network(decayed, kept, dtype)
        assert net.storage.work.size <= 128
        if decayed or kept:
            check_formula(net, make(), formula)

    check()


# --- PyTorch 2.13, float64: three weights from START, each gradient a function of the weight and of the step

START = [0.5, -1.2, 2.0]
PYTORCH: dict[str, tuple[Callable[[], Optimizer], list[float]]] = {
    "SGD(lr=.05, momentum=.9, weight_decay=.1)": (
        lambda: SGD(0.05, l2=0.1, momentum=0.9),
        [0.5539580224093363, -0.3079391565921587, -1.2118108092890694],
    ),
    "SGD(lr=.05, momentum=.9, nesterov=True, weight_decay=.1)": (
        lambda: SGD(0.05, l2=0.1, momentum=0.9, nesterov=True),
        [0.5034553028251156, -0.16296564415896841, -0.7505615064940635],
    ),
    "Adam(lr=.05, betas=(.8, .95), eps=1e-3, weight_decay=.1)": (
        lambda: Adam(0.05, 0.8, 0.95, 1e-3, l2=0.1),
        [0.5618011192092826, -0.7906258319344381, 1.6009744032507869],
    ),
    "AdamW(lr=.05, betas=(.8, .95), eps=1e-3, weight_decay=.1)": (
        lambda: AdamW(0.05, 0.8, 0.95, 1e-3, weight_decay=0.1),
        [0.5944401556219187, -0.7501119964139544, 1.5299252846027616],
    ),
    "RMSprop(lr=.05, alpha=.9, eps=1e-3, weight_decay=.1)": (
        lambda: RMSProp(0.05, 0.9, 1e-3, l2=0.1),
        [0.3058200567459511, -0.3754245229556451, 1.2935504173508503],
    ),
    "Adagrad(lr=.05, eps=1e-3, weight_decay=.1)": (
        lambda: Adagrad(0.05, 1e-3, l2=0.1),
        [0.4863137469069963, -0.9439513706383204, 1.780154415651701],
    ),
    "Adam(lr=.05, weight_decay=.1) after clip_grad_norm_(1.)": (
        lambda: Adam(0.05, l2=0.1, clip_norm=1.0),
        [0.40724881326842033, -0.7962963133174195, 1.6005062402362515],
    ),
    "SGD(lr=.05, weight_decay=.1) after clip_grad_value_(.5)": (
        lambda: SGD(0.05, l2=0.1, clip_value=0.5),
        [0.4902059893822751, -0.9703572021099982, 1.724851305028058],
    ),
}


@pytest.mark.parametrize("name", PYTORCH)
def test_eight_steps_of_pytorch(name: str) -> None:
    make, right = PYTORCH[name]
    optimizer, net = make(), network([3], [], "float64")
    W, dW = net.storage.parameters["0.W0"], net.storage.gradients["0.W0"]
    W[...] = START
    for k in range(8):
        dW[...] = (W - [1.0, -0.5, 0.25]) * [1.0, 0.3, 2.5] + 0.1 * (k + 1) * np.array([1, -1, 1])
        optimizer.step(net)
    # PyTorch's clip_grad_norm_ divides by the norm + 1e-6.
    tolerance = 1e-6 if "clip_grad_norm" in name else 1e-14
    np.testing.assert_allclose(W, right, rtol=tolerance)


# --- what each is for


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("make", [Adam, RMSProp, Adagrad], ids=lambda make: make.__name__)
def test_the_size_of_the_gradient_does_not_matter(make: Any, scale: float) -> None:
    net, other = network([40], [], "float64"), network([40], [], "float64")
    other.storage.grads *= scale
    one, two = make(0.1, eps=1e-30), make(0.1, eps=1e-30)
    for _ in range(3):
        one.step(net)
        two.step(other)
    np.testing.assert_allclose(net.storage.params, other.storage.params, rtol=1e-12)


def test_the_first_step_of_adam_is_lr_against_the_gradient() -> None:
    net = network([200], [30], "float64")
    before = net.storage.params.copy()
    Adam(0.01, eps=1e-30).step(net)
    np.testing.assert_allclose(net.storage.params, before - 0.01 * np.sign(net.storage.grads), rtol=0, atol=1e-15)


def test_nesterov_looks_ahead() -> None:
    """Nesterov's own form: the gradient at the place where the velocity leads; here W names that place."""
    lr, mu, w, v = 0.1, 0.9, 2.0, 0.0
    net = network([1], [], "float64")
    W, dW = net.storage.parameters["0.W0"], net.storage.gradients["0.W0"]
    W[...] = w
    sgd = SGD(lr, momentum=mu, nesterov=True)
    for _ in range(30):
        ahead = w + mu * v
        assert W[0] == pytest.approx(ahead, rel=1e-12)
        v = mu * v - lr * math.sin(ahead)
        w += v
        dW[...] = np.sin(W)
        sgd.step(net)


def test_momentum_set_to_0_forgets_the_velocity() -> None:
    net, plain = network([70], [3], "float64"), network([70], [3], "float64")
    sgd = SGD(0.1, momentum=0.9)
    sgd.step(net)
    sgd.step(net)
    plain.storage.params[...] = net.storage.params
    sgd.momentum = 0.0
    sgd.step(net)
    SGD(0.1).step(plain)
    np.testing.assert_array_equal(net.storage.params, plain.storage.params)
    sgd.momentum = 0.5
    sgd.step(net)  # the velocity is the last gradient alone
    np.testing.assert_allclose(net.storage.params, plain.storage.params - 0.15 * net.storage.grads, rtol=1e-14)


@pytest.mark.parametrize("make", [Adam, AdamW, RMSProp, Adagrad], ids=lambda make: make.__name__)
def test_gradients_of_zero_move_nothing_but_by_decay(make: Any) -> None:
    net = network([70], [3], "float32")
    net.storage.grads[...] = 0
    before = net.storage.params.copy()
    optimizer = make(0.1, eps=1e-30, **({"weight_decay": 0.0} if make is AdamW else {}))
    for _ in range(3):
        optimizer.step(net)
    np.testing.assert_array_equal(net.storage.params, before)
