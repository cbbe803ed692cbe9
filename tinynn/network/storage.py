"""Flat storage: every parameter of a network in one vector, every gradient in another, all state in a third.

    params  | W0 . W1 . W2 . | b0 . b1 . b2 . |     decayed parameters first, so that L2 acts on one slice
    grads   | dW0. dW1. dW2. | db0. db1. db2. |     the same layout
    state   | ...            |

Each array starts at a multiple of 64 elements (the dots are padding, always 0). The layers see views; the optimizer, a
snapshot and an all-reduce see one array. Offsets may change between versions, so files go by name (`0.W`), never by
offset.
"""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np

from tinynn.backend import Array, Ops
from tinynn.errors import DataError, GradientError
from tinynn.layer import Layer, Shape, attach
from tinynn.network.bounds import Bounded
from tinynn.network.values import check_fit, converted, initial_value
from tinynn.site import Build

__all__ = ["Storage", "build_layers"]

ALIGNMENT = 64  # elements: views start on a cache line, whatever the dtype
BLOCK = 128 * 1024  # elements: an optimizer's working array, small enough to stay in the second-level cache


class Storage:
    """The three flat vectors of a built network, and the views into them by name.

    `params`, `grads`, `state`: flat arrays. `decayed`: how many leading elements of `params` L2 acts on. `work`: an
    array that an optimizer may overwrite. `parameters`, `gradients`, `states`: dictionaries from names such as `0.W`
    to views. `homes`: under the same names, the layers that declared them, as errors name them.
    `values`: of a file, by name, in the place of initial ones. Errors: ShapeError where they are not those declared.
    """

    def __init__(
        self, root: Layer, ops: Ops, dtype: np.dtype, seed: int, values: dict[str, np.ndarray] | None = None
    ) -> None:
        self.ops = ops
        declared = [(path, layer, d) for path, layer in root.walk() for d in layer._built().declared.values()]
        trained = [entry for entry in declared if entry[2].trained]
        trained.sort(key=lambda entry: not entry[2].decay)  # stable: within each half the layers' own order
        kept = [entry for entry in declared if not entry[2].trained]
        self.homes = {full_name(path, d.name): layer.where for path, layer, d in declared}
        if values is not None:  # before any memory is asked for: declared is whatever a file says
            check_fit({full_name(path, d.name): d.shape for path, _, d in declared}, values, "the file")

        offsets, size = layout([d.shape for _, _, d in trained])
        state_offsets, state_size = layout([d.shape for _, _, d in kept])
        self.params = ops.zeros(size, dtype)
        self.grads = ops.zeros(size, dtype)
        self.state = ops.zeros(state_size, dtype)
        self.decayed = next((o for o, (_, _, d) in zip(offsets, trained, strict=True) if not d.decay), size)
        self.work = ops.zeros(min(BLOCK, max(2, size)), dtype)  # optimizers take it in halves

        self._places, self._state_places = (
            {full_name(path, d.name): (start, d.shape) for (path, _, d), start in zip(entries, starts, strict=True)}
            for entries, starts in ((trained, offsets), (kept, state_offsets))
        )
        self.parameters: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}
        self.states: dict[str, Array] = {}
        for vector, views, entries, starts in (
            (self.params, self.parameters, trained, offsets),
            (self.state, self.states, kept, state_offsets),
        ):
            for (path, layer, d), start in zip(entries, starts, strict=True):
                view = vector[start : start + math.prod(d.shape)].reshape(d.shape)
                name = full_name(path, d.name)
                value = initial_value(d, layer, name, seed) if values is None else converted(ops, values[name], dtype)
                view[...] = ops.asarray(value, dtype)
                views[name] = view
                layer._bind(d.name, view)
        for (path, layer, d), start in zip(trained, offsets, strict=True):
            gradient = self.grads[start : start + math.prod(d.shape)].reshape(d.shape)
            gradient[...] = math.nan  # born NaN: a gradient that backward forgets to write is loud
            self.gradients[full_name(path, d.name)] = gradient
            layer._bind(f"d{d.name}", gradient)

    def views(self, vector: Array) -> dict[str, Array]:
        """The views by name into another flat vector of the parameters' layout, such as an optimizer's velocity."""
        return views_into(vector, self._places)

    def arrays(self) -> dict[str, np.ndarray]:
        """Host copies of all parameters and states by name."""
        return {name: np.array(self.ops.to_host(view)) for name, view in {**self.parameters, **self.states}.items()}

    def assign(self, arrays: dict[str, Any], where: str) -> None:
        """Writes parameters and states by name: all of them, or none if any does not fit.

        The padding is 0 again, of the gradients too: a run that diverged may have left NaN there, and a norm of the
        whole vector would be NaN ever after.
        Errors: ShapeError for a name or shape that does not fit, DataError for what are no numbers.
        """
        views = {**self.parameters, **self.states}
        check_fit({name: view.shape for name, view in views.items()}, arrays, where)
        values = {}
        for name in views:
            try:
                values[name] = converted(self.ops, arrays[name], views[name].dtype)
            except (TypeError, OverflowError) as error:
                raise DataError(
                    f"array {name!r} does not hold numbers of the network's dtype",
                    where=where,
                    expected=f"real numbers, within the range of {views[name].dtype}",
                    got=str(error),
                    fix="save the model again" if isinstance(error, TypeError) else 'build with dtype="float64"',
                ) from None
        for vector, places, old in (
            (self.params, self._places, {}),
            (self.grads, self._places, self.gradients),
            (self.state, self._state_places, {}),
        ):
            fresh = self.ops.zeros(vector.size, vector.dtype)
            for name, view in views_into(fresh, places).items():
                view[...] = old[name] if old else self.ops.asarray(values[name], view.dtype)
            vector[...] = fresh

    def check_gradients_written(self) -> None:
        """Raises if an element of a gradient is still what it was born as: NaN.

        Errors: GradientError naming the first such gradient and its first such element.
        """
        for name, gradient in self.gradients.items():
            unwritten = np.argwhere(np.isnan(self.ops.to_host(gradient)))
            if len(unwritten):
                parameter, index = name.rpartition(".")[2], tuple(unwritten[0].tolist())
                error = GradientError(
                    f"backward left the gradient of {name} unwritten, or wrote NaN",
                    where=self.homes[name],
                    expected="every element of every gradient written by backward",
                    got=f"NaN in {len(unwritten)} of {gradient.size} elements, first in {list(index)}",
                    fix=f"self.d{parameter}[...] = ... in backward; if it is written, look for NaN in its inputs",
                )
                error.array, error.index = f"d{parameter}", index
                raise error


