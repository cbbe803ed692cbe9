"""The functions of one element, as instructions on vectors: what NumPy's ufuncs mean, NaN and infinity included."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinynn.compiler.code import Code
from tinynn.compiler.types import Type

__all__ = ["FUNCTIONS", "convert", "exp", "log1p"]

LN2_HIGH = {4: 0.693359375, 8: 6.93147180369123816490e-01}  # ln 2, the end of its digits cut off: n times it is exact
MAGIC = {4: 1.5 * 2.0**23, 8: 1.5 * 2.0**52}  # a float this large has no digits behind the point: adding it rounds
DEGREE = {4: 7, 8: 13}  # of the Taylor polynomial of exp that is right to half an ulp for |r| <= ln(2) / 2
MANTISSA, BIAS = {4: 23, 8: 52}, {4: 127, 8: 1023}


def binary(instruction: str) -> Callable[[Code, Type, str, str], str]:
    """A function of two values that the processor has."""
    return lambda code, type, a, b: code(f"{instruction} {type} {a}, {b}")


def compared(predicate: str) -> Callable[[Code, Type, str, str], str]:
    """1.0 where a comparison holds, else 0.0."""

    def function(code: Code, type: Type, a: str, b: str) -> str:
        return choose(code, type, code(f"fcmp {predicate} {type} {a}, {b}"), type.all(1), type.all(0))

    return function


def choose(code: Code, type: Type, condition: str, a: str, b: str) -> str:
    """A where the condition holds, else b."""
    flags = "i1" if type.lanes == 1 else f"<{type.lanes} x i1>"
    return code(f"select {flags} {condition}, {type} {a}, {type} {b}")


def extreme(predicate: str) -> Callable[[Code, Type, str, str], str]:
    """The larger or the smaller of two; NaN where one of them is NaN."""

    def function(code: Code, type: Type, a: str, b: str) -> str:
        found = choose(code, type, code(f"fcmp {predicate} {type} {a}, {b}"), a, b)  # b where either is NaN
        return choose(code, type, code(f"fcmp uno {type} {a}, {a}"), a, found)

    return function


maximum, minimum = extreme("ogt"), extreme("olt")


def negative(code: Code, type: Type, x: str) -> str:
    return code(f"fneg {type} {x}")


def square(code: Code, type: Type, x: str) -> str:
    return code(f"fmul {type} {x}, {x}")


def absolute(code: Code, type: Type, x: str) -> str:
    return code.intrinsic("fabs", type, x)


def sqrt(code: Code, type: Type, x: str) -> str:
    return code.intrinsic("sqrt", type, x)


def reduced(code: Code, type: Type, x: str) -> tuple[str, str]:
    """The whole number n next to x / ln 2, in the low bits of an integer, and r = x - n ln 2."""
    high = LN2_HIGH[type.size]
    t = code.intrinsic("fmuladd", type, x, type.all(1 / math.log(2)), type.all(MAGIC[type.size]))
    n = code(f"fsub {type} {t}, {type.all(MAGIC[type.size])}")
    r = code.intrinsic("fmuladd", type, n, type.all(-high), x)
    r = code.intrinsic("fmuladd", type, n, type.all(-(math.log(2) - high) if type.size == 4 else -LN2_LOW), r)
    return code(f"bitcast {type} {t} to {type.integers()}"), r


LN2_LOW = 1.90821492927058770002e-10  # ln 2 less LN2_HIGH[8]


def powers(code: Code, type: Type, n: str) -> str:
    """2^n for whole n for which it is a normal number; n in the low bits of an integer."""
    whole, mantissa = type.integers(), MANTISSA[type.size]
    moved = code(f"shl {whole} {n}, {whole.all(mantissa)}")
    biased = code(f"add {whole} {moved}, {whole.all(BIAS[type.size] << mantissa)}")
    return code(f"bitcast {whole} {biased} to {type}")


def polynomial(code: Code, type: Type, x: str, coefficients: list[float]) -> str:
    """The sum of coefficients[k] x^k."""
    value = type.all(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = code.intrinsic("fmuladd", type, value, x, type.all(coefficient))
    return value


def exp(code: Code, type: Type, x: str) -> str:
    """e^x = 2^n e^r, with e^r by Taylor's series."""
    # Beyond these the result is 0 or infinite, and n would not fit. A NaN passes: no comparison holds for it.
    low, high = (-104.0, 89.0) if type.size == 4 else (-746.0, 710.0)
    x = choose(code, type, code(f"fcmp olt {type} {x}, {type.all(low)}"), type.all(low), x)
    x = choose(code, type, code(f"fcmp ogt {type} {x}, {type.all(high)}"), type.all(high), x)
    t, r = reduced(code, type, x)
    y = polynomial(code, type, r, [1 / math.factorial(k) for k in range(DEGREE[type.size] + 1)])
    # In two halves: 2^n itself may be too large for a float, or no normal one.
    whole = type.integers()
    n = code(f"sub {whole} {t}, {whole.all(magic_bits(type))}")
    half = code(f"ashr {whole} {n}, {whole.all(1)}")
    rest = code(f"sub {whole} {n}, {half}")
    y = code(f"fmul {type} {y}, {powers(code, type, half)}")
    return code(f"fmul {type} {y}, {powers(code, type, rest)}")


