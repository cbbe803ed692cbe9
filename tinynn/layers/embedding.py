"""Vectors for things that have no numbers of their own, such as words: looked up by an integer."""

from __future__ import annotations

from typing import Any, NoReturn

from tinynn.backend import Array
from tinynn.checks import positive_integer
from tinynn.errors import DataError
from tinynn.init import Init, standard_normal
from tinynn.layer import Layer, Shape

__all__ = ["Embedding"]


class Embedding(Layer):
    """y[n, ...] = W[x[n, ...]]: each integer of x becomes a row of W.

    Shapes:   x (N, ...) of integers 0..V-1; W (V, D); y (N, ..., D).
    Backward: dW[v] = sum of dy over the places where x is v; x has no gradient.
    Init:     W from N(0, 1). L2 acts on W.
    Errors:   ConfigurationError if V or D is not a positive integer; DataError for x that is not made of integers, or
              has one outside 0..V-1.
    Source:   Bengio, Ducharme, Vincent, Jauvin, "A Neural Probabilistic Language Model", 2003.
    """

    straight = True
    integer_inputs = True

    def __init__(self, V: int, D: int, W: Init | Array = standard_normal) -> None:
        self.V = positive_integer(V, "the number of vectors V", where="Embedding", fix="Embedding(1000, 64)")
        self.D = positive_integer(D, "the length of a vector D", where="Embedding", fix="Embedding(1000, 64)")
        self.W_init = W

    def build(self, shape: Shape) -> Shape:
        self.param("W", (self.V, self.D), self.W_init)
        return (*shape, self.D)

    def forward(self, x: Array) -> tuple[Array, Array]:
        if x.dtype.kind not in "iu":
            raise DataError(
                "an embedding looks up integers",
                where=self.where,
                expected="integers",
                got=f"dtype {x.dtype}",
                fix="x.astype(int); Embedding must be the first to read the input",
            )
        ids = self.empty("ids", x.shape, self.xp.uint32)
        held = self.within(x) if x.dtype.itemsize > 4 else x
        self.xp.copyto(ids, held, casting="unsafe")  # a negative one would count from the end; now it is out of range
        try:
            return self.ops.look_up(self.W, ids, out=self.empty("y", (*x.shape, self.D))), ids
        except IndexError:
            self.refuse(self.ops.to_host(ids), self.ops.to_host(x))

    def within(self, x: Array) -> Array:
        """x, and of what is no number of a vector -1 or V: 2**32 would come back as 0 when it is cut to 32 bits."""
        held = self.xp.minimum(x, self.ops.scalar(self.V, x.dtype), out=self.empty("held", x.shape, x.dtype))
        return held if x.dtype.kind == "u" else self.xp.maximum(held, self.ops.scalar(-1, x.dtype), out=held)

    def backward(self, dy: Array, ids: Array) -> None:
        self.ops.look_up_backward(dy, ids, out=self.dW)

    def refuse(self, ids: Any, x: Any) -> NoReturn:
        """Errors: DataError with the first integer that is out of range and its place."""
        wrong = ids >= self.V
        row, *place = (int(i) for i in next(zip(*wrong.nonzero(), strict=True)))
        raise DataError(
            "an embedding has no vector for this integer",
            where=f"{self.where}, row {row}" + (f", element {tuple(place)}" if place else ""),
            expected=f"0 to {self.V - 1}",
            got=int(x[(row, *place)]),
            fix="give Embedding as many vectors as there are different integers, counted from 0",
        )

    def example(self, rng: Any, n: int, *shapes: Shape) -> tuple[Any, ...]:
        return (rng.integers(0, self.V, (n, *shapes[0])),)
