"""Activations and their derivatives, and the normal distribution: a thread for each element."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from tinynn.cuda.kernels import Array, Kernels, dense, heading

__all__ = ["each", "normal"]

SOURCE = """
extern "C" __global__ void relu(const T* x, T* out, long long n) {
    EACH(i, n) out[i] = x[i] < 0 ? T(0) : x[i];  // a NaN is not less than 0
}

extern "C" __global__ void relu_backward(const T* dy, const T* y, T* out, long long n) {
    EACH(i, n) out[i] = y[i] > 0 ? dy[i] : T(0);
}

extern "C" __global__ void sigmoid(const T* x, T* out, long long n) {
    EACH(i, n) {
        T e = exp(x[i] > 40 ? T(40) : x[i]);
        out[i] = e / (e + 1);
    }
}

extern "C" __global__ void sigmoid_backward(const T* dy, const T* y, T* out, long long n) {
    EACH(i, n) out[i] = (1 - y[i]) * y[i] * dy[i];
}

extern "C" __global__ void tanh_backward(const T* dy, const T* y, T* out, long long n) {
    EACH(i, n) out[i] = (1 - y[i] * y[i]) * dy[i];
}
"""

NORMAL = """
// |x|, but no more than FAR.
__device__ double size_of(double x) { return fabs(x) > FAR ? FAR : fabs(x); }

extern "C" __global__ void normal_cdf(const T* x, T* out, long long n) {
    const double TAIL[] = {%s};
    EACH(i, n) {
        double a = size_of(x[i]), u = 4 / (2 + a) - 1, P = TAIL[TERMS - 1];
        for (int k = TERMS - 2; k >= 0; k--) P = P * u + TAIL[k];
        double h = floor(a * PARTS) / PARTS, r = a - h;
        double tail = exp(-0.5 * h * h) * exp(P - r * (h + 0.5 * r)) / (2 + a);
        out[i] = (T)(x[i] > 0 ? 1 - tail : tail);
    }
}

extern "C" __global__ void normal_pdf(const T* x, T* out, long long n) {
    EACH(i, n) {
        double a = size_of(x[i]);
        out[i] = (T)(exp(a * a * -0.5) * 0.3989422804014327);  // 1 / sqrt(2 pi)
    }
}
"""


def each(kernels: Kernels, name: str, *arrays: Array) -> bool:
    """Whether the kernel of that name could be launched: inputs first, the output last."""
    return launched(kernels, SOURCE, name, arrays)


def normal(kernels: Kernels, name: str, tail: Sequence[float], parts: int, far: float, x: Array, out: Array) -> bool:
    """As `each`, for the normal distribution, whose approximation is the caller's.

    `tail`: the polynomial's coefficients, lowest power first; `parts`: in how many the unit is divided where the square
    is exact; `far`: where the distribution has ended.
    """
    return launched(kernels, normal_source(tuple(tail), parts, far), name, (x, out))


@lru_cache(maxsize=8)
def normal_source(tail: tuple[float, ...], parts: int, far: float) -> str:
    """The source with these numbers, each written so that it is read as the same."""
    numbers = f"#define FAR {far!r}\n#define PARTS {float(parts)!r}\n#define TERMS {len(tail)}\n"
    return numbers + NORMAL % ", ".join(map(repr, tail))


def launched(kernels: Kernels, source: str, name: str, arrays: Sequence[Array]) -> bool:
    if not kernels.own(*arrays) or not dense(*arrays):
        return False
    if size := arrays[0].size:
        kernels.over(source, heading(arrays[0].dtype), name, size, *arrays, size)
    return True
