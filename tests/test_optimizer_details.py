"""Optimizers and schedules in small: default settings, what a step asks of them, equality, and copies before a step."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
from typing import Any

import numpy as np
import pytest
from optim_helpers import network

from tinynn import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    ConfigurationError,
    Optimizer,
    RMSProp,
    ShapeError,
    StateError,
    cosine,
    exponential,
    one_cycle,
    step_decay,
    warm_up,
)

CLIPS = {"clip_norm": None, "clip_value": None}
DEFAULTS: dict[Any, dict[str, Any]] = {
    SGD: {"l2": 0.0, "momentum": 0.0, "nesterov": False, **CLIPS},
    Adam: {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "l2": 0.0, **CLIPS},
    AdamW: {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01, **CLIPS},
    RMSProp: {"lr": 1e-3, "rho": 0.9, "eps": 1e-8, "l2": 0.0, **CLIPS},
    Adagrad: {"lr": 1e-2, "eps": 1e-8, "l2": 0.0, **CLIPS},
}
ALL = list(DEFAULTS)


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_default_settings(make: Any) -> None:
    made = make(0.1) if make is SGD else make()
    for name, value in DEFAULTS[make].items():
        assert getattr(made, name) == value and type(getattr(made, name)) is type(value)
        assert inspect.signature(make).parameters[name].default == value
    assert made.steps_taken == 0 and not made.clips and made.state() == {"steps": 0}


def test_default_settings_of_schedules() -> None:
    assert cosine(0.1, 5).final == 0
    cycle = one_cycle(0.1, 5)
    assert (cycle.rise, cycle.start_divisor, cycle.final_divisor) == (0.3, 25, 1e4)


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_every_setting_is_taken_by_its_name(make: Any) -> None:
    given: dict[str, Any] = {"lr": 0.25, "clip_norm": 2.0, "clip_value": 0.5}
    for i, name in enumerate(DEFAULTS[make]):
        if name not in given and name != "nesterov":
            given[name] = 0.5 + i / 16
    made = make(**given)
    for name, value in given.items():
        assert getattr(made, name) == value
    assert made.clips
    shown = repr(made)
    assert all(f"{name}={value:g}" in shown for name, value in given.items())
    assert repr(copy.deepcopy(made)) == shown


def test_what_a_step_depends_on() -> None:
    for made, clips, moves in (
        (SGD(0.1), False, False),
        (SGD(0.1, clip_norm=1.0), True, False),
        (SGD(0.1, clip_value=1.0), True, False),
        (SGD(cosine(0.1, 5)), False, True),
        (Adam(), False, True),
        (AdamW(clip_norm=1.0), True, True),
        (RMSProp(), False, False),
        (Adagrad(exponential(0.1, 0.9)), False, True),
    ):
        assert (made.clips, made.moves) == (clips, moves)
    made = SGD(0.1, clip_norm=1.0)
    made.clip_norm = None
    assert not made.clips
    made.lr = cosine(0.1, 5)
    assert made.moves
    made.lr = 0.1
    assert not made.moves


def test_settings_that_are_none_and_at_their_bounds() -> None:
    for make in ALL:
        made = make(0.1)
        for name in ("clip_norm", "clip_value"):
            for wrong in (0, -1, math.inf, math.nan, 1e30, 1e-31, "1x"):
                with pytest.raises(ConfigurationError, match=name):
                    setattr(made, name, wrong)
                assert getattr(made, name) is None
            for right in (1e-30, 9e29, None):
                setattr(made, name, right)
                assert getattr(made, name) == right
        for name in DEFAULTS[make].keys() - {"clip_norm", "clip_value", "nesterov"}:
            with pytest.raises(ConfigurationError, match=name):
                setattr(made, name, None)
    assert (SGD(0.1, l2=0, momentum=0).l2, Adam(beta1=0, beta2=0).beta1, Adam(eps=1e-30).eps) == (0, 0, 1e-30)


# --- schedules


SCHEDULES = [
    step_decay(0.1, 0.5, 10),
    exponential(0.1, 0.9),
    cosine(0.1, 20),
    cosine(0.1, 20, 0.01),
    cosine(0.1, 21),
    one_cycle(0.1, 20),
    one_cycle(0.1, 20, 0.4),
    warm_up(0.1, 20),
    warm_up(cosine(0.1, 20), 20),
]


def test_schedules_are_equal_where_their_settings_are() -> None:
    for i, a in enumerate(SCHEDULES):
        for j, b in enumerate(SCHEDULES):
            assert (a == b) is (i == j) and (a != b) is (i != j)
        other = pickle.loads(pickle.dumps(a))
        assert other == a and hash(other) == hash(a) and other is not a
        assert a != 0.1 and a != repr(a)
    assert len({hash(schedule) for schedule in SCHEDULES}) == len(SCHEDULES)
    assert exponential(0.1, 0.5) != cosine(0.1, 1, 0.5)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_a_schedule_stays_what_it_is(schedule: Any) -> None:
    shown = repr(schedule)
    for name in (*vars(schedule), "other"):
        with pytest.raises(AttributeError, match="stays what it is"):
            setattr(schedule, name, 1)
    assert repr(schedule) == shown


def test_the_corners_of_schedules() -> None:
    decay = step_decay(0.8, 0.5, 3)
    assert [decay(step) for step in range(7)] == [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2]
    assert [exponential(0.5, 2.0)(step) for step in range(4)] == [0.5, 1.0, 2.0, 4.0]
    wave = cosine(0.5, 4, 0.1)
    assert [wave(step) for step in (0, 2)] == pytest.approx([0.5, 0.3], rel=1e-15)
    assert [wave(step) for step in (4, 5, 100)] == [0.1] * 3
    cycle = one_cycle(0.5, 11, 0.5, 10.0, 100.0)
    assert cycle(0) == pytest.approx(0.05, rel=1e-14) and cycle(10) == pytest.approx(0.0005, rel=1e-12)
    assert cycle(4) < 0.5 > cycle(5) and cycle(11) == cycle(10) == cycle(99)
    assert one_cycle(0.5, 10, 0.5, 10.0, 100.0)(4) == 0.5  # the top, by both halves
    rising = warm_up(0.4, 4)
    assert [rising(step) for step in range(6)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4, 0.4], rel=1e-15)


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (lambda v: step_decay(v, 0.5, 3), 0),
        (lambda v: step_decay(0.1, v, 3), 0),
        (lambda v: step_decay(0.1, 0.5, v), 0),
        (lambda v: exponential(v, 0.5), 0),
        (lambda v: exponential(0.1, v), 0),
        (lambda v: cosine(0.1, v), 0),
        (lambda v: cosine(0.1, 3, v), -0.1),
        (lambda v: one_cycle(v, 5), 0),
        (lambda v: one_cycle(0.1, v), 0.5),
        (lambda v: one_cycle(0.1, 5, v), 0),
        (lambda v: one_cycle(0.1, 5, v), 1),
        (lambda v: one_cycle(0.1, 5, 0.3, v), 0),
        (lambda v: one_cycle(0.1, 5, 0.3, 25, v), 0),
        (lambda v: warm_up(v, 5), 0),
        (lambda v: warm_up(0.1, v), 0),
    ],
)
def test_each_setting_of_a_schedule_has_its_bound(make: Any, wrong: Any) -> None:
    for value in (wrong, math.nan, "x", None):
        with pytest.raises(ConfigurationError):
            make(value)


# --- state, before and between steps


@pytest.mark.parametrize("make", [Adam, lambda: SGD(0.1, momentum=0.9), Adagrad], ids=["Adam", "SGD", "Adagrad"])
def test_a_state_that_waits_for_its_network_is_kept(make: Any) -> None:
    net = network([70], [3], "float64")
    made = make()
    made.step(net)
    state = made.state()
    waiting = make()
    waiting.load_state(state)
    after = []
    for other in (waiting, copy.deepcopy(waiting), pickle.loads(pickle.dumps(waiting)), copy.deepcopy(made)):
        held = other.state()
        assert held.keys() == state.keys() and held["steps"] == other.steps_taken == 1
        for name in state:
            np.testing.assert_array_equal(held[name], state[name])
        mine = network([70], [3], "float64")
        mine.storage.params[...], mine.storage.grads[...] = net.storage.params, net.storage.grads
        other.step(mine)
        after.append(mine.storage.params)
        assert other.steps_taken == 2
    made.step(net)
    for params in after:
        np.testing.assert_array_equal(params, net.storage.params)
    assert state["steps"] == 1  # what was given is left as it was


def test_states_of_another_type_take_the_types_of_the_network() -> None:
    net, adam = network([70], [3], "float32"), Adam()
    adam.step(net)
    wide = {name: np.asarray(value, np.float64) if name != "steps" else value for name, value in adam.state().items()}
    adam.load_state(wide)
    assert adam.vector("m").dtype == np.float32
    fresh = Adam()
    fresh.load_state(wide)
    fresh.step(net)
    assert fresh.vector("v").dtype == np.float32


def test_vectors_stay_in_their_memory_when_a_state_is_loaded() -> None:
    net, adam = network([70], [3], "float64"), Adam()
    adam.step(net)
    m, state = adam.vector("m"), adam.state()
    adam.step(net)
    adam.load_state(state)
    assert adam.vector("m") is m
    np.testing.assert_array_equal(net.storage.views(m)["0.W0"], state["m.0.W0"])
    adam.load_state({"steps": 7})
    assert adam.vector("m") is m and not m.any() and adam.steps_taken == 7


def test_steps_may_be_any_count() -> None:
    for steps in (0, 5, np.int64(5), np.uint8(5)):
        adam = Adam()
        adam.load_state({"steps": steps})
        assert adam.steps_taken == steps and adam.state() == {"steps": steps}


def test_a_name_that_is_no_vector_is_refused_before_the_first_step() -> None:
    for name in ("mm.0.W0", "m", "velocity.0.W0", ".m"):
        adam = Adam()
        if name == "m":
            adam.load_state({"steps": 1, name: np.zeros(70)})
            with pytest.raises(ShapeError, match="'m'"):
                adam.step(network([70], [3], "float64"))
            continue
        with pytest.raises(ShapeError) as caught:
            adam.load_state({"steps": 1, name: np.zeros(70)})
        assert caught.value.expected == "m.<parameter> or v.<parameter>" and caught.value.got == "this name"
        assert adam.steps_taken == 0

    class Plain(Optimizer):
        def update(self, ops: Any, storage: Any, lr: float) -> None: ...

    with pytest.raises(ShapeError) as caught:
        Plain(0.1).load_state({"steps": 1, "m.0.W": np.zeros(3)})
    assert caught.value.expected == "no arrays"


def test_a_network_of_its_own() -> None:
    net, other = network([70], [3], "float64"), network([70], [3], "float64")
    sgd = SGD(0.1)
    assert sgd.joined(net) is net.storage and sgd.joined(other) is other.storage  # it remembers nothing
    scheduled = SGD(cosine(0.1, 5))
    assert scheduled.joined(net) is scheduled.joined(net) is net.storage
    for wrong in (scheduled, SGD(0.1, momentum=0.9)):
        wrong.step(net)
        with pytest.raises(StateError, match="another network"):
            wrong.joined(other)


def test_momentum_of_0_makes_no_velocity() -> None:
    net = network([70], [3], "float64")
    sgd = SGD(0.1)
    sgd.step(net)
    assert sgd.state() == {"steps": 1}
    sgd.momentum = 0.5
    before = net.storage.params.copy()
    sgd.step(net)
    assert set(sgd.state()) == {"steps", "velocity.0.W0", "velocity.0.b0"}
    np.testing.assert_allclose(net.storage.params, before - 0.1 * net.storage.grads, rtol=1e-12)


def test_nesterov_may_be_set_between_steps() -> None:
    sgd = SGD(0.1, momentum=0.9)
    assert sgd.nesterov is False
    sgd.nesterov = True
    assert sgd.nesterov is True and repr(sgd) == "SGD(lr=0.1, momentum=0.9, nesterov=True)"
    plain = SGD(0.1)
    with pytest.raises(ConfigurationError, match="nesterov"):
        plain.nesterov = True
    plain.nesterov = False
    assert plain.nesterov is False


def test_types_and_functions_are_told_apart_as_learning_rates() -> None:
    class Callable:
        def __call__(self, step: int) -> float:
            return 0.1 * (step + 1)

    assert SGD(Callable()).lr == 0.1
    with pytest.raises(ConfigurationError):
        SGD(Callable)  # pyright: ignore[reportArgumentType]
    assert SGD(lambda step: 1).lr == 1.0
    assert SGD(lambda step: 0.0).lr == 0.0


def test_a_pickle_holds_what_is_remembered_once() -> None:
    net, adam = network([5000], [3000], "float64"), Adam()
    adam.step(net)
    arrays = sum(array.nbytes for name, array in adam.state().items() if name != "steps")
    assert arrays <= len(pickle.dumps(adam)) < 1.1 * arrays


def test_repr_of_an_optimizer_that_does_not_keep_an_argument() -> None:
    class Noted(Optimizer):
        def __init__(self, lr: float, note: str = "none", kept: int = 3) -> None:
            super().__init__(lr)
            self.kept = kept

        def update(self, ops: Any, storage: Any, lr: float) -> None: ...

    assert repr(Noted(0.1, "mine")) == "Noted(lr=0.1)"
    assert repr(Noted(0.1, kept=4)) == "Noted(lr=0.1, kept=4)"
