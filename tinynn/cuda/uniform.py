"""Random numbers by a hash of (key, step, place): the bits of the reference."""

from __future__ import annotations

from tinynn.cuda.kernels import Array, Kernels, flat, heading

__all__ = ["uniform"]

SOURCE = """
__device__ unsigned int hashed(unsigned int x) {
    x = (x ^ x >> 16) * 0x7FEB352Du;
    x = (x ^ x >> 15) * 0x846CA68Bu;
    return x ^ x >> 16;
}

extern "C" __global__ void uniform(const T* stream, T* out, long long n, long long first) {
    const unsigned int key = (unsigned int)stream[0], step = (unsigned int)stream[1];
    const unsigned int start = hashed(key * GOLDEN ^ step);
    EACH(i, n) out[i] = (hashed((unsigned int)(first + i) * GOLDEN + start) >> 8) * (T)5.9604644775390625e-8;  // 2^-24
}
"""


def uniform(kernels: Kernels, golden: int, stream: Array, out: Array, first: int) -> bool:
    """Whether the kernel could be launched.

    `golden`: what the places are multiplied with, which are counted from `first` on.
    """
    if not kernels.own(stream, out) or not flat(stream, out) or stream.size != 2:
        return False
    if out.size:
        head = f"#define GOLDEN {golden}u\n" + heading(out.dtype)
        kernels.over(SOURCE, head, "uniform", out.size, stream, out, out.size, first)
    return True
