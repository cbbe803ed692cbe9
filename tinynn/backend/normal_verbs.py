"""The normal distribution, which NumPy does not have."""

from __future__ import annotations

import math

from tinynn.backend.verbs import Array, Verbs, whole

__all__ = ["NormalVerbs"]

# With t = 2 / (2 + a), which takes a >= 0 to 0 < t <= 1, log(2 Phi(-a) / t) + a^2 / 2 is so smooth that a polynomial in
# u = 2 t - 1 follows it for all a: this one, lowest power first, to 5e-17. It interpolates at the 31 Chebyshev nodes,
# where the function was evaluated to 60 digits; the form is that of Numerical Recipes, 3rd edition, 6.2.2.
TAIL = (
    -0.3968899725621413,
    0.49286213129136414,
    -0.07862932797871369,
    -0.03580762155734276,
    0.02094998521995678,
    0.0010123389513724908,
    -0.005733156498458568,
    0.002295397640519101,
    0.0006155113100429604,
    -0.0010777999512184624,
    0.00041150793836577644,
    0.00012685071551999757,
    -0.0002270124885605377,
    0.00010281150661535366,
    1.3860569979189138e-05,
    -4.7944841978295604e-05,
    2.893128565626308e-05,
    -2.5584998778189903e-06,
    -8.680462306646114e-06,
    6.288690439053531e-06,
    -2.0603196730528575e-06,
    1.0518535918488068e-06,
    5.744821986389808e-07,
    -2.6536319260474667e-06,
    1.2670723906133913e-06,
    1.1949700594129103e-06,
    -9.357270839816542e-07,
    -2.3776086022414618e-07,
    2.727443074365992e-07,
    1.722605856386906e-08,
    -3.118829622427663e-08,
)
SIXTEENTHS = 16  # a^2 / 2 is exact for a that are multiples of 1/16, up to where Phi(-a) is 0
FAR = 40.0  # Phi(-40) is 0 in float64


class NormalVerbs(Verbs):
    """Element by element; all arrays of a call have one shape."""

    @whole
    def normal_cdf(self, x: Array, out: Array) -> Array:
        """out = Phi(x), the share of a normal distribution that lies below x, right to a few ulp in both tails."""
        xp = self.xp
        # In float64 throughout, so that a float32 result is right to one ulp.
        a = xp.minimum(xp.abs(x).astype(xp.float64), FAR)
        u = 4 / (2 + a) - 1
        P = xp.full_like(u, TAIL[-1])
        for coefficient in TAIL[-2::-1]:
            xp.multiply(P, u, out=P)
            xp.add(P, coefficient, out=P)
        # exp(-a^2 / 2) in two factors: of the square of a large number the rounding alone would be many ulp.
        h = xp.floor(a * SIXTEENTHS) / SIXTEENTHS
        r = a - h
        tail = xp.exp(-0.5 * h * h) * xp.exp(P - r * (h + 0.5 * r)) / (2 + a)
        out[...] = xp.where(x > 0, 1 - tail, tail)
        return out

    @whole
    def normal_pdf(self, x: Array, out: Array) -> Array:
        """out = phi(x) = exp(-x^2 / 2) / sqrt(2 pi), the slope of Phi; right to a few ulp of its largest value."""
        xp = self.xp
        xp.minimum(xp.abs(x, out=out), FAR, out=out)
        xp.multiply(xp.multiply(out, out, out=out), -0.5, out=out)
        return xp.multiply(xp.exp(out, out=out), 1 / math.sqrt(2 * math.pi), out=out)
