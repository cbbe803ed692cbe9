"""The layers that several operators make up together: the forms in which they are written, here and by others."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinynn.layers import (
    GELU,
    GlobalAveragePool,
    GlobalMaxPool,
    GroupNorm,
    HardSwish,
    Mish,
    Rescale,
    RMSNorm,
    SiLU,
    Softsign,
    Step,
)
from tinynn.onnx.found import Found, Part
from tinynn.onnx.patterns import Either, Form, Held, Match, Number
from tinynn.onnx.readers_images import average, convolution, max_pool, spread, window
from tinynn.onnx.readers_plain import affine

__all__ = ["COMPOSED", "Composed"]


class Composed(NamedTuple):
    """A form, and what makes a layer of it: None where a closer look says that it is something else."""

    layer: str
    form: Form
    make: Callable[[Found, Match], list[Part] | None]

    @property
    def operators(self) -> str:
        """The operators of the form, from the input to the output, as the docs name them."""
        return ", ".join(dict.fromkeys(operators(self.form)))


def operators(form: Form) -> list[str]:
    if isinstance(form, Either):
        return operators(form.forms[0])
    if not isinstance(form, tuple) or isinstance(form, Held | Number):
        return []
    return [name for part in form[1:] for name in operators(part)] + [form[0]]


def plain(kind: Any, *args: Any) -> Callable[[Found, Match], list[Part]]:
    return lambda found, match: [Part(kind(*args))]


def biased(found: Found, match: Match) -> list[Part]:
    return affine(found, match.arrays["W"], match.arrays["b"])


def biased_convolution(found: Found, match: Match) -> list[Part] | None:
    """A bias for each channel stands with as many axes behind the channels as images have."""
    b, dims = match.arrays["b"], len(found.data())
    channels = b.shape[0] if b.ndim == dims else b.shape[1] if b.ndim == dims + 1 else 0
    return convolution(found, b=b) if channels == b.size else None


def rescale(found: Found, match: Match) -> list[Part]:
    return [Part(Rescale(match.arrays["scale"], match.arrays["offset"]))]


def hard_swish(found: Found, match: Match) -> list[Part] | None:
    alpha, beta = found.get("alpha", 0.2), found.get("beta", 0.5)
    return [Part(HardSwish())] if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5 else None


def step(found: Found, match: Match) -> list[Part] | None:
    to = match.steps["Cast"].attributes.get("to")
    found.attributes.clear()
    return [Part(Step())] if to in (found.flow.onnx.TensorProto.FLOAT, found.flow.onnx.TensorProto.DOUBLE) else None


def global_pool(kind: Any) -> Callable[[Found, Match], list[Part] | None]:
    """A global pooling and what takes the two axes of length 1 away."""

    def make(found: Found, match: Match) -> list[Part] | None:
        flat = found.get("axis", 1) == 1
        return [Part(kind())] if flat and len(found.data()) == 3 else None

    return make


def group_norm(found: Found, match: Match) -> list[Part] | None:
    shape, arrays = found.data(), match.arrays
    G, back = arrays["one"].size, [0, *shape]
    if "shape" in arrays:
        back = arrays["shape"].reshape(-1).tolist()
    alone = (arrays["one"] == 1).all() and (arrays["none"] == 0).all()
    grouped = arrays["groups"].reshape(-1).tolist()[1:] == [G, -1]
    if not alone or not shape or not grouped or (back[1:] != [*shape] and back[1:] != [-1, *shape[1:]]):
        return None
    across = (shape[0], *(1,) * (len(shape) - 1))
    gains = {name: arrays[name] for name in ("gamma", "beta")}
    if any(gain.shape != across for gain in gains.values()):
        return None
    epsilon = match.steps["InstanceNormalization"].attributes.get("epsilon", 1e-5)
    return [Part(GroupNorm(G, epsilon), {name: gain.reshape(-1) for name, gain in gains.items()})]


def rms_norm(found: Found, match: Match) -> list[Part] | None:
    shape, g = found.data(), match.arrays["g"]
    axes = found.attributes.pop("axes", None) or match.arrays.get("axes", np.zeros(0)).reshape(-1).tolist()
    over = sorted(axis + (len(shape) + 1) * (axis < 0) for axis in axes)
    keep = found.get("keepdims", 1)
    inner = shape[over[0] - 1 :] if over and 0 < over[0] <= len(shape) else ()
    count = match.arrays.get("share")
    whole = count is None or abs(count * math.prod(inner) - 1) < 1e-6
    if not keep or not inner or over != [*range(over[0], len(shape) + 1)] or g.shape != inner or not whole:
        return None
    return [Part(RMSNorm(-len(inner), match.arrays["eps"]), {"g": g})]


def padded(found: Found, match: Match, value: float) -> list[int] | None:
    """The padding of a Pad before the window's own: above, left, below, right; None for another one."""
    pads, dims = match.arrays["pads"].reshape(-1).tolist(), len(found.data()) + 1
    around = match.arrays.get("value", 0.0)
    mode = match.steps["Pad"].attributes.get("mode", "constant")
    zeros = mode == "constant" and around == value and len(pads) == 2 * dims and match.arrays["pads"].dtype.kind == "i"
    if not zeros or any(pads[i] for i in (0, 1, dims, dims + 1) if i < len(pads)) or min(pads) < 0:
        return None
    return [*pads[2:dims], *pads[dims + 2 :]]


