"""Activations and their derivatives."""

from __future__ import annotations

from tinynn.backend.verbs import Array, Verbs, straight

__all__ = ["ActivationVerbs"]


class ActivationVerbs(Verbs):
    """Element by element; all arrays of a call have one shape."""

    @straight
    def relu(self, x: Array, out: Array) -> Array:
        """out = max(x, 0), NaN where x is NaN."""
        return self.xp.maximum(x, 0, out=out)

    @straight
    def relu_backward(self, dy: Array, y: Array, out: Array) -> Array:
        """out = dy where y > 0, else 0."""
        xp = self.xp
        # The mask is written as 0.0 and 1.0: one pass fewer than a boolean array, and no branch as in copyto(where=).
        xp.greater(y, self.scalar(0, y.dtype), out=out, casting="unsafe")
        return xp.multiply(out, dy, out=out)

    @straight
    def sigmoid(self, x: Array, out: Array, work: Array) -> Array:
        """out = 1 / (1 + exp(-x)), right to a few ulp for every finite x. `work` is overwritten."""
        xp = self.xp
        # e / (1 + e) with e = exp(x) keeps the digits that 1 / (1 + exp(-x)) loses to overflow at x < -88.
        # From x = 40 on the quotient is 1 in float64 too, so larger x need not reach exp.
        xp.minimum(x, self.scalar(40, x.dtype), out=out)
        xp.exp(out, out=out)
        xp.add(out, self.scalar(1, x.dtype), out=work)
        return xp.divide(out, work, out=out)

    @straight
    def sigmoid_backward(self, dy: Array, y: Array, out: Array) -> Array:
        """out = dy * y * (1 - y)."""
        xp = self.xp
        xp.subtract(self.scalar(1, y.dtype), y, out=out)
        xp.multiply(out, y, out=out)
        return xp.multiply(out, dy, out=out)

    @straight
    def tanh_backward(self, dy: Array, y: Array, out: Array) -> Array:
        """out = dy * (1 - y**2)."""
        xp = self.xp
        xp.multiply(y, y, out=out)
        xp.subtract(self.scalar(1, y.dtype), out, out=out)
        return xp.multiply(out, dy, out=out)
