"""The verb uniform: random numbers as a hash of what is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinynn.compiler.code import Code
from tinynn.compiler.elementwise import usable
from tinynn.compiler.engine import lanes_of
from tinynn.compiler.types import FLOATS, Type

__all__ = ["Uniform", "uniform"]

GOLDEN = 0x9E3779B9
ROUNDS = ((16, 0x7FEB352D), (15, 0x846CA68B))


@dataclass(frozen=True)
class Uniform:
    """out[i] = hash((first + i) GOLDEN + hash(key GOLDEN ^ step)) / 2^32, cut to 24 bits; `stream`: key and step."""

    stream: np.ndarray
    out: np.ndarray
    first: int

    @property
    def work(self) -> int:
        """Operations on elements, about."""
        return 16 * self.out.size

    def emit(self, code: Code) -> None:
        n, one = self.out.size, Type(np.uint32)
        lanes = lanes_of(max(4, self.out.itemsize), n)
        type, wanted = Type(np.uint32, lanes), Type(self.out.dtype, lanes)
        given, out = Type(self.stream.dtype), code.array(self.out)
        stream = code.array(self.stream)
        key, step = (code(f"fptoui {given} {code.load(stream, i, given)} to i32") for i in range(2))
        start = hashed(code, one, code(f"xor i32 {code(f'mul i32 {key}, {GOLDEN}')}, {step}"))
        start = code.splat(start, type)
        each = [(self.first + i) * GOLDEN % 2**32 for i in range(lanes)]
        places = f"<{', '.join(f'i32 {place}' for place in each)}>" if lanes > 1 else str(each[0])

        def body(i: Any, active: int) -> None:
            at = code.splat(code(f"trunc i64 {i} to i32"), type)
            moved = code(f"mul {type} {at}, {type.all(GOLDEN)}")
            count = code(f"add {type} {code(f'add {type} {moved}, {places}')}, {start}")
            bits = code(f"lshr {type} {hashed(code, type, count)}, {type.all(8)}")
            value = code(f"fmul {wanted} {code(f'uitofp {type} {bits} to {wanted}')}, {wanted.all(2.0**-24)}")
            code.store(out, i, value, wanted, active)

        full, rest = divmod(n, lanes)
        if full:
            with code.shared(full * lanes, step=lanes) as i:
                body(i, lanes)
        if rest:
            with code.once():
                body(full * lanes, rest)


def hashed(code: Code, type: Type, x: str) -> str:
    """As in the verb: xor with itself shifted, times a constant, twice, and xor once more."""
    for shift, factor in ROUNDS:
        x = code(f"xor {type} {x}, {code(f'lshr {type} {x}, {type.all(shift)}')}")
        x = code(f"mul {type} {x}, {type.all(factor)}")
    return code(f"xor {type} {x}, {code(f'lshr {type} {x}, {type.all(16)}')}")


def uniform(name: str, args: Sequence[Any]) -> Uniform | None:
    """A call of the verb as one that can be compiled, or None."""
    if name != "uniform" or not usable(*args[:3]):
        return None
    (stream, out, _), first = args[:3], args[3] if len(args) > 3 else 0
    floats = {stream.dtype, out.dtype} <= FLOATS.keys()
    return Uniform(stream, out, first) if floats and out.flags.c_contiguous and stream.flags.c_contiguous else None
