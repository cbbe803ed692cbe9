"""The optimizers' updates: one pass over the flat vectors, operation by operation as the verbs have it.

A number of an update is given by value, or by the place where a captured step finds it on the device.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.cuda.kernels import NULL, Array, Kernels, flat, heading

__all__ = ["update"]

SOURCE = """
#define NUMBER(a) T a##_value, const T* a##_at
#define READ(a) const T a = a##_at ? *a##_at : a##_value;
// 1 - a, which of a number of the host's is rounded once, there.
#define READ_REST(a) const T rest_of_##a = a##_at ? 1 - *a##_at : rest_of_##a##_value;

extern "C" __global__ void sgd(T* params, const T* grads, long long n, NUMBER(lr), NUMBER(l2), long long decayed) {
    READ(lr) READ(l2)
    EACH(i, n) {
        T p = params[i], g = grads[i];
        if (i < decayed) g = p * l2 + g;
        params[i] = p - g * lr;
    }
}

extern "C" __global__ void momentum(
    T* params, const T* grads, T* velocity, long long n, NUMBER(lr), NUMBER(momentum), int nesterov, NUMBER(l2),
    long long decayed
) {
    READ(lr) READ(momentum) READ(l2)
    EACH(i, n) {
        T p = params[i], g = grads[i];
        if (i < decayed) g = p * l2 + g;
        T v = velocity[i] * momentum + g;
        velocity[i] = v;
        params[i] = p - (nesterov ? v * momentum + g : v) * lr;
    }
}

extern "C" __global__ void adam(
    T* params, const T* grads, T* means, T* squares, long long n, NUMBER(rate), NUMBER(beta1), T rest_of_beta1_value,
    NUMBER(beta2), T rest_of_beta2_value, NUMBER(eps), NUMBER(l2), long long decayed, NUMBER(shrink), long long shrunk
) {
    READ(rate) READ(beta1) READ_REST(beta1) READ(beta2) READ_REST(beta2) READ(eps) READ(l2) READ(shrink)
    EACH(i, n) {
        T p = params[i], g = grads[i];
        if (i < decayed) g = p * l2 + g;
        T m = means[i] * beta1 + g * rest_of_beta1, v = squares[i] * beta2 + g * g * rest_of_beta2;
        means[i] = m;
        squares[i] = v;
        T w = m / (sqrt(v) + eps) * rate;
        if (i < shrunk) w = w + p * shrink;
        params[i] = p - w;
    }
}

extern "C" __global__ void scaled(
    T* params, const T* grads, T* squares, long long n, NUMBER(lr), NUMBER(keep), NUMBER(add), NUMBER(eps), NUMBER(l2),
    long long decayed
) {
    READ(lr) READ(keep) READ(add) READ(eps) READ(l2)
    EACH(i, n) {
        T p = params[i], g = grads[i];
        if (i < decayed) g = p * l2 + g;
        T s = squares[i] * keep + g * g * add;
        squares[i] = s;
        params[i] = p - g / (sqrt(s) + eps) * lr;
    }
}
"""


def update(kernels: Kernels, name: str, vectors: tuple[Array, ...], args: tuple[Any, ...]) -> bool:
    """Whether the update of that name could be launched.

    `vectors`: params, grads and the optimizer's own. `args`: in the kernel's order; a Python number or an array on the
    device is a NUMBER, one in a tuple a NUMBER and its rest, NumPy's integers stand for themselves.
    """
    params = vectors[0]
    if not kernels.own(*vectors) or not flat(*vectors) or any(x.shape != params.shape for x in vectors):
        return False
    given: list[Any] = []
    for arg in args:
        if isinstance(arg, np.integer):
            given.append(arg)
        elif (found := number(kernels, arg, params.dtype)) is None:
            return False
        else:
            given += found
    if params.size:
        kernels.over(SOURCE, heading(params.dtype), name, params.size, *vectors, params.size, *given)
    return True


def number(kernels: Kernels, given: Any, dtype: np.dtype) -> list[Any] | None:
    """What a kernel gets for a number: its value and a pointer, and its rest if it has one."""
    rests = isinstance(given, tuple)
    value = given[0] if rests else given
    if not kernels.own(value):
        return [dtype.type(value), NULL, *([dtype.type(1 - value)] if rests else [])]
    if value.dtype != dtype or value.size != 1:
        return None
    return [dtype.type(0), value, *([dtype.type(0)] if rests else [])]