def magic_bits(type: Type) -> int:
    """MAGIC as the integer of the same bits."""
    return int(np.dtype(type.dtype).type(MAGIC[type.size]).view(f"i{type.size}"))


def expm1(code: Code, type: Type, x: str) -> str:
    """e^x - 1, which has the sign of x, that of a zero too."""
    return code.intrinsic("copysign", type, unsigned_expm1(code, type, x), x)


def unsigned_expm1(code: Code, type: Type, x: str) -> str:
    """e^x - 1 = 2^n (e^r - 1) + (2^n - 1): for small x n is 0, and no digits are lost."""
    low, high = (-18.0, 88.7) if type.size == 4 else (-38.0, 709.7)
    y = choose(code, type, code(f"fcmp olt {type} {x}, {type.all(low)}"), type.all(low), x)
    y = choose(code, type, code(f"fcmp ogt {type} {y}, {type.all(high)}"), type.all(high), y)
    t, r = reduced(code, type, y)
    tail = polynomial(code, type, r, [1 / math.factorial(k) for k in range(1, DEGREE[type.size] + 1)])
    # Half of 2^n, which is a normal number for all x that are left; what is doubled in the end keeps its digits.
    whole = type.integers()
    n = code(f"sub {whole} {t}, {whole.all(magic_bits(type) + 1)}")
    half = powers(code, type, n)
    rest = code(f"fsub {type} {half}, {type.all(0.5)}")
    m = code.intrinsic("fmuladd", type, half, code(f"fmul {type} {r}, {tail}"), rest)
    m = code(f"fadd {type} {m}, {m}")
    large = code(f"fcmp ogt {type} {x}, {type.all(high)}")
    return choose(code, type, large, exp(code, type, x), m)


def tanh(code: Code, type: Type, x: str) -> str:
    """-m / (2 + m) with m = e^(-2|x|) - 1, and the sign of x."""
    m = unsigned_expm1(code, type, code(f"fmul {type} {absolute(code, type, x)}, {type.all(-2.0)}"))
    y = code(f"fdiv {type} {negative(code, type, m)}, {code(f'fadd {type} {m}, {type.all(2)}')}")
    return code.intrinsic("copysign", type, y, x)


