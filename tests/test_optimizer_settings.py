"""The settings of the optimizers: checked in the constructor and on every change, floats of Python, shown by repr."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from optim_helpers import network

from tinynn import SGD, Adagrad, Adam, AdamW, ConfigurationError, RMSProp

BAD: dict[tuple[Any, str], list[Any]] = {
    (SGD, "momentum"): [-0.1, 1, math.nan, "0.9x", None],
    (Adam, "lr"): [0, -1, math.nan, None],
    (Adam, "beta1"): [-0.1, 1.0, math.inf, None],
    (Adam, "beta2"): [-0.1, 1.0, 1j],
    (Adam, "eps"): [0, 1e-50, math.nan],
    (Adam, "l2"): [-1, math.nan],
    (AdamW, "beta1"): [1],
    (AdamW, "weight_decay"): [-1, math.inf, "x"],
    (RMSProp, "rho"): [-0.1, 1, None],
    (RMSProp, "eps"): [0],
    (RMSProp, "l2"): [-1],
    (Adagrad, "eps"): [0],
    (Adagrad, "l2"): [-1],
}


@pytest.mark.parametrize(("make", "name"), BAD, ids=lambda part: part if isinstance(part, str) else part.__name__)
def test_a_setting_that_cannot_work_is_refused_also_later(make: Any, name: str) -> None:
    optimizer = make(lr=0.1)
    held = getattr(optimizer, name)
    for value in BAD[make, name]:
        for mistake in (lambda v=value: make(**{"lr": 0.1, name: v}), lambda v=value: setattr(optimizer, name, v)):
            with pytest.raises(ConfigurationError, match=name) as caught:
                mistake()
            assert caught.value.where == make.__name__ and caught.value.got == repr(value)
            made = eval(str(caught.value.fix))
            assert type(made) is make and f"{name}=" in str(caught.value.fix)
    assert getattr(optimizer, name) == held


@pytest.mark.parametrize(("value", "momentum"), [(True, 0.0), (1, 0.9), ("yes", 0.9), (None, 0.9)])
def test_nesterov_is_yes_or_no_and_needs_a_momentum(value: Any, momentum: float) -> None:
    with pytest.raises(ConfigurationError, match="nesterov") as caught:
        SGD(0.1, momentum=momentum, nesterov=value)
    assert eval(str(caught.value.fix)).nesterov is True


def test_settings_are_python_floats_and_repr_shows_what_is_not_default() -> None:
    assert repr(Adam()) == "Adam(lr=0.001)"
    assert repr(AdamW(np.float64(0.5), beta2=0.9)) == "AdamW(lr=0.5, beta2=0.9)"
    assert repr(RMSProp(l2=1)) == "RMSProp(lr=0.001, l2=1)"
    assert repr(SGD(0.1, momentum=0.9, nesterov=True)) == "SGD(lr=0.1, momentum=0.9, nesterov=True)"
    net, adam = network([5], [5], "float32"), Adam(*np.array([0.1, 0.8, 0.9, 1e-3, 0.2]))
    adam.step(net)
    assert {type(getattr(adam, name)) for name in ("lr", "beta1", "beta2", "eps", "l2")} == {float}
    assert {a.dtype for a in (net.storage.params, adam.vector("m"), adam.vector("v"))} == {np.dtype("float32")}
