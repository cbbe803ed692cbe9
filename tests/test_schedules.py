"""Schedules against their formulas and PyTorch's numbers, and what an optimizer makes of a function of the step."""

from __future__ import annotations

import math
import pickle
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from optim_helpers import network

from tinynn import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    ConfigurationError,
    RMSProp,
    cosine,
    exponential,
    one_cycle,
    step_decay,
    warm_up,
)

SCHEDULES = [
    step_decay(0.1, factor=0.5, every=3),
    exponential(0.1, rate=0.9),
    cosine(0.1, steps=10, final=0.001),
    one_cycle(0.1, steps=20),
    warm_up(0.1, steps=5),
    warm_up(cosine(0.1, steps=10), steps=5),
]

# PyTorch 2.13: the learning rates of SGD(lr=0.1) in torch.optim.lr_scheduler, one before each step.
PYTORCH = {
    "OneCycleLR(o, .1, total_steps=20)": (
        one_cycle(0.1, steps=20),
        [
            0.0040000000000000036,
            0.013167184270002533,
            0.037167184270002526,
            0.06683281572999747,
            0.09083281572999748,
            0.1,
            0.09874640062350874,
            0.09504846320134738,
            0.089091617757105,
            0.0811745653949763,
            0.07169430017913009,
            0.06112620219362893,
            0.0500002,
            0.03887419780637107,
            0.028306099820869922,
            0.0188258346050237,
            0.010908782242895003,
            0.004951936798652629,
            0.0012539993764912555,
            4e-07,
        ],
    ),
    "OneCycleLR(o, .1, total_steps=13, pct_start=.45, div_factor=10, final_div_factor=100)": (
        one_cycle(0.1, steps=13, rise=0.45, start_divisor=10, final_divisor=100),
        [
            0.009999999999999995,
            0.01911507352467756,
            0.04276764674936457,
            0.07137572216335691,
            0.09334975706451862,
            0.09989155276999209,
            0.0937579277389114,
            0.07932102424127349,
            0.059323448393107554,
            0.03756417785163156,
            0.018176862777847896,
            0.004844548424739198,
            0.0001,
        ],
    ),
    "CosineAnnealingLR(o, 10, eta_min=.001)": (
        cosine(0.1, steps=10, final=0.001),
        [
            0.1,
            0.09757729755661011,
            0.0905463412215599,
            0.07959536998847742,
            0.0657963412215599,
            0.0505,
            0.03520365877844011,
            0.02140463001152259,
            0.010453658778440109,
            0.0034227024433899004,
            0.001,
        ],
    ),
    "StepLR(o, 3, .5)": (step_decay(0.1, 0.5, 3), [0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025, 0.0125]),
    "ExponentialLR(o, .9)": (exponential(0.1, 0.9), [0.1, 0.09, 0.081, 0.0729, 0.06561, 0.059049, 0.0531441]),
}


@pytest.mark.parametrize("name", PYTORCH)
def test_pytorch_has_the_same_numbers(name: str) -> None:
    schedule, right = PYTORCH[name]
    np.testing.assert_allclose([schedule(step) for step in range(len(right))], right, rtol=1e-13, atol=1e-17)


@given(st.floats(1e-6, 10), st.integers(1, 500), st.floats(0, 10), st.integers(0, 1000))
def test_cosine(lr: float, steps: int, final: float, step: int) -> None:
    value = cosine(lr, steps, final)(step)
    share = min(step / steps, 1)
    assert value == pytest.approx(final + (lr - final) * (1 + math.cos(math.pi * share)) / 2, rel=1e-12, abs=1e-16)
    assert 0 <= value <= max(lr, final) * (1 + 1e-15)
    if step >= steps:
        assert value == final


@given(st.floats(1e-6, 10), st.integers(1, 500), st.floats(0.01, 0.99), st.floats(0.5, 100), st.floats(1, 1e6))
def test_one_cycle_starts_rises_falls_and_stays(
    peak: float, steps: int, rise: float, first: float, last: float
) -> None:
    schedule = one_cycle(peak, steps, rise, first, last)
    end = peak / first / last
    values = [schedule(step) for step in range(steps + 3)]
    assert all(value >= 0 for value in values)
    np.testing.assert_allclose(values[steps - 1 :], end, rtol=1e-9, atol=1e-15 * peak)
    top = rise * steps - 1
    if top > 0:
        assert values[0] == pytest.approx(peak / first)
    assert max(values) <= max(peak, peak / first) * (1 + 1e-12)
    falling = [value for step, value in enumerate(values) if step >= top]
    if end <= peak:
        assert all(a >= b - 1e-15 * peak for a, b in pairwise(falling))


@given(st.integers(1, 100), st.integers(0, 200))
def test_warm_up_of_a_number_and_of_a_schedule(steps: int, step: int) -> None:
    share = min(1, (step + 1) / steps)
    assert warm_up(0.3, steps)(step) == pytest.approx(share * 0.3, rel=1e-15)
    inner = step_decay(0.2, 0.5, 10)
    assert warm_up(inner, steps)(step) == pytest.approx(share * inner(step), rel=1e-15)
    assert warm_up(inner, steps)(steps + 5) == inner(steps + 5)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_a_schedule_is_a_pure_function_that_can_be_pickled_and_read(schedule: Any) -> None:
    forwards = [schedule(step) for step in range(30)]
    again = pickle.loads(pickle.dumps(schedule))
    assert [again(step) for step in reversed(range(30))] == forwards[::-1]
    assert all(type(value) is float for value in forwards)
    assert eval(repr(schedule)) == schedule == again
    assert {schedule: 1}[again] == 1 and len({*SCHEDULES, again}) == len(SCHEDULES)
    with pytest.raises(AttributeError, match="stays what it is: make another"):
        again.lr = 0.2
    assert again == schedule


