"""The optimizers' updates of the flat vectors."""

from __future__ import annotations

from tinynn.backend.verbs import Array, Verbs

__all__ = ["UpdateVerbs"]


class UpdateVerbs(Verbs):
    """In place, in blocks as long as the working array, so that what is in the cache is used while it is there."""

    def sgd_update(self, params: Array, grads: Array, lr: float, l2: float, decayed: int, work: Array) -> None:
        """params -= lr * (grads + l2 * params), in place, the l2 term in the first `decayed` elements only.

        All are flat. `work` is overwritten; its length is the length of the blocks in which the update may be done.
        """
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