def log1p(code: Code, type: Type, x: str) -> str:
    """log(1 + x): with u = 1 + x rounded, log(u) + (x - (u - 1)) / u, and log(u) by the series of atanh."""
    whole, mantissa = type.integers(), MANTISSA[type.size]
    u = code(f"fadd {type} {x}, {type.all(1)}")
    lost = code(f"fsub {type} {x}, {code(f'fsub {type} {u}, {type.all(1)}')}")
    # u = 2^k m with m between the roots of 1/2 and of 2.
    bits = code(f"bitcast {type} {u} to {whole}")
    root = int(np.dtype(type.dtype).type(math.sqrt(0.5)).view(f"i{type.size}"))
    above = code(f"sub {whole} {bits}, {whole.all(root)}")
    k = code(f"ashr {whole} {above}, {whole.all(mantissa)}")
    m = code(
        f"bitcast {whole} {code(f'sub {whole} {bits}, ' + code(f'shl {whole} {k}, {whole.all(mantissa)}'))} to {type}"
    )
    s = code(f"fdiv {type} {code(f'fsub {type} {m}, {type.all(1)}')}, {code(f'fadd {type} {m}, {type.all(1)}')}")
    series = polynomial(
        code, type, square(code, type, s), [2 / (2 * j + 1) for j in range(12 if type.size == 8 else 6)]
    )
    k_ln2 = code(f"fmul {type} {code(f'sitofp {whole} {k} to {type}')}, {type.all(math.log(2))}")
    log_u = code.intrinsic("fmuladd", type, s, series, k_ln2)
    y = code(f"fadd {type} {log_u}, {code(f'fdiv {type} {lost}, {u}')}")
    y = code.intrinsic("copysign", type, y, x)
    y = choose(code, type, code(f"fcmp one {type} {x}, {type.all(math.inf)}"), y, code(f"fadd {type} {x}, {x}"))
    y = choose(code, type, code(f"fcmp oeq {type} {x}, {type.all(-1)}"), type.all(-math.inf), y)
    return choose(code, type, code(f"fcmp olt {type} {x}, {type.all(-1)}"), type.all(math.nan), y)


def sign(code: Code, type: Type, x: str) -> str:
    """1, -1, 0 for both zeros, or NaN."""
    zero = code(f"fadd {type} {x}, {type.all(0)}")  # -0 + 0 is 0
    below = choose(code, type, code(f"fcmp olt {type} {x}, {type.all(0)}"), type.all(-1), zero)
    return choose(code, type, code(f"fcmp ogt {type} {x}, {type.all(0)}"), type.all(1), below)


def remainder(code: Code, type: Type, a: str, b: str) -> str:
    """What is left of a by b, of the sign of b, a zero too."""
    r = code(f"frem {type} {a}, {b}")
    signed = code.intrinsic("copysign", type, r, b)
    # Not by the sign of r b, which may be so small that it is 0.
    same = code(f"fcmp oeq {type} {signed}, {r}")
    return choose(code, type, same, signed, code(f"fadd {type} {r}, {b}"))


def clip(code: Code, type: Type, x: str, low: str, high: str) -> str:
    return minimum(code, type, maximum(code, type, x, low), high)


def convert(code: Code, value: str, given: Type, wanted: Type) -> str:
    """The value in another dtype, as `astype` has it."""
    if given.dtype == wanted.dtype:
        return value
    if given.dtype.kind == "f":
        return code(f"{'fpext' if wanted.size > given.size else 'fptrunc'} {given} {value} to {wanted}")
    return code(f"{'sitofp' if given.dtype.kind == 'i' else 'uitofp'} {given} {value} to {wanted}")


FUNCTIONS: dict[Any, Callable[..., str]] = {
    np.add: binary("fadd"),
    np.subtract: binary("fsub"),
    np.multiply: binary("fmul"),
    np.divide: binary("fdiv"),
    np.maximum: maximum,
    np.minimum: minimum,
    np.greater: compared("ogt"),
    np.less: compared("olt"),
    np.greater_equal: compared("oge"),
    np.less_equal: compared("ole"),
    np.negative: negative,
    np.positive: lambda code, type, x: x,
    np.square: square,
    np.absolute: absolute,
    np.sqrt: sqrt,
    np.exp: exp,
    np.expm1: expm1,
    np.log1p: log1p,
    np.sign: sign,
    np.tanh: tanh,
    np.clip: clip,
    np.remainder: remainder,
}
"""By ufunc; those of two results, or of another dtype than their arguments, but for comparisons, are not here."""