def build_layers(
    root: Layer,
    shapes: tuple[Shape, ...],
    ops: Ops,
    dtype: np.dtype,
    seed: int,
    needs_dx: bool,
    values: dict[str, np.ndarray] | None = None,
) -> Storage:
    """Builds a layer with all it contains, as the root of a network, and lays out its storage.

    `values`: of a file, in the place of initial ones; then the file also said what to build, which is held in bounds.
    When anything in it fails, every layer is left as it was before: a trained network survives a wrong `build`.
    """
    build = (Build if values is None else Bounded)(ops, dtype, weakref.ref(root))
    try:
        attach(root, shapes, build, "", needs_dx)
        build.open = False
        storage = Storage(root, ops, dtype, seed, values)
    except BaseException:
        for layer, before in reversed(build.undo):
            layer.__dict__.clear()
            layer.__dict__.update(before)
        raise
    build.undo.clear()  # it holds the root, which every layer of a network that is gone would keep alive
    return storage


def layout(shapes: list[Shape]) -> tuple[list[int], int]:
    """Where each array starts when they stand one behind the other, and how long the whole is."""
    offsets, end = [], 0
    for shape in shapes:
        offsets.append(end)
        end += -(-math.prod(shape) // ALIGNMENT) * ALIGNMENT
    return offsets, end


def views_into(vector: Array, places: dict[str, tuple[int, Shape]]) -> dict[str, Array]:
    """The views by name into a flat vector of this layout."""
    return {name: vector[start : start + math.prod(shape)].reshape(shape) for name, (start, shape) in places.items()}


def full_name(path: str, name: str) -> str:
    """The name of an array in files and errors: `2.W`, or `W` in a layer that is itself the root."""
    return f"{path}.{name}" if path else name
