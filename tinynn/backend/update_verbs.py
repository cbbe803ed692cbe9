"""The optimizers' updates of the flat vectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tinynn.backend.verbs import Array, Verbs

__all__ = ["UpdateVerbs"]


class UpdateVerbs(Verbs):
    """In place, in blocks as long as the working array, so that what is in the cache is used while it is there.

    All arrays are flat, of one dtype and, but for `work`, of one length; `grads` is read unless a verb says otherwise.
    L2 and decay act on the first `decayed` elements only. `work` is overwritten; its length, at least 2, is the length
    of the blocks in which an update may be done. `lr`, `rate`, `eps` and `shrink` may be arrays on the device, without
    axes and of that dtype, in which a captured step finds the numbers of its time.
    """

    def sgd_update(self, params: Array, grads: Array, lr: float, l2: float, decayed: int, work: Array) -> None:
        """params -= lr * (grads + l2 * params)."""
        xp = self.xp
        for start in range(0, params.size, work.size):
            p, g = params[start : start + work.size], grads[start : start + work.size]
            update, d = work[: p.size], min(max(decayed - start, 0), p.size) if l2 else 0
            # Not p *= 1 - lr * l2, which saves a pass: in float32 that factor keeps one or two digits of lr * l2.
            if d:
                decay = xp.multiply(p[:d], l2, out=update[:d])
                xp.add(decay, g[:d], out=decay)
                xp.multiply(decay, lr, out=decay)
            if d < p.size:
                xp.multiply(g[d:], lr, out=update[d:])
            xp.subtract(p, update, out=p)

    def momentum_update(
        self,
        params: Array,
        grads: Array,
        velocity: Array,
        lr: float,
        momentum: float,
        nesterov: bool,
        l2: float,
        decayed: int,
        work: Array,
    ) -> None:
        """velocity = momentum * velocity + g with g = grads + l2 * params; params -= lr * velocity.

        With `nesterov` params -= lr * (g + momentum * velocity), by the new velocity.
        """
        xp = self.xp
        for p, g, w, u, l2_here, v in blocks(params, grads, work, decayed, bool(l2), velocity):
            if l2_here:
                g = xp.add(xp.multiply(p, l2, out=u), g, out=u)
            xp.multiply(v, momentum, out=v)
            xp.add(v, g, out=v)
            step = xp.add(xp.multiply(v, momentum, out=w), g, out=w) if nesterov else v
            xp.subtract(p, xp.multiply(step, lr, out=w), out=p)

    def adam_update(
        self,
        params: Array,
        grads: Array,
        m: Array,
        v: Array,
        rate: float,
        beta1: float,
        beta2: float,
        eps: float,
        l2: float,
        shrink: float,
        decayed: int,
        work: Array,
    ) -> None:
        """m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g**2, with g = grads + l2 * params.

        Then params -= rate * m / (sqrt(v) + eps) + shrink * params; `shrink` acts where `l2` does. The corrections for
        the bias of m and v in the first steps are in `rate` and `eps`.
        """
        xp = self.xp
        for p, g, w, u, decays, m_, v_ in blocks(params, grads, work, decayed, bool(l2) or acts(shrink), m, v):
            if decays and l2:
                g = xp.add(xp.multiply(p, l2, out=u), g, out=u)
            xp.multiply(m_, beta1, out=m_)
            xp.add(m_, xp.multiply(g, 1 - beta1, out=w), out=m_)
            xp.multiply(v_, beta2, out=v_)
            xp.multiply(g, g, out=w)
            xp.add(v_, xp.multiply(w, 1 - beta2, out=w), out=v_)
            xp.add(xp.sqrt(v_, out=w), eps, out=w)
            xp.multiply(xp.divide(m_, w, out=w), rate, out=w)
            if decays and acts(shrink):
                xp.add(w, xp.multiply(p, shrink, out=u), out=w)
            xp.subtract(p, w, out=p)

    def scaled_update(
        self,
        params: Array,
        grads: Array,
        squares: Array,
        lr: float,
        keep: float,
        add: float,
        eps: float,
        l2: float,
        decayed: int,
        work: Array,
    ) -> None:
        """squares = keep * squares + add * g**2, g = grads + l2 * params; params -= lr * g / (sqrt(squares) + eps)."""
        xp = self.xp
        for p, g, w, u, l2_here, s in blocks(params, grads, work, decayed, bool(l2), squares):
            if l2_here:
                g = xp.add(xp.multiply(p, l2, out=u), g, out=u)
            xp.multiply(s, keep, out=s)
            xp.multiply(g, g, out=w)
            xp.add(s, xp.multiply(w, add, out=w), out=s)
            xp.add(xp.sqrt(s, out=w), eps, out=w)
            xp.multiply(xp.divide(g, w, out=w), lr, out=w)
            xp.subtract(p, w, out=p)

    def clip_norm(self, grads: Array, largest: float, work: Array) -> None:
        """grads *= min(1, largest / |grads|), in place, |grads| being the Euclidean norm; NaN and Inf become NaN."""
        xp = self.xp
        if not grads.size:
            return
        # Divided by the largest element first: squares of 1e20 overflow in float32. By `largest` if that is more: then
        # nothing is clipped, and elements whose squares vanish do not matter.
        scale = xp.maximum(xp.maximum(grads.max(), -grads.min()), self.scalar(largest, grads.dtype))
        total = self.scalar(0, grads.dtype)
        for start in range(0, grads.size, work.size):
            g = grads[start : start + work.size]
            w = xp.divide(g, scale, out=work[: g.size])
            total = total + xp.multiply(w, w, out=w).sum()
        norm, bound = xp.sqrt(total.astype(xp.float64)), largest / scale.astype(xp.float64)
        # In two halves: the whole factor of gradients near the largest float is less than the smallest normal one.
        half = xp.sqrt(bound / xp.maximum(norm, bound)).astype(grads.dtype)
        xp.multiply(grads, half, out=grads)
        xp.multiply(grads, half, out=grads)


def acts(number: Any) -> bool:
    """Whether it is not 0, or on the device, where nobody looks at it."""
    return not isinstance(number, int | float) or number != 0


def blocks(
    params: Array, grads: Array, work: Array, decayed: int, decay: bool, *vectors: Array
) -> Iterator[tuple[Array, ...]]:
    """Parts of params and grads, two working arrays as long, whether they are to decay, and parts of the vectors.

    No part crosses the end of the decayed elements.
    """
    half, edge = work.size // 2, decayed if decay else 0
    for first, last, decays in ((0, edge, True), (edge, params.size, False)):
        for start in range(first, last, half):
            part = slice(start, min(start + half, last))
            n = part.stop - start
            yield params[part], grads[part], work[:n], work[half : half + n], decays, *(v[part] for v in vectors)