def test_repr() -> None:
    assert repr(SGD(cosine(0.1, 5000))) == "SGD(lr=cosine(lr=0.1, steps=5000, final=0.0))"


MISTAKES = {
    "cosine(0, 10)": (lambda: cosine(0, 10), "lr of cosine", "a number > 0", "0"),
    "cosine(0.1, 0)": (lambda: cosine(0.1, 0), "steps of cosine", "an integer >= 1", "0"),
    "cosine(0.1, 2.5)": (lambda: cosine(0.1, 2.5), "steps of cosine", "an integer >= 1", "2.5"),  # pyright: ignore[reportArgumentType]
    "final=-1": (lambda: cosine(0.1, 10, final=-1), "final of cosine", "a number >= 0", "-1"),
    "a schedule in a cosine": (lambda: cosine(cosine(0.1, 5), 5), "lr of cosine", "> 0", "cosine(lr=0.1"),  # pyright: ignore[reportArgumentType]
    "factor=0": (lambda: step_decay(0.1, 0, 5), "factor of step_decay", "a number > 0", "0"),
    "rate=nan": (lambda: exponential(0.1, math.nan), "rate of exponential", "a number > 0", "nan"),
    "rise=1": (lambda: one_cycle(0.1, 20, rise=1), "rise of one_cycle", "a number > 0 and < 1", "1"),
    "warm_up('0.1x')": (lambda: warm_up("0.1x", 5), "to of warm_up", "a number > 0", "'0.1x'"),  # pyright: ignore[reportArgumentType]
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_schedule_that_cannot_work_is_refused_when_it_is_made(name: str) -> None:
    mistake, what, expected, got = MISTAKES[name]
    with pytest.raises(ConfigurationError, match=what) as caught:
        mistake()
    assert expected in str(caught.value.expected) and got in str(caught.value.got)
    kind = str(caught.value.where)
    assert str(caught.value.fix).startswith(kind)
    eval(str(caught.value.fix))


# --- in an optimizer


@pytest.mark.parametrize("make", [SGD, Adam, AdamW, RMSProp, Adagrad], ids=lambda make: make.__name__)
def test_each_step_has_its_own_learning_rate(make: Any) -> None:
    net, constant = network([70], [3], "float64"), network([70], [3], "float64")
    asked = []

    def schedule(step: int) -> float:
        asked.append(step)
        return 0.1 / (1 + step)

    scheduled, other = make(schedule), make(0.1)
    for step in range(5):
        other.lr = 0.1 / (1 + step)
        assert scheduled.lr == other.lr
        scheduled.step(net)
        other.step(constant)
        np.testing.assert_array_equal(net.storage.params, constant.storage.params)
    assert sorted(set(asked)) == [0, 1, 2, 3, 4]


def test_a_schedule_may_end_at_0_and_a_number_may_not_be_0() -> None:
    net = network([5], [5], "float32")
    sgd = SGD(cosine(0.1, steps=2))
    sgd.step(net)
    sgd.step(net)
    before = net.storage.params.copy()
    assert sgd.lr == 0.0
    sgd.step(net)
    np.testing.assert_array_equal(net.storage.params, before)
    with pytest.raises(ConfigurationError, match="learning rate"):
        sgd.lr = 0.0


def test_number_and_schedule_may_replace_each_other_between_steps() -> None:
    net = network([5], [5], "float64")
    sgd = SGD(0.5)
    sgd.step(net)
    sgd.lr = step_decay(0.1, 0.5, 1)
    assert sgd.lr == 0.05  # of step 1: the steps are counted from the first
    sgd.lr = 0.2
    assert sgd.lr == 0.2 and repr(sgd) == "SGD(lr=0.2)"


@pytest.mark.parametrize("value", [-1e-9, math.nan, math.inf, None, "0.1x", 1j, [0.1, 0.2]])
def test_what_a_schedule_returns_is_checked(value: Any) -> None:
    net, asked = network([5], [5], "float64"), SGD(lambda step: 0.1 if step < 1 else value)
    asked.step(net)
    before = net.storage.params.copy()
    for mistake in (lambda: asked.lr, lambda: asked.step(net)):
        with pytest.raises(ConfigurationError, match="learning rate") as caught:
            mistake()
        assert "step 1" in str(caught.value.where) and caught.value.got == repr(value)
        assert caught.value.expected == "a number >= 0"
    np.testing.assert_array_equal(net.storage.params, before)


def test_a_schedule_that_overflows_says_so() -> None:
    sgd = SGD(exponential(0.1, rate=2.0))
    sgd.load_state({"steps": 5000})
    with pytest.raises(ConfigurationError, match="learning rate") as caught:
        sgd.step(network([5], [5], "float64"))
    assert "rate=2.0) at step 5000" in str(caught.value.where) and caught.value.got == "inf"


@pytest.mark.parametrize("mistake", [lambda: SGD(cosine), lambda: warm_up(cosine, 5)])  # pyright: ignore[reportArgumentType]
def test_a_schedule_without_its_settings_is_refused(mistake: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be a finite number") as caught:
        mistake()
    assert "cosine" in str(caught.value.got)


def test_numpy_numbers_from_a_schedule_do_not_promote() -> None:
    net, sgd = network([5], [5], "float32"), SGD(lambda step: np.float64(0.1), momentum=0.5)
    sgd.step(net)
    assert type(sgd.lr) is float
    assert net.storage.params.dtype == sgd.vector("velocity").dtype == np.float32
