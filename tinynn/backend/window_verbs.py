"""Sliding windows over images in rows: the steps of convolution and pooling."""

from __future__ import annotations

from collections.abc import Sequence

from tinynn.backend.verbs import Array, Verbs, straight, view, whole

__all__ = ["WindowVerbs"]

Taps = Sequence[tuple[slice, slice]]


class WindowVerbs(Verbs):
    """Images lie in rows, (H, C, W, N). P and Q: the rows and columns of a window's outputs; k: its size.

    Taps are the places of a window: (rows, columns) are what one of them sees, at all outputs together.
    """

    @whole
    def unfold(self, x: Array, taps: Sequence[slice], out: Array) -> Array:
        """out[h, c, j, q, n] = x[h, c, taps[j], n][q]: next to each column, the others that a window sees with it.

        Shapes: x (H, C, W, N), out (H, C, k, Q, N).
        """
        for j, columns in enumerate(taps):
            out[:, :, j] = x[:, :, columns]
        return out

    @whole
    def fold(self, dy: Array, taps: Sequence[slice], out: Array) -> Array:
        """out[h, c, taps[j], n] = the sum over j of dy[h, c, j, :, n], 0 where no tap is: the transpose of unfold."""
        out[...] = 0
        for j, columns in enumerate(taps):
            seen = out[:, :, columns]
            self.xp.add(seen, dy[:, :, j], out=seen)
        return out

    @view
    def stacked_rows(self, x: Array, outputs: int, size: int, stride: int, dilation: int) -> Array:
        """A view: y[p, i] = x[stride p + dilation i], for p < outputs and i < size. Not to be written to."""
        step, *others = x.strides
        return self.xp.lib.stride_tricks.as_strided(
            x, (outputs, size, *x.shape[1:]), (stride * step, dilation * step, *others)
        )

    @straight
    def matmul_stack(self, a: Array, b: Array, out: Array) -> Array:
        """out[i] = a[i] @ b[i] for each matrix of the stack, in which axes that are missing or 1 are repeated."""
        return self.xp.matmul(a, b, out=out)

    @whole
    def max_window(self, x: Array, taps: Taps, out: Array) -> Array:
        """out = the largest of x[rows, :, columns] over the taps, NaN where one is NaN. Shapes: out (P, C, Q, N)."""
        first, *others = taps
        out[...] = x[first[0], :, first[1]]
        for rows, columns in others:
            self.xp.maximum(out, x[rows, :, columns], out=out)
        return out

    @whole
    def max_window_backward(
        self, dy: Array, y: Array, x: Array, taps: Taps, out: Array, hits: Array, work: Array
    ) -> Array:
        """out[rows, :, columns] = the sum of dy over the windows in which the first of the largest x stands there.

        Shapes: y, dy, work (P, C, Q, N); hits, booleans, (2, P, C, Q, N); out as x. `hits` and `work` are overwritten.
        """
        xp = self.xp
        hit, free = hits[0], hits[1]  # where this tap is the largest; which windows have found none yet
        free[...] = True
        tiled = disjoint(taps) and out.size == len(taps) * y.size  # each pixel under one window
        if not tiled:
            out[...] = 0
        for rows, columns in taps:
            xp.equal(x[rows, :, columns], y, out=hit)
            xp.logical_and(hit, free, out=hit)
            xp.logical_xor(free, hit, out=free)
            seen = out[rows, :, columns]
            if tiled:
                xp.multiply(hit, dy, out=seen)
            else:
                xp.multiply(hit, dy, out=work)
                xp.add(seen, work, out=seen)
        return out

    @whole
    def sum_window(self, x: Array, taps: Taps, out: Array) -> Array:
        """out = the sum of x[rows, :, columns] over the taps. Shapes: out (P, C, Q, N)."""
        out[...] = 0
        for rows, columns in taps:
            self.xp.add(out, x[rows, :, columns], out=out)
        return out

    @whole
    def sum_window_backward(self, dy: Array, taps: Taps, out: Array) -> Array:
        """out[rows, :, columns] = the sum of dy over the windows that reach there. Shapes: dy (P, C, Q, N)."""
        out[...] = 0
        for rows, columns in taps:
            seen = out[rows, :, columns]
            self.xp.add(seen, dy, out=seen)
        return out

    @whole
    def max_pixel(self, x: Array, out: Array, first: Array) -> Array:
        """out[n, c] = the largest of x[n, c, h, w]; `first`, integers: the place of the first such, row by row.

        Shapes: x (N, C, H, W), in any order in memory; out, first (N, C).
        """
        N, C, H, W = x.shape
        pixels = x.reshape(N, C, H * W)
        first[...] = pixels.argmax(axis=2)
        # Without `out`: given it, NumPy 2.0.0 takes the wrong maximum along an axis that lies backwards in memory.
        out[...] = pixels.max(axis=2)
        return out

    @whole
    def max_pixel_backward(self, dy: Array, first: Array, out: Array) -> Array:
        """out[n, c, h, w] = dy[n, c] at the place that `first` names, else 0. Shapes: as above, `out` as x."""
        N, C, _, W = out.shape
        out[...] = 0
        out[self.xp.arange(N)[:, None], self.xp.arange(C), first // W, first % W] = dy
        return out


def disjoint(taps: Taps) -> bool:
    """Whether no two windows overlap: the taps all start within one stride."""
    return all(last.start < last.step for last in taps[-1])
