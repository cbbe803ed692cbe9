"""Activations against PyTorch's numbers, and against 60-digit decimal arithmetic over all that the floats hold."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from exact import ULPS, exact, sixty_digits, ulps

import tinynn
from tinynn import ConfigurationError, Layer, LogSoftmax, PReLU, Sequential, Softmax
from tinynn.backend import NumpyOps

pytestmark = pytest.mark.usefixtures(sixty_digits.__name__)

X = np.array([-12.5, -3.1, -1.0, -0.3, 0.2, 1.7, 3.5, 8.0])
DY = np.array([1.0, -2.0, 0.5, 1.0, -1.0, 2.0, 1.0, 0.25])

# By PyTorch 2.13 in float64: y for x = X, and dx for dy = DY.
PYTORCH = {
    "LeakyReLU(slope=0.2)": (
        [-2.5, -0.6200000000000001, -0.2, -0.06, 0.2, 1.7, 3.5, 8.0],
        [0.2, -0.4, 0.1, 0.2, -1.0, 2.0, 1.0, 0.25],
    ),
    "ELU(alpha=1.5)": (
        [-1.4999944100202418, -1.4324261964096632, -0.9481808382428365, -0.3887726689774232, 0.2, 1.7, 3.5, 8.0],
        [5.589979758118006e-06, -0.1351476071806734, 0.27590958087858175, 1.1112273310225769, -1.0, 2.0, 1.0, 0.25],
    ),
    "SELU()": (
        [
            -1.7580927890208913,
            -1.6788983678135625,
            -1.1113307378125625,
            -0.45566731537912203,
            0.2101401974710961,
            1.7861916785043168,
            3.677453455744182,
            8.405607898843844,
        ],
        [
            6.551826485398297e-06,
            -0.15840194606762806,
            0.323384301517407,
            1.3024320254682547,
            -1.0507009873554805,
            2.101401974710961,
            1.0507009873554805,
            0.2626752468388701,
        ],
    ),
    "GELU()": (
        [
            -0.0,
            -0.00299956996097695,
            -0.15865525393145702,
            -0.1146265733433142,
            0.11585194188782061,
            1.6242387133104768,
            3.4991857982233756,
            7.999999999999995,
        ],
        [
            -5.868994197468933e-34,
            0.018319071722002752,
            -0.04165773529384317,
            0.26767223317289013,
            -0.6574682482341941,
            2.2306359375643297,
            1.0028217603536247,
            0.25000000000000994,
        ],
    ),
    "GELU(approximate=True)": (
        [
            -0.0,
            -0.0026266102305497474,
            -0.15880800939172324,
            -0.11462907645724074,
            0.11585142978210627,
            1.624105895551156,
            3.499383802344626,
            8.0,
        ],
        [
            0.0,
            0.017478792102532083,
            -0.04148204192289126,
            0.26770454836119817,
            -0.6574581491956996,
            2.23182926290521,
            1.0024226437601167,
            0.25,
        ],
    ),
    "SiLU()": (
        [
            -4.658299105233201e-05,
            -0.13363249031736696,
            -0.2689414213699951,
            -0.1276672449565023,
            0.1099667994624956,
            1.437409049357991,
            3.3974071923702525,
            7.997317198956269,
        ],
        [
            -4.285617817014102e-05,
            0.16952941109551575,
            0.036164744064256626,
            0.3522199896811173,
            -0.59933731185485,
            2.135129009518038,
            1.0702733528277182,
            0.2505866378088961,
        ],
    ),
    "Softplus()": (
        [
            3.7266462281239904e-06,
            0.04406396793857385,
            0.31326168751822286,
            0.5543552444685271,
            0.7981388693815918,
            1.867786029386266,
            3.5297504182726205,
            8.000335406372896,
        ],
        [
            3.7266392841865614e-06,
            -0.08621450988217223,
            0.13447071068499755,
            0.425557483188341,
            -0.549833997312478,
            1.6910694698329305,
            0.9706877692486436,
            0.24991616246738338,
        ],
    ),
    "Mish()": (
        [
            -4.6583077851334236e-05,
            -0.1365099612829229,
            -0.30340146137410895,
            -0.15113317713833455,
            0.13259900186215923,
            1.6207680739755408,
            3.4939907151175196,
            7.999998200644843,
        ],
        [
            -4.285634482357833e-05,
            0.1786757782700572,
            0.029608377938697507,
            0.40851087693570215,
            -0.7246245404198407,
            2.1685146318901247,
            1.0099393249951327,
            0.25000084314592186,
        ],
    ),
    "Softsign()": (
        [
            -0.9259259259259259,
            -0.7560975609756099,
            -0.5,
            -0.23076923076923075,
            0.16666666666666669,
            0.6296296296296295,
            0.7777777777777778,
            0.8888888888888888,
        ],
        [
            0.005486968449931406,
            -0.11897679952409274,
            0.125,
            0.5917159763313609,
            -0.6944444444444444,
            0.2743484224965707,
            0.04938271604938271,
            0.0030864197530864196,
        ],
    ),
    "HardSigmoid(alpha=1 / 6)": (
        [0.0, 0.0, 0.3333333333333333, 0.45, 0.5333333333333333, 0.7833333333333333, 1.0, 1.0],
        [0.0, 0.0, 0.0833333358168602, 0.1666666716337204, -0.1666666716337204, 0.3333333432674408, 0.0, 0.0],
    ),
    "HardSwish()": (
        [-0.0, -0.0, -0.3333333333333333, -0.135, 0.10666666666666669, 1.3316666666666668, 3.5, 8.0],
        [0.0, 0.0, 0.08333333333333334, 0.4, -0.5666666666666667, 2.1333333333333333, 1.0, 0.25],
    ),
    "LogSoftmax()": (
        [
            -20.513648510386773,
            -11.113648510386772,
            -9.013648510386773,
            -8.313648510386773,
            -7.813648510386773,
            -6.313648510386773,
            -4.513648510386774,
            -0.013648510386773373,
        ],
        [
            0.9999999966086833,
            -2.0000409955268386,
            0.49966522356218035,
            0.9993258430419434,
            -1.0011114969165384,
            1.995018616417435,
            0.9698643854404677,
            -2.462721572627333,
        ],
    ),
}


def make(call: str) -> Layer:
    """`ELU(alpha=1.5)` as a layer."""
    name, _, arguments = call.rstrip(")").partition("(")
    settings = dict(part.split("=") for part in arguments.split(", ") if part)
    values = {key: SETTINGS.get(value) or float(value) for key, value in settings.items()}
    return getattr(tinynn, name)(**values)


SETTINGS: dict[str, Any] = {"True": True, "1 / 6": 1 / 6}


@pytest.mark.parametrize("call", PYTORCH)
def test_pytorch_has_the_same_numbers(call: str) -> None:
    y_right, dx_right = PYTORCH[call]
    net = Sequential(make(call)).build((8,), dtype="float64", needs_dx=True)
    y, cache = net.forward(X[None])
    np.testing.assert_allclose(y[0], y_right, rtol=1e-12, atol=1e-16)
    rtol = 1e-7 if call.startswith("HardSigmoid") else 1e-12  # there PyTorch's slope is 1/6 in single precision
    np.testing.assert_allclose(net.backward(DY[None], cache)[0], dx_right, rtol=rtol, atol=1e-15)


# --- over all that the floats hold


def phi_below(x: Decimal) -> Decimal:
    """Phi(x), in the tail by Laplace's continued fraction, near 0 by the series."""
    a = abs(x)
    density = (-a * a / 2).exp() / (2 * PI).sqrt()
    if a > 4:
        fraction = Decimal(0)
        for k in range(400, 0, -1):
            fraction = k / (a + fraction)
        tail = density / (a + fraction)
    else:
        term, total, k = a, a, 1
        while term > Decimal("1e-70"):
            k += 2
            term *= a * a / k
            total += term
        tail = Decimal("0.5") - density * total
    return tail if x < 0 else 1 - tail


PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


def log1p(rest: Decimal) -> Decimal:
    return rest - rest**2 / 2 + rest**3 / 3 if rest < Decimal("1e-25") else (1 + rest).ln()


def softplus(x: Decimal) -> Decimal:
    return max(x, Decimal(0)) + log1p((-abs(x)).exp())


def tanh(x: Decimal) -> Decimal:
    e = (-2 * x).exp()
    return x - x**3 / 3 if abs(x) < Decimal("1e-20") else (1 - e) / (1 + e)


def expm1(x: Decimal) -> Decimal:
    return x + x**2 / 2 + x**3 / 6 if abs(x) < Decimal("1e-25") else x.exp() - 1


SLOPE, SCALE, ALPHA = (Decimal(setting) for setting in (0.01, 1.0507009873554805, 1.6732632423543772))
REFERENCES: dict[str, Callable[[Decimal], Decimal]] = {
    "LeakyReLU()": lambda x: x if x > 0 else SLOPE * x,
    "ELU()": lambda x: x if x > 0 else expm1(x),
    "SELU()": lambda x: SCALE * (x if x > 0 else ALPHA * expm1(x)),
    "GELU()": lambda x: x * phi_below(x),
    "SiLU()": lambda x: x / (1 + (-x).exp()) if x > -(10**6) else Decimal(0),
    "Softplus()": softplus,
    "Mish()": lambda x: x * tanh(softplus(x)),
    "Softsign()": lambda x: x / (1 + abs(x)),
}
EDGES = [0.0, -0.0, 1e-38, -1e-38, 1e-20, -1e-20, 1e20, -1e20, 1e38, -1e38, 87.0, -87.0, 104.0, -104.0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("call", REFERENCES)
def test_right_to_a_few_ulps_everywhere(call: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    far = 1e38 if dtype == "float32" else 1e300
    points = [np.linspace(-40, 12, 1500), rng.uniform(-3, 3, 500), np.geomspace(1e-30, far, 60), EDGES]
    x = np.concatenate([*points, -points[2]]).astype(dtype)
    # Where a factor of the result is so small that floats thin out, its last place counts for more than one.
    sparse = -37.4 if call == "GELU()" else -700
    low = max(sparse, {"GELU()": -12.9}.get(call, -87)) if dtype == "float32" else sparse
    x = x[(x > low) | (x < 20 * low)][None]
    net = Sequential(make(call)).build((x.size,), dtype=dtype)
    y = net.forward(x)[0]
    assert y.dtype == dtype
    with decimal.localcontext() as context:
        context.prec = 60
        right = [REFERENCES[call](value) for value in exact(x)]
    assert ulps(y, right) <= ULPS, call


@pytest.mark.parametrize("call", [*PYTORCH, "PReLU()"])
def test_gradients_stay_finite_to_the_ends_of_the_floats(call: str) -> None:
    for dtype, far in (("float32", 1e38), ("float64", 1e307)):
        x = np.array([[far, -far, 1e30, -1e30, 0.0, -0.0, 100, -100, 750, -750]], dtype)
        net = Sequential(make(call)).build((10,), dtype=dtype, needs_dx=True)
        y, cache = net.forward(x)
        assert np.isfinite(y).all()
        assert np.isfinite(net.backward(np.ones_like(x), cache)).all()


def test_the_normal_distribution_in_both_tails() -> None:
    ops = NumpyOps()
    for dtype, low in (("float32", -14), ("float64", -38.4)):
        x = np.linspace(low, 9, 3001, dtype=dtype)
        assert ulps(ops.normal_cdf(x, out=np.empty_like(x)), [phi_below(value) for value in exact(x)]) <= ULPS
        assert ops.normal_cdf(np.array([-1e38, 1e38], dtype), out=np.empty(2, dtype)).tolist() == [0, 1]
        density = ops.normal_pdf(x, out=np.empty_like(x))
        right = [(-value * value / 2).exp() / (2 * PI).sqrt() for value in exact(x)]
        worst = max(abs(a - b) for a, b in zip(exact(density), right, strict=True))
        assert float(worst) <= 4 * float(np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_softmax_is_right_for_scores_far_apart(dtype: str) -> None:
    far = 1e38 if dtype == "float32" else 1e300
    rows = [[0, 0, 0], [far, far, -far], [0, -16, -80], [0, -69.1, -69.2], [88.7, 0.3, -14.9], [69.07755, 0, -5]]
    x = np.array(rows, dtype)
    y = Sequential(LogSoftmax()).build((3,), dtype=dtype).forward(x)[0]
    right = []
    for row in x:
        values = exact(row)
        top = values.index(max(values))
        rest = sum(((value - values[top]).exp() for j, value in enumerate(values) if j != top), Decimal(0))
        right += [value - values[top] - log1p(rest) for value in values]
    # In float64 x - max is rounded, by half an ulp of a number up to 103, and exp makes that a relative error.
    assert ulps(y, right) <= (ULPS if dtype == "float32" else 64)


def test_softmax_and_log_softmax_of_rows_of_rows() -> None:
    x = np.random.default_rng(0).standard_normal((4, 3, 2, 5))
    for layer in (Softmax(), LogSoftmax()):
        whole = Sequential(layer).build((3, 2, 5), dtype="float64").predict(x)
        flat = Sequential(type(layer)()).build((5,), dtype="float64").predict(x.reshape(-1, 5))
        np.testing.assert_array_equal(whole.reshape(-1, 5), flat)


def test_prelu_has_a_slope_for_each_channel() -> None:
    net = Sequential(PReLU()).build((2, 3, 1), dtype="float64", needs_dx=True)
    a = net.storage.parameters["0.a"]
    np.testing.assert_array_equal(a, [0.25, 0.25])
    assert net.storage.decayed == 0
    a[...] = [0.5, 2.0]
    x = np.array([-1.0, 2, -3, -4, 5, -6]).reshape(1, 2, 3, 1)
    y, cache = net.forward(x)
    np.testing.assert_array_equal(y.ravel(), [-0.5, 2, -1.5, -8, 5, -12])
    dx = net.backward(np.ones_like(x), cache)
    np.testing.assert_array_equal(dx.ravel(), [0.5, 1, 0.5, 2, 1, 2])
    np.testing.assert_array_equal(net.storage.gradients["0.a"], [-4, -10])


WRONG: dict[str, Callable[[], Any]] = {
    "a slope of 1": lambda: tinynn.LeakyReLU(1.0),
    "a slope below 0": lambda: tinynn.LeakyReLU(-0.1),
    "alpha 0": lambda: tinynn.ELU(0),
    "alpha of SELU": lambda: tinynn.SELU(alpha=-1),
    "alpha of HardSigmoid": lambda: tinynn.HardSigmoid(alpha=0),
    "approximate neither": lambda: tinynn.GELU("tanh"),  # pyright: ignore[reportArgumentType]
    "PReLU of a number": lambda: Sequential(PReLU()).build(()),
    "LogSoftmax of a number": lambda: Sequential(tinynn.Reshape(()), LogSoftmax()).build((1,)),
}


@pytest.mark.parametrize("case", WRONG)
def test_it_is_refused(case: str) -> None:
    with pytest.raises((ConfigurationError, tinynn.ShapeError)) as caught:
        WRONG[case]()
    assert caught.value.where and caught.value.fix
