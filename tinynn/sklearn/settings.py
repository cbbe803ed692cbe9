"""What the estimators' constructors take, looked at when `fit` is called, as scikit-learn has it."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from tinynn.errors import ConfigurationError
from tinynn.layer import Layer
from tinynn.layers import Dropout
from tinynn.losses import Loss
from tinynn.sklearn.activations import ACTIVATIONS

__all__ = ["Rule", "check_settings", "each_layers", "one_of", "sizes"]


class Rule(NamedTuple):
    """Which values a parameter may have, the same in words, and one of them."""

    allows: Callable[[Any], bool]
    expected: str
    example: str


def number(example: str, *, least: float = -math.inf, above: float = -math.inf, below: float = math.inf) -> Rule:
    """A finite number within these bounds."""

    def allows(value: Any) -> bool:
        if not isinstance(value, Real) or isinstance(value, bool | np.bool_):
            return False
        return above < (x := float(value)) < below and x >= least

    bounds = f" > {above:g}" * (above > -math.inf) + f" >= {least:g}" * (least > -math.inf)
    bounds += f"{' and' * bool(bounds)} < {below:g}" * (below < math.inf)
    return Rule(allows, f"a finite number{bounds}", example)


def is_count(value: Any) -> bool:
    """Whether it is an integer >= 1."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def is_infinite(value: Any) -> bool:
    """Whether it is np.inf."""
    return isinstance(value, float) and value == math.inf


def one_of(*names: str) -> Rule:
    """One of these texts."""
    return Rule(lambda value: isinstance(value, str) and value in names, " or ".join(map(repr, names)), repr(names[0]))


def is_auto(value: Any) -> bool:
    """Whether it is that text."""
    return isinstance(value, str) and value == "auto"


def are_sizes(value: Any) -> bool:
    """Whether it is the number of units of a layer, or of several."""
    return is_count(value) or (is_sequence(value) and all(map(is_count, value)))


def is_sequence(value: Any) -> bool:
    """Whether it is a list, a tuple, or an array with one axis."""
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1)


def is_activation(value: Any) -> bool:
    """Whether it is the name of an activation, or a layer in its place."""
    return (isinstance(value, str) and value in ACTIVATIONS) or (
        isinstance(value, Layer) and not isinstance(value, Loss)
    )