def padded_convolution(found: Found, match: Match) -> list[Part] | None:
    more = padded(found, match, 0.0)
    if more is None or found.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return None
    return convolution(found, more)


def padded_max(found: Found, match: Match) -> list[Part] | None:
    more = padded(found, match, -math.inf)
    if more is None or any(found.attributes.get("pads", [])) or found.attributes.get("ceil_mode"):
        return None
    return max_pool(found, more)


def padded_average(found: Found, match: Match) -> list[Part] | None:
    """Padding that counts, and behind it what the last windows see beyond it, which does not."""
    more, count = padded(found, match, 0.0), found.get("count_include_pad", 0)
    if more is None or len(found.data()) != 3 or found.attributes.get("ceil_mode"):
        return None
    found.ignore("ceil_mode")
    beyond = found.attributes.pop("pads", [0] * 4)
    layer = average(spread(found, found.get("kernel_shape", []), more), any(beyond), True)
    rows, columns = layer.window.fit(layer, found.data())
    return None if count or [0, 0, rows.beyond, columns.beyond] != beyond else [Part(layer)]


def average_of_all(found: Found, match: Match) -> list[Part] | None:
    """Means over whole windows of a padded image, times what makes them means over what counts."""
    more, factor = padded(found, match, 0.0), match.arrays["factor"]
    if more is None or len(found.data()) != 3 or any(found.attributes.get("pads", [])):
        return None
    found.ignore("pads", "count_include_pad")
    size, stride, _, dilation = window(found)
    for count, below, right in candidates(more, stride):
        padding = ((more[0], more[2] - below), (more[1], more[3] - right))
        layer = average((size, stride, padding, dilation), bool(below or right), count)
        rows, columns = layer.window.fit(layer, found.data())
        if (rows.beyond, columns.beyond, *factor.shape) == (below, right, 1, 1, rows.outputs, columns.outputs):
            seen = (np.array(axis.seen(padding=count), float) for axis in (rows, columns))
            share = size[0] * size[1] / np.multiply.outer(*seen)
            if np.allclose(factor[0, 0], share, rtol=1e-6, atol=0):
                return [Part(layer)]
    return None


def candidates(more: list[int], stride: Any) -> list[tuple[bool, int, int]]:
    """Whether the padding counts, and how much of that below and on the right lies beyond it."""
    beyond = [(a, b) for a in range(min(more[2] + 1, stride[0], 64)) for b in range(min(more[3] + 1, stride[1], 64))]
    return [(count, a, b) for count in (False, True) for a, b in beyond]


