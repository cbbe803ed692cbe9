"""What all optimizers share: the learning rate and its schedule, clipping, the step count, and state by name."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from tinynn.backend import Array, Ops
from tinynn.checks import finite_number
from tinynn.errors import ConfigurationError, ShapeError, StateError
from tinynn.network import Network
from tinynn.network.storage import Storage
from tinynn.optim.settings import Setting

__all__ = ["Optimizer"]


class Optimizer:
    """W <- W - lr * a direction made from dW: the base of the optimizers, and of one of your own.

    `lr`: a number > 0, or a schedule: a function of the step, which counts from 0, that returns a number >= 0.
    `clip_value`: every element of the gradient is brought into [-clip_value, clip_value]. `clip_norm`: the gradient, as
    one vector of all parameters, is made shorter where its length is more than that. Both change `net.storage.grads`,
    by value first, and come before L2, as in PyTorch; NaN stays NaN.

    An optimizer with a schedule, or with vectors of its own, belongs to the network of its first step. Copies and
    pickles take the state along, and belong to the network of their own first step.
    Errors: ConfigurationError for settings, also on a change; StateError for a step on another network.

    To write one: name the flat vectors that it keeps, zeros at first, and say in `update` what a step is.
    """

    vectors: tuple[str, ...] = ()
    """The flat vectors that the optimizer keeps, of the layout of the parameters: `self.vector("velocity")`."""

    straight = False
    """True for an optimizer whose update is one call of a verb of `ops`, whose numbers may differ from step to step.
    Then a backend can make many steps in one call. No subclass inherits it."""

    steady = True
    """Whether an update has the same numbers each time, as long as the learning rate is the same."""

    # Bounds that float32 holds, with room: a 0 made of 1e-50 would divide.
    clip_norm = Setting("largest norm of the gradient", "1.0", least=1e-30, below=1e30, optional=True)
    clip_value = Setting("largest element of the gradient", "0.5", least=1e-30, below=1e30, optional=True)

    def __init__(
        self, lr: float | Callable[[int], float], *, clip_norm: float | None = None, clip_value: float | None = None
    ) -> None:
        self.steps_taken = 0  # not `steps`, which a subclass may well want for itself
        self.lr = lr
        self.clip_norm, self.clip_value = clip_norm, clip_value
        self._storage: Storage | None = None
        self._vectors: dict[str, Array] = {}
        self._loaded: dict[str, Any] = {}

    @property
    def lr(self) -> Any:
        """The learning rate of the next step; a number or a schedule may be assigned."""
        if self._schedule is None:
            return self._lr
        try:
            lr = self._schedule(self.steps_taken)
        except OverflowError:  # what Python makes of 2.0**5000
            lr = math.inf
        if type(lr) is float and 0.0 <= lr < math.inf:  # the usual case, without the words of the other
            return lr
        where = f"{type(self).__name__}, {self._schedule!r} at step {self.steps_taken}"
        fix = "a schedule that returns a Python number, such as cosine(0.1, steps=5000)"
        return finite_number(lr, "the learning rate lr", where=where, fix=fix, least=0)

    @lr.setter
    def lr(self, lr: Any) -> None:
        kind = type(self).__name__
        if callable(lr) and not isinstance(lr, type):
            self._schedule, self._lr = lr, math.nan
        else:
            fix = f"{kind}(lr=0.1)"
            self._lr = finite_number(lr, "the learning rate lr", where=kind, fix=fix, above=0)
            self._schedule = None

    @property
    def clips(self) -> bool:
        """Whether a step changes the gradients before the update."""
        return self.clip_norm is not None or self.clip_value is not None

    @property
    def moves(self) -> bool:
        """Whether the numbers of an update depend on the step."""
        return self._schedule is not None or not self.steady

    # --- a step

    def step(self, net: Network) -> None:
        """Updates every parameter of the network from its gradient."""
        storage = net.storage
        if storage is not self._storage:
            self.joined(net)
        if self.clip_norm is not None or self.clip_value is not None:
            self.clip(storage)
        self.update(storage.ops, storage, self._lr if self._schedule is None else self.lr)
        self.steps_taken += 1

    def clip(self, storage: Storage) -> None:
        """Brings the gradients within `clip_value` and `clip_norm`."""
        if self.clip_value is not None:
            xp, largest = storage.ops.xp, self.clip_value
            xp.minimum(storage.grads, largest, out=storage.grads)
            xp.maximum(storage.grads, -largest, out=storage.grads)
        if self.clip_norm is not None:
            storage.ops.clip_norm(storage.grads, self.clip_norm, storage.work)

    def joined(self, net: Network) -> Storage:
        """The network's storage, taken as its own; StateError where the optimizer belongs to another network."""
        if net.storage is not self._storage:
            self._join(net.storage)
        return net.storage

    def update(self, ops: Ops, storage: Storage, lr: float) -> None:
        """Changes `storage.params` from `storage.grads`: what a subclass defines."""
        raise NotImplementedError(f"{type(self).__name__} must define update(self, ops, storage, lr)")

    def vector(self, name: str) -> Array:
        """The optimizer's own flat vector of that name, zeros when it is first asked for."""
        found = self._vectors.get(name)
        if found is None:
            if self._storage is None or name not in self.vectors:
                raise StateError(
                    f"there is no vector {name!r}",
                    where=type(self).__name__,
                    expected=f"one of {self.vectors}, within a step",
                    got=repr(name) if self._storage else "an optimizer before its first step",
                    fix=f"vectors = ({name!r},) in the class, and self.vector({name!r}) in its update",
                )
            found = self._vectors[name] = self._zeros(self._storage)
        return found

    def _zeros(self, storage: Storage) -> Array:
        return storage.ops.zeros(storage.params.size, storage.params.dtype)

    def _join(self, storage: Storage) -> None:
        """Takes the network as its own, unless it has one that it must not leave."""
        if self._storage is not None and (self._vectors or self._schedule is not None):
            raise StateError(
                "this optimizer belongs to another network, or to this one before it was built again",
                where=type(self).__name__,
                expected="the network of its first step, whose gradients its state was made from",
                got=f"another one, after {self.steps_taken} steps",
                fix=f"a new optimizer: {self!r}",
            )
        if self._loaded:
            self._vectors, self._loaded = self._placed(self._loaded, storage), {}
        self._storage = storage

    # --- state: what a run needs to go on to the bit

    def state(self) -> dict[str, Any]:
        """Host copies of all that changed with the steps: `steps`, and arrays such as `velocity.0.W`.

        The settings are not in it: `load_state` wants an optimizer that was made like this one.
        """
        arrays = dict(self._loaded)
        if self._storage is not None:
            for vector, array in self._vectors.items():
                for name, view in self._storage.views(array).items():
                    arrays[f"{vector}.{name}"] = self._storage.ops.to_host(view).copy()
        return {"steps": self.steps_taken, **arrays}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned; before the first step too, and the arrays are then checked by that step.

        Errors: ShapeError for a name or shape that does not fit, ConfigurationError for `steps` that are no count.
        Nothing is changed then.
        """
        arrays = dict(state)
        given = arrays.pop("steps", None)
        try:
            steps = -1 if isinstance(given, bool) else operator.index(given)
        except TypeError:
            steps = -1
        if steps < 0:
            raise ConfigurationError(
                "this is not the state of an optimizer",
                where=f"{type(self).__name__}.load_state",
                expected="steps: an integer >= 0",
                got=f"steps: {given!r}",
                fix="optimizer.load_state(other.state())",
            )
        for name in arrays:
            if name.partition(".")[0] not in self.vectors:
                self._misfit(name, " or ".join(f"{v}.<parameter>" for v in self.vectors) or "no arrays", "this name")
        if self._storage is not None:
            placed = self._placed(arrays, self._storage)
            for name, vector in self._vectors.items():  # in place: recorded steps know them by their memory
                vector[...] = placed.pop(name, 0)
            self._vectors.update(placed)
        else:
            self._loaded = arrays
        self.steps_taken = steps

    def _placed(self, arrays: Mapping[str, Any], storage: Storage) -> dict[str, Array]:
        """The arrays by name as flat vectors of the storage's layout."""
        vectors = {name: self._zeros(storage) for name in self.vectors if any(a.startswith(f"{name}.") for a in arrays)}
        views = {f"{v}.{name}": view for v, vector in vectors.items() for name, view in storage.views(vector).items()}
        for name in sorted({*views, *arrays}):
            expected = views[name].shape if name in views else "no such array"
            got = getattr(arrays[name], "shape", repr(arrays[name])) if name in arrays else "nothing of that name"
            if expected != got:
                self._misfit(name, expected, got)
        for name, view in views.items():
            view[...] = storage.ops.asarray(arrays[name], view.dtype)
        return vectors

    def _misfit(self, name: str, expected: Any, got: Any) -> None:
        raise ShapeError(
            f"array {name!r} does not fit the optimizer or its network",
            where=f"{type(self).__name__}.load_state",
            expected=expected,
            got=got,
            fix="load it into an optimizer of the same kind, and step a network of the same layers",
        )

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles hold the state by name, and wait for a network."""
        state = {**self.__dict__, "_storage": None, "_vectors": {}, "_loaded": self.state()}
        del state["_loaded"]["steps"]
        return state

    def __repr__(self) -> str:
        """As it was made, without the settings that are as they are by default."""
        shown = []
        for name, setting in inspect.signature(type(self)).parameters.items():
            value = (self._schedule or self._lr) if name == "lr" else getattr(self, name, setting.default)
            if name == "lr" or value != setting.default:
                shown.append(f"{name}={value:g}" if type(value) is float else f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"