def one_or_each(allows: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Whether it is such a value, or a sequence of them."""
    return lambda value: allows(value) or (is_sequence(value) and all(map(allows, value)))


def are_layers(value: Any) -> bool:
    """Whether it is a list of layers without a loss."""
    return value is None or (
        isinstance(value, list | tuple) and all(isinstance(x, Layer) and not isinstance(x, Loss) for x in value)
    )


def is_dtype(value: Any) -> bool:
    """Whether it is one of the two that networks have, or None."""
    return value is None or any(value is kind or value == np.dtype(kind) for kind in (np.float32, np.float64))


RATE = number("0.5", least=0, below=1)
COUNT = Rule(is_count, "an integer >= 1", "10")
FLAG = Rule(lambda value: isinstance(value, bool | np.bool_), "True or False", "True")
RULES = {
    "hidden_layer_sizes": Rule(are_sizes, "the numbers of units of the hidden layers, each >= 1", "(100, 50)"),
    "activation": Rule(
        one_or_each(is_activation),
        f"one of {', '.join(ACTIVATIONS)}, or a layer; or a list of these, one for each hidden layer",
        '"relu"',
    ),
    "solver": one_of("adam", "sgd", "lbfgs"),
    "alpha": number("0.0001", least=0),
    "batch_size": Rule(lambda value: is_count(value) or is_auto(value), "'auto' or an integer >= 1", '"auto"'),
    "learning_rate": one_of("constant", "invscaling", "adaptive"),
    "learning_rate_init": number("0.001", above=0),
    "power_t": number("0.5", least=0),
    "max_iter": COUNT,
    "shuffle": FLAG,
    "tol": number("0.0001", least=0),
    "verbose": Rule(lambda value: isinstance(value, Integral | np.bool_), "True, False or an integer", "False"),
    "warm_start": FLAG,
    "momentum": number("0.9", least=0, below=1),
    "nesterovs_momentum": FLAG,
    "early_stopping": FLAG,
    "validation_fraction": number("0.1", least=0, below=1),
    "beta_1": number("0.9", least=0, below=1),
    "beta_2": number("0.999", least=0, below=1),
    "epsilon": number("1e-8", least=1e-30),  # float32 takes 1e-50 for 0
    "n_iter_no_change": Rule(lambda value: is_count(value) or is_infinite(value), "an integer >= 1, or np.inf", "10"),
    "max_fun": COUNT,
    "dropout": Rule(
        one_or_each(RATE.allows), "a share >= 0 and < 1, or a list of these, one for each hidden layer", "0.5"
    ),
    "dtype": Rule(is_dtype, "'float32', 'float64', or None for that of X", '"float32"'),
    "callbacks": Rule(
        lambda value: is_sequence(value) and all(map(callable, value)),
        "a list of functions that take the history",
        "[lambda history: history.loss[-1] < 0.01]",
    ),
    "layers": Rule(are_layers, "None, or a list of tinynn layers without a loss", "[Affine(100), ReLU()]"),
}


def check_settings(estimator: Any, **more: Rule) -> None:
    """Looks at every parameter; `more`: the rules of those that not all estimators have.

    Errors: ConfigurationError, which is a ValueError.
    """
    kind = type(estimator).__name__
    for name, rule in (RULES | more).items():
        value = getattr(estimator, name)
        if not rule.allows(value):
            raise ConfigurationError(
                f"{name} cannot be used as it is",
                where=kind,
                expected=rule.expected,
                got=repr(value)[:200],
                fix=f"{kind}({name}={rule.example})",
            )
    check_layers(estimator, kind)
    if estimator.solver == "lbfgs" and drops(estimator):
        raise ConfigurationError(
            "lbfgs compares losses, and dropout makes another network of every step",
            where=kind,
            expected="dropout=0 with solver='lbfgs'",
            got=f"dropout={estimator.dropout!r}, layers={estimator.layers!r}",
            fix=f"{kind}(solver='adam')",
        )


def check_layers(estimator: Any, kind: str) -> None:
    """Looks at what is said of the hidden layers, taken together. Errors: ConfigurationError."""
    if estimator.layers is not None:
        given = {"hidden_layer_sizes": sizes(estimator) != [100], "activation": estimator.activation != "relu"}
        given["dropout"] = not (isinstance(estimator.dropout, Real) and estimator.dropout == 0)
        if any(given.values()):
            name = next(name for name, differs in given.items() if differs)
            raise ConfigurationError(
                f"{name} has no meaning beside layers, which are all hidden layers",
                where=kind,
                expected=f"{name} left out where layers are given",
                got=f"{name}={getattr(estimator, name)!r}",
                fix="put Affine, activations and Dropout into the list",
            )
    for name in ("activation", "dropout"):
        value, hidden = getattr(estimator, name), len(sizes(estimator))
        if is_sequence(value) and len(value) != hidden:
            raise ConfigurationError(
                f"{name} does not fit the hidden layers",
                where=kind,
                expected=f"one for each of {hidden} hidden layers, or one for all",
                got=f"{len(value)} of them",
                fix=f"{kind}({name}={value[0]!r})" if len(value) else f"leave {name} out",
            )


def drops(estimator: Any) -> bool:
    """Whether a hidden layer draws random numbers."""
    return any(each_layers(estimator.dropout, 1)) or any(isinstance(x, Dropout) for x in estimator.layers or ())


def sizes(estimator: Any) -> list[int]:
    """The numbers of units of the hidden layers."""
    given = estimator.hidden_layer_sizes
    return [int(given)] if is_count(given) else [int(size) for size in given]


def each_layers(value: Any, hidden: int) -> list[Any]:
    """What is given for each hidden layer, or once for all of them."""
    return list(value) if is_sequence(value) else [value] * hidden