SQUARE = Either((("Mul", "x", "x"), ("Pow", "x", 2.0)))
MEAN_SQUARE = Either(
    (
        ("Mul", ("ReduceSum", SQUARE, Held("axes")), Number("share")),
        ("ReduceMean", SQUARE, Held("axes")),
        ("ReduceMean", SQUARE),
    )
)
ERF = ("Add", ("Erf", Either((("Div", "x", math.sqrt(2)), ("Mul", "x", math.sqrt(0.5))))), 1.0)
CUBE = Either((("Pow", "x", 3.0), ("Mul", ("Mul", "x", "x"), "x")))
BENT = ("Mul", ("Add", "x", ("Mul", CUBE, 0.044715)), math.sqrt(2 / math.pi))
OWN_BENT = ("Mul", ("Mul", ("Add", ("Mul", ("Mul", "x", "x"), 0.044715), 1.0), "x"), 2 * math.sqrt(2 / math.pi))
PAD = Either((("Pad", "x", Held("pads"), Number("value")), ("Pad", "x", Held("pads"))))


def halved(share: Form) -> Form:
    """x share / 2, in one order or the other."""
    return Either((("Mul", ("Mul", "x", share), 0.5), ("Mul", ("Mul", "x", 0.5), share)))


COMPOSED = (
    Composed("Affine", ("Add", ("MatMul", "x", Held("W")), Held("b")), biased),
    Composed("Conv2D", ("Add", ("Conv", "x", Held("W")), Held("b")), biased_convolution),
    Composed(
        "GroupNorm",
        (
            "Add",
            (
                "Mul",
                (
                    "Reshape",
                    ("InstanceNormalization", ("Reshape", "x", Held("groups")), Held("one"), Held("none")),
                    Either((Held("shape"), ("Shape", "x"))),
                ),
                Held("gamma"),
            ),
            Held("beta"),
        ),
        group_norm,
    ),
    Composed("Rescale", ("Add", ("Mul", "x", Number("scale")), Number("offset")), rescale),
    Composed("RMSNorm", ("Mul", ("Div", "x", ("Sqrt", ("Add", MEAN_SQUARE, Number("eps")))), Held("g")), rms_norm),
    Composed("GELU", halved(ERF), plain(GELU)),
    Composed("GELU(approximate=True)", ("Mul", "x", ("Sigmoid", OWN_BENT)), plain(GELU, True)),
    Composed("GELU(approximate=True)", halved(("Add", ("Tanh", BENT), 1.0)), plain(GELU, True)),
    Composed("SiLU", ("Mul", "x", ("Sigmoid", "x")), plain(SiLU)),
    Composed("Mish", ("Mul", "x", ("Tanh", ("Softplus", "x"))), plain(Mish)),
    Composed("HardSwish", ("Mul", "x", ("HardSigmoid", "x")), hard_swish),
    Composed("AveragePool2D", ("Mul", ("AveragePool", PAD), Held("factor")), average_of_all),
    Composed("Softsign", ("Div", "x", ("Add", ("Abs", "x"), 1.0)), plain(Softsign)),
    Composed("Step", ("Cast", ("Greater", "x", 0.0)), step),
    Composed("GlobalAveragePool", ("Flatten", ("GlobalAveragePool", "x")), global_pool(GlobalAveragePool)),
    Composed("GlobalMaxPool", ("Flatten", ("GlobalMaxPool", "x")), global_pool(GlobalMaxPool)),
    Composed("Conv2D", Either((("Conv", PAD, Held("W"), Held("b")), ("Conv", PAD, Held("W")))), padded_convolution),
    Composed("MaxPool2D", ("MaxPool", PAD), padded_max),
    Composed("AveragePool2D", ("AveragePool", PAD), padded_average),
)
"""The first that fits is taken."""
