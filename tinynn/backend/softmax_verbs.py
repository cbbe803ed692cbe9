"""Softmax and its cross-entropy."""

from __future__ import annotations

from typing import Any

from tinynn.backend.verbs import Array, Verbs, whole

__all__ = ["SoftmaxVerbs"]


class SoftmaxVerbs(Verbs):
    """Along the last axis; shapes: x, out (N, ..., C); scores, p (N, C)."""

    @whole
    def softmax(self, x: Array, out: Array, work: Array) -> Array:
        """out = exp(x) / sum(exp(x)), right to a few ulp. `work` is float64 and overwritten."""
        xp = self.xp
        # In float64, because a rounding of x - max by half an ulp is an error of |x - max| / 2 ulp in its exponential.
        work[...] = x  # converted once, not by every call
        xp.subtract(work, self.row_maxima(work), out=work)
        xp.exp(work, out=work)
        out[...] = xp.divide(work, self.row_sums(work), out=work)
        return out

    @whole
    def softmax_backward(self, dy: Array, y: Array, out: Array) -> Array:
        """out = y * (dy - sum(dy * y))."""
        xp = self.xp
        xp.multiply(dy, y, out=out)
        xp.subtract(dy, out.sum(axis=-1, keepdims=True), out=out)
        return xp.multiply(out, y, out=out)

    @whole
    def log_softmax(self, x: Array, out: Array, work: Array) -> Array:
        """out = x - log(sum(exp(x))), right to a few ulp. `work` is float64 and overwritten."""
        xp = self.xp
        # As in softmax_cross_entropy: z = x - max, and of the sum without the largest term, which is 1, the log1p.
        xp.subtract(x, x.max(axis=-1, keepdims=True), out=work, dtype=work.dtype)
        top = xp.expand_dims(x.argmax(axis=-1), -1)
        terms = xp.exp(work)
        xp.put_along_axis(terms, top, 0, axis=-1)
        return xp.subtract(work, xp.log1p(terms.sum(axis=-1, keepdims=True)), out=out, casting="same_kind")

    @whole
    def log_softmax_backward(self, dy: Array, y: Array, out: Array) -> Array:
        """out = dy - exp(y) * sum(dy)."""
        xp = self.xp
        xp.exp(y, out=out)
        xp.multiply(out, dy.sum(axis=-1, keepdims=True), out=out)
        return xp.subtract(dy, out, out=out)

    @whole
    def softmax_cross_entropy(self, scores: Array, targets: Array, p: Array, out: Array) -> Array:
        """out = the mean over the rows of -sum(t * log(softmax(scores))); p becomes the softmax.

        Targets are labels (N,), integers, or probability rows (N, C); p is float64 and contiguous; out has no axes.
        Errors: IndexError for a label outside 0..C-1 where the device notices it.
        """
        xp, (n, classes) = self.xp, scores.shape
        # With z = x - max, log(sum(exp(z))) = log1p(rest), rest being the sum without the largest term, which is 1.
        # So a loss of 1e-20 comes out as 1e-20, where log(1 + 1e-20) would be 0.
        rows = xp.arange(n)
        top = scores.argmax(axis=1) + rows * classes  # places in the flat array: one index is found sooner than two
        z = xp.subtract(scores, scores.reshape(-1)[top][:, None], out=p, dtype=p.dtype)
        if targets.ndim == 1:
            # A negative label would count from the end. As uint32 it is out of range; uintp would wrap back to it.
            score, weight = z[rows, targets.astype(xp.uint32)], 1.0
        else:
            score, weight = self.row_dots(targets, z), targets.sum(axis=1, dtype=p.dtype)
        xp.exp(z, out=p)
        flat = p.reshape(-1)
        flat[top] = 0
        rest = self.row_sums(p)[:, 0]
        flat[top] = 1
        xp.divide(p, (1 + rest)[:, None], out=p)
        out[...] = (weight * xp.log1p(rest) - score).sum() / n
        return out

    @whole
    def softmax_cross_entropy_backward(self, p: Array, targets: Array, scale: Any, out: Array) -> Array:
        """out = scale * (p * sum(t) - t): the gradient of the above for scale = dy / N. `p` is left as it was.

        `out` is contiguous.
        """
        xp, (n, classes) = self.xp, p.shape
        starts = xp.arange(0, n * classes, classes)
        # A row of the gradient sums to 0, so its element at the largest p is minus the sum of the others. Taken from
        # p itself it would be 1 - p, and of a p within 1e-12 of 1 that leaves four digits even in float64.
        if targets.ndim == 1:
            flat = xp.multiply(p, scale, out=out).reshape(-1)
            at = starts + targets.astype(starts.dtype, copy=False)  # with uint64 the sum would be float64
            flat[at] = 0
            flat[at] = -self.row_sums(out)[:, 0]
            return out
        gradient = p * targets.sum(axis=1, dtype=p.dtype, keepdims=True)
        xp.subtract(gradient, targets, out=gradient)
        flat, at = gradient.reshape(-1), starts + p.argmax(axis=1)
        flat[at] = 0
        flat[at] = -self.row_sums(gradient)[:, 0]
        return xp.multiply(gradient, scale, out=out)

    def row_maxima(self, x: Array) -> Array:
        """The largest of each row of x (N, ..., C), in a shape that goes with x."""
        # By the place of it: NumPy finds that in a fifth of the time that it takes for the maximum itself.
        top = x.argmax(axis=-1)
        if top.size == 1:
            return x.reshape(-1)[top.reshape(())]
        places = top + self.xp.arange(0, x.size, x.shape[-1]).reshape(top.shape)
        return x.reshape(-1)[places][..., None]

    def row_sums(self, x: Array) -> Array:
        """The sum of each row of x (N, ..., C), the result (N, ..., 1)."""
        return x.sum(axis=-1, keepdims=True)

    def row_dots(self, a: Array, b: Array) -> Array:
        """The sum of a * b along each row, (N, C) to (N,)."""
        return (a * b).sum(axis=1)
