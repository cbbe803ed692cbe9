"""The largest pixel of an image, wherever its axes lie in memory."""

from __future__ import annotations

import math

import numpy as np

from tinynn.cuda.kernels import Array, Kernels, flat, heading

__all__ = ["max_pixel", "max_pixel_backward"]

SOURCE = """
#define STRIDES long long to_n, long long to_c, long long to_h, long long to_w

// n goes fastest: in images in rows, neighbouring threads then read neighbouring numbers.
extern "C" __global__ void max_pixel(
    const T* x, T* out, long long* first, long long N, long long C, long long H, long long W, STRIDES
) {
    EACH(i, N * C) {
        long long n = i % N, c = i / N, place = 0;
        const T* pixels = x + n * to_n + c * to_c;
        T top = *pixels;
        for (long long h = 0; h < H; h++) {
            for (long long w = 0; w < W; w++) {
                T value = pixels[h * to_h + w * to_w];
                if (value > top || (value != value && top == top)) {
                    top = value;
                    place = h * W + w;
                }
            }
        }
        out[n * C + c] = top;
        first[n * C + c] = place;
    }
}

extern "C" __global__ void max_pixel_backward(
    const T* dy, const long long* first, T* out, long long N, long long C, long long H, long long W, STRIDES
) {
    EACH(i, N * C * H * W) {
        long long n = i % N, rest = i / N;
        long long w = rest % W;
        rest /= W;
        long long c = rest % C, h = rest / C;
        out[n * to_n + c * to_c + h * to_h + w * to_w] = first[n * C + c] == h * W + w ? dy[n * C + c] : T(0);
    }
}
"""


def max_pixel(kernels: Kernels, x: Array, out: Array, first: Array) -> bool:
    """Whether the kernel could be launched."""
    if not usable(kernels, out, first, x):
        return False
    if out.size:
        kernels.over(SOURCE, heading(x.dtype), "max_pixel", out.size, x, out, first, *x.shape, *steps(x))
    return True


def max_pixel_backward(kernels: Kernels, dy: Array, first: Array, out: Array) -> bool:
    """Whether the kernel could be launched."""
    if not usable(kernels, dy, first, out):
        return False
    if out.size:
        args = (dy, first, out, *out.shape, *steps(out))
        kernels.over(SOURCE, heading(dy.dtype), "max_pixel_backward", out.size, *args)
    return True


def usable(kernels: Kernels, y: Array, first: Array, images: Array) -> bool:
    """Whether these are (N, C), the places and (N, C, H, W), with pixels to choose from."""
    return (
        kernels.own(y, first, images)
        and flat(y)
        and images.dtype == y.dtype
        and images.ndim == 4
        and images.shape[:2] == y.shape == first.shape
        and math.prod(images.shape[2:]) > 0
        and first.dtype == np.int64
        and first.flags.c_contiguous
        and all(stride % images.itemsize == 0 for stride in images.strides)
    )


def steps(x: Array) -> list[int]:
    """From one element to the next along each axis, in elements."""
    return [stride // x.itemsize for stride in x.strides]
