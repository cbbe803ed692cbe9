"""Softmax cross-entropy and its gradient, in float64: z = x - max, log(sum(exp(z))) as log1p of all terms but one."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.cuda.kernels import FLOATS, NULL, THREADS, Array, Kernels, flat, types
from tinynn.cuda.reductions import ROWS, SHORT, lanes, row_blocks
from tinynn.cuda.rows import WITHIN

__all__ = ["gradient", "loss"]

FEW = 2 * THREADS
"""Rows that one block goes through in less time than a second kernel takes to start."""

SOURCE = (
    ROWS
    + WITHIN
    + """
// -sum(t * log(p)) of a row; p becomes its softmax. LABELS: whether t is a label or a row of probabilities.
__device__ double row_loss(const T* scores, const Y* targets, double* p, long long r, long long C) {
    const T* x = scores + r * C;
    p += r * C;
    Top top = row_top(x, C);
    double part = 0, score = 0, weight = 0;
    long long label = LABELS ? within((long long)targets[r], C) : 0;
    EACH_COLUMN(j, C) {
        double z = (double)x[j] - top.value;
        if (!LABELS) {
            double t = targets[r * C + j];
            score += t * z;
            weight += t;
        } else if (j == label) {
            score = z;
            weight = 1;
        }
        p[j] = j == top.place ? 1 : exp(z);
        if (j != top.place) part += p[j];
    }
    double rest = row_sum(part);
    score = row_sum(score);
    weight = row_sum(weight);
    EACH_COLUMN(j, C) p[j] /= 1 + rest;
    return weight * log1p(rest) - score;
}

extern "C" __global__ void losses(
    const T* scores, const Y* targets, double* p, double* loss, long long n, long long C
) {
    EACH_ROW(r, n) {
        double L = row_loss(scores, targets, p, r, C);
        if (LANE == 0) loss[r] = L;
    }
}

// The two kernels of one block.
extern "C" __global__ void mean(const double* loss, T* out, long long n) {
    double part = 0;
    EACH(r, n) part += loss[r];
    double sum = block_sum(part);
    if (threadIdx.x == 0) *out = (T)(sum / n);
}

extern "C" __global__ void mean_loss(const T* scores, const Y* targets, double* p, T* out, long long n, long long C) {
    double part = 0;
    EACH_ROW(r, n) part += row_loss(scores, targets, p, r, C);
    double sum = block_sum(part);
    if (threadIdx.x == 0) *out = (T)(sum / n);
}

// A row sums to 0: its element at the label, or at the largest p, is minus the sum of the others.
extern "C" __global__ void gradient(
    const double* p, const Y* targets, double scale_value, const S* scale_at, T* out, long long n, long long C
) {
    const double scale = scale_at ? (double)*scale_at : scale_value;
    EACH_ROW(r, n) {
        const double* q = p + r * C;
        T* row = out + r * C;
        double part = 0;
        if (LABELS) {
            long long label = within((long long)targets[r], C);
            EACH_COLUMN(j, C) {
                if (j == label) continue;
                row[j] = (T)(q[j] * scale);
                part += row[j];
            }
            double others = row_sum(part);
            if (LANE == 0) row[label] = (T)-others;
        } else {
            const Y* t = targets + r * C;
            EACH_COLUMN(j, C) part += t[j];
            double weight = row_sum(part);
            long long top = row_top(q, C).place;
            part = 0;
            EACH_COLUMN(j, C) {
                if (j == top) continue;
                double g = q[j] * weight - t[j];
                row[j] = (T)(g * scale);
                part += g;
            }
            double others = row_sum(part);
            if (LANE == 0) row[top] = (T)(-others * scale);
        }
    }
}
"""
)


def loss(kernels: Kernels, scores: Array, targets: Array, p: Array, out: Array) -> bool:
    """Whether the kernels of the loss could be launched."""
    head = usable(kernels, scores, targets, p, scores.dtype)
    if not head or not kernels.own(out) or out.dtype != scores.dtype or out.size != 1:
        return False
    n, C = scores.shape
    if n <= FEW and C <= SHORT:
        kernels.launch(SOURCE, head, "mean_loss", 1, scores, targets, p, out, n, C)
    else:
        each = kernels.xp.empty(n, np.float64)
        kernels.launch(SOURCE, head, "losses", row_blocks(n, C), scores, targets, p, each, n, C)
        kernels.launch(SOURCE, head, "mean", 1, each, out, n)
    return True


def gradient(kernels: Kernels, p: Array, targets: Array, scale: Any, out: Array) -> bool:
    """Whether the kernel of the gradient could be launched; `scale` is a number, or an array on the device of one."""
    given = kernels.own(scale)
    if given and (scale.size != 1 or scale.dtype not in FLOATS):
        return False
    head = usable(kernels, out, targets, p, scale.dtype if given else out.dtype)
    if not head:
        return False
    n, C = p.shape
    number, place = (0.0, scale) if given else (float(scale), NULL)
    kernels.launch(SOURCE, head, "gradient", row_blocks(n, C), p, targets, number, place, out, n, C)
    return True


def usable(kernels: Kernels, x: Array, targets: Array, p: Array, scale: np.dtype) -> str:
    """How the source begins for such arrays; nothing where the kernels cannot read them."""
    if not kernels.own(x, targets, p) or not flat(x) or not flat(p) or p.dtype != np.float64 or not p.size:
        return ""
    labels = targets.ndim == 1
    fits = p.ndim == 2 and x.shape == p.shape and targets.shape == (p.shape[:1] if labels else p.shape)
    kind = types(T=x.dtype, Y=targets.dtype, S=scale)
    if not fits or not targets.flags.c_contiguous or kind is None or (labels and targets.dtype.kind not in "iu"):
        return ""
    return kind + f"#define LABELS {int(labels)}\n" + lanes(p.shape[1])
