"""Data that need not lie in memory: any object with `len()` and `take(rows)`, asked for some rows at a time.

Nothing of what it gives is believed: every array is looked at as it comes, and an error names the row by its number in
the source.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynn.errors import DataError, LabelError, ShapeError, TinynnError
from tinynn.network.inputs import refuse_not_finite
from tinynn.network.stumbled import batch_shape

__all__ = ["Mapped", "Source", "check_targets", "is_mapped", "is_source"]

SHOWN = 6  # row numbers in an error


def is_source(data: Any) -> bool:
    """Whether `data` is an object to be asked for rows; arrays of whatever library, tuples and lists are not."""
    if isinstance(data, type | tuple | list) or hasattr(data, "__array__") or hasattr(data, "__dlpack__"):
        return False
    return callable(getattr(data, "take", None)) and hasattr(data, "__len__")


def is_mapped(x: Any) -> bool:
    """Whether the array lies in a file: a memory map, or a view of one."""
    if not isinstance(x, np.ndarray):
        return False
    while isinstance(x, np.ndarray | memoryview):
        x = x.base if isinstance(x, np.ndarray) else x.obj
    return isinstance(x, mmap.mmap)


class Mapped:
    """Arrays of one length as a source: rows are gathered where they lie."""

    def __init__(self, arrays: Sequence[Any]) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays[0])

    def take(self, rows: np.ndarray) -> tuple[Any, ...]:
        """The rows of all arrays."""
        return tuple([x.take(rows, axis=0) for x in self.arrays])


class Source:
    """`take(rows)`: the rows of a source as arrays that fit the network: inputs, then targets and weights.

    `name`: what errors call it: "fit, train". The first rows settle how many arrays there are, and dtype and shape of
    their rows; later ones must come alike. `finite`: whether NaN and Inf in the inputs are refused.

    Errors: DataError, ShapeError, LabelError that say which rows were asked for, or which row is wrong.
    """

    def __init__(self, net: Any, source: Any, name: str, finite: bool = True) -> None:
        self.net, self.source, self.name, self.finite = net, source, name, finite
        self.kinds: tuple[tuple[np.dtype, tuple[int, ...]], ...] = ()
        try:
            self.length = len(source)
        except Exception as error:
            raise DataError(
                "the source could not say how many rows it has",
                where=f"{name}, len(source)",
                expected="the number of rows, at least 1",
                got=f"{type(error).__name__}: {error}",
                fix="correct its __len__",
            ) from error
        if not self.length:
            raise ShapeError(
                "the source has no rows",
                where=f"{name}, len(source)",
                expected="at least one row",
                got=0,
                fix="give at least one row",
            )

    def __len__(self) -> int:
        return self.length

    def take(self, rows: np.ndarray) -> tuple[Any, ...]:
        """The arrays of these rows, looked at; they are the source's own, to be read only."""
        given = self.asked(rows)
        hosts = [self.net.ops.to_host(x) for x in given]
        kinds = tuple([(x.dtype, x.shape[1:]) for x in hosts])
        if kinds != self.kinds:
            if self.kinds:
                self.refuse_change(kinds, rows)
            self.check_inputs(hosts, rows)
        self.look(hosts, rows)
        self.kinds = kinds
        return given

    def asked(self, rows: np.ndarray) -> tuple[Any, ...]:
        """What the source gives for these rows, if that is a row for each in every array."""
        net = self.net
        names = [*net.input_names, *net.target_names]
        least, most = len(names) - net.optional_targets, len(names)
        wanted = f"({', '.join(names[:least])}), arrays of {len(rows)} rows each"
        fix = f"take(rows) -> ({', '.join(names[:least])}), each x[rows]"
        try:
            given = self.source.take(rows.copy())  # a copy: what it does with it is its own affair
        except TinynnError:
            raise
        except Exception as error:
            raise DataError(
                "the source could not give its rows",
                where=self.where(rows),
                expected=wanted,
                got=f"{type(error).__name__}: {error}",
                fix="correct take, or the data behind it; what it raised is told above",
            ) from error
        if not isinstance(given, tuple | list) or not least <= len(given) <= most:
            got = f"a {type(given).__name__}" + (f" of {len(given)}" if isinstance(given, tuple | list) else "")
            raise DataError("take gave something else", where=self.where(rows), expected=wanted, got=got, fix=fix)
        for name, x in zip(names, given, strict=False):
            if not isinstance(x, np.ndarray | net.xp.ndarray):
                raise DataError(
                    f"take gave {name} that are no array",
                    where=self.where(rows),
                    expected=wanted,
                    got=f"a {type(x).__name__}",
                    fix=f"np.asarray({name})",
                )
            if x.ndim == 0 or len(x) != len(rows):
                raise ShapeError(
                    f"take gave another number of {name} than it was asked for",
                    where=self.where(rows),
                    expected=f"{len(rows)} rows of {name}, one for each row asked for, in their order",
                    got=f"shape {x.shape}",
                    fix=fix,
                )
        return tuple(given)

    def check_inputs(self, xs: Sequence[np.ndarray], rows: np.ndarray) -> None:
        """Looks at the shape and dtype of the inputs."""
        for name, x, shape in zip(self.net.input_names, xs, self.net.input_shapes, strict=False):
            if x.shape[1:] != shape:
                raise ShapeError(
                    f"the rows of {name} do not fit the network",
                    where=self.where(rows),
                    expected=batch_shape(shape),
                    got=x.shape,
                    fix=f"reshape them in take, or build the network for {x.shape[1:]}",
                )
            if x.dtype.kind not in "biuf":
                raise DataError(
                    f"the rows of {name} are not real numbers",
                    where=self.where(rows),
                    expected="a dtype that converts to float",
                    got=x.dtype,
                    fix="x.astype(float) in take",
                )

    def refuse_change(self, kinds: Sequence[tuple[np.dtype, tuple[int, ...]]], rows: np.ndarray) -> None:
        """Raises for arrays that are not what the first ones were."""
        if len(kinds) != len(self.kinds):
            raise DataError(
                "take gave another number of arrays than before",
                where=self.where(rows),
                expected=f"{len(self.kinds)} arrays",
                got=f"{len(kinds)} arrays",
                fix="give weights with all rows, or with none",
            )
        names = (*self.net.input_names, *self.net.target_names)
        changed = zip(names, self.kinds, kinds, strict=False)
        name, before, now = next(each for each in changed if each[1] != each[2])
        kind, what = (DataError, "dtype") if before[1] == now[1] else (ShapeError, "shape")
        raise kind(
            f"take gave {name} of another {what} than before",
            where=self.where(rows),
            expected=f"{before[0]}, rows of shape {before[1]}",
            got=f"{now[0]}, rows of shape {now[1]}",
            fix=f"give all rows of {name} in one dtype and shape",
        )

    def look(self, xs: Sequence[np.ndarray], rows: np.ndarray) -> None:
        """Looks at the values, and names the first row that is wrong by its number in the source."""
        net, inputs = self.net, len(self.net.input_names)
        if self.finite:
            for x in xs[:inputs]:
                if x.dtype.kind == "f":
                    self.check_finite(x, rows)
        try:
            check_targets(net, xs[inputs:])
        except LabelError:
            for i, row in enumerate(rows.tolist()):
                try:
                    check_targets(net, [t[i : i + 1] for t in xs[inputs:]])
                except LabelError as error:
                    raise LabelError(
                        f"the targets of row {row} cannot be used",
                        where=f"{self.name}, row {row}: {net.final_loss.where}",
                        expected=error.expected,
                        got=error.got,
                        fix=error.fix,
                    ) from None
            raise

    def check_finite(self, x: np.ndarray, rows: np.ndarray) -> None:
        """Raises for the first row that holds NaN, Inf, or a number that is Inf in the network's dtype."""
        dtype = self.net.dtype
        with np.errstate(over="ignore", invalid="ignore"):
            block = x.astype(dtype, copy=False)
            try:
                refuse_not_finite(block, x, "the inputs", self.name, dtype)
            except DataError:  # which counts from the first of these rows
                i = int((~np.isfinite(block).reshape(len(rows), -1).all(axis=1)).argmax())
                part = slice(i, i + 1)
                refuse_not_finite(block[part], x[part], "the inputs", self.name, dtype, int(rows[i]))

    def where(self, rows: np.ndarray) -> str:
        """The rows that were asked for, in words."""
        few = ", ".join(map(str, rows[:SHOWN].tolist()))
        if len(rows) == 1:
            return f"{self.name}, row {few}"
        return f"{self.name}, rows {few}" + (f", ... ({len(rows)} of them)" if len(rows) > SHOWN else "")


def check_targets(net: Any, targets: Sequence[np.ndarray]) -> None:
    """Looks at every target and weight, on the host.

    Errors: LabelError with the row and its value.
    """
    loss = net.final_loss
    for slot, values in zip(net.target_slots, targets, strict=False):
        if slot == 1:
            loss.check_targets(values, loss._built().shapes[0])
        else:
            loss.check_weights(values)
