"""Random numbers in a step: a function of what is counted, the same on every device, with nothing to draw in order."""

from __future__ import annotations

from tinynn.backend.verbs import Array, Verbs, whole

__all__ = ["RandomVerbs"]

GOLDEN = 0x9E3779B9  # 2^32 divided by the golden ratio: neighbouring counts come to lie far apart


class RandomVerbs(Verbs):
    """A number is a hash of (key, step, place), as in the counter-based generators of Salmon and others, 2011."""

    @whole
    def uniform(self, stream: Array, out: Array, bits: Array, first: int = 0) -> Array:
        """out = numbers in [0, 1), multiples of 2^-24, a function of the stream and of the place in `out` alone.

        `stream`: two whole numbers from 0 to 2^24 - 1, key and step, of any dtype. The place is counted as out.ravel()
        counts it, the last axis fastest, from `first` on. `out` is contiguous; `bits` (out.size,), uint32, is
        overwritten.
        """
        xp = self.xp
        # One element each, not scalars: arrays of integers wrap around silently, as is meant.
        key, step = stream[:1].astype(xp.uint32), stream[1:].astype(xp.uint32)
        start = self._hashed(key * GOLDEN ^ step) + xp.uint32(first * GOLDEN % 2**32)
        bits[...] = xp.arange(len(bits), dtype=xp.uint32)
        xp.multiply(bits, GOLDEN, out=bits)
        xp.add(bits, start, out=bits)
        self._hashed(bits)
        xp.right_shift(bits, 8, out=bits)
        xp.multiply(bits.reshape(out.shape), 2.0**-24, out=out, dtype=out.dtype, casting="same_kind")
        return out

    def _hashed(self, x: Array) -> Array:
        """x, uint32, in place: each of its bits changes every bit of the result in about half of all cases.

        Source: the constants are those that Wellons found by search for this form, "Prospecting for Hash Functions",
        2018: the bias that is left is 1/6 of the older ones'.
        """
        xp = self.xp
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            xp.bitwise_xor(x, x >> shift, out=x)
            xp.multiply(x, factor, out=x)
        return xp.bitwise_xor(x, x >> 16, out=x)
