"""Checks of what a layer carries: builds, files, copies, pickles; and of its place in a graph."""

from __future__ import annotations

import copy
import pickle
import tempfile
from pathlib import Path

from tinynn.gradcheck import SAME
from tinynn.layer import Layer
from tinynn.layers import Add, Residual
from tinynn.losses import Loss
from tinynn.network import Graph, Network
from tinynn.specimen import Specimen
from tinynn.testing.report import ComplianceError, NotApplicable
from tinynn.testing.subject import Subject, agree, constructed

__all__ = ["CHECKS"]


def same_seed(s: Subject) -> None:
    """two layers made and built alike agree to the bit: parameters, output, gradients"""
    first, second = (s.network(constructed(s.layer), shaken=False) for _ in range(2))
    fix = "draw initial values from the rng that init is given, and no others"
    compare_arrays(first, second, "two builds with one seed differ", fix)
    y0, y1 = (s.train(net, s.rows(3)) for net in (first, second))
    agree(first.where, "two builds with one seed give different outputs", y1, y0, fix)
    what = "two builds with one seed give different gradients"
    expected, got = (s.ops.to_host(net.storage.grads) for net in (first, second))
    agree(first.where, what, got, expected, fix)


def compare_arrays(right: Network, got: Network, what: str, fix: str) -> None:
    """Fails where parameters or states differ in name, or in a bit."""
    expected, arrays = right.storage.arrays(), got.storage.arrays()
    if list(arrays) != list(expected):
        raise ComplianceError(
            f"{what}: the names of its arrays",
            where=right.where,
            expected=", ".join(expected) or "none",
            got=", ".join(arrays) or "none",
            fix="name parameters by what they are: the network adds the layer's place",
        )
    for name, array in expected.items():
        agree(f"{right.where}, {name}", what, arrays[name], array, fix)


def built_again(s: Subject) -> None:
    """build again, for other shapes and back, starts anew"""
    fix = "set in build, anew, whatever depends on the shape"
    net = s.network()
    s.train(net, s.rows(5))
    try:
        shapes = s.larger()
    except NotApplicable:
        shapes = s.shapes  # it is built for the same ones again
    for shape, rows in ((shapes, s.others(3, shapes)), (s.shapes, s.rows(3))):
        fresh = s.network(shapes=shape, shaken=False)
        s.build(net, shape)
        compare_arrays(fresh, net, "built again, it starts from other values", fix)
        expected, got = s.train(fresh, rows), s.train(net, rows)
        agree(net.where, "built again, it gives another output", got, expected, fix)
        agree(net.where, "built again, predict gives another output", s.infer(net, rows), s.infer(fresh, rows), fix)


def save_and_load(s: Subject) -> None:
    """a file brings all that was learned into a network made anew"""
    net, xs = s.network(), s.rows(5)
    for n in (5, 3):
        s.train(net, s.rows(n))
    expected = s.infer(net, xs)
    what, fix = "a model that was saved and loaded predicts otherwise", "declare what is learned by self.param or state"
    compare_names(net, s.network(constructed(s.layer), shaken=False))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        net.save(path)
        other = s.network(shaken=False).load(path)
    agree(net.where, what, s.infer(other, xs), expected, fix)


def compare_names(right: Network, got: Network) -> None:
    """Fails where a layer made by the same call calls its arrays otherwise."""
    if list(right.storage.arrays()) != list(got.storage.arrays()):
        compare_arrays(right, got, "a file cannot be loaded into a network made anew", "")


def copies(s: Subject) -> None:
    """copy.deepcopy, of the layer and of the network, keeps settings and values"""
    made, xs = constructed(s.layer), s.rows(3)
    fix = "keep settings as attributes set in __init__; let Layer make its own copies"
    twin = s.network(copy.deepcopy(made))
    net = s.network(made)
    agree(net.where, "a copy of the layer gives another output", s.train(twin, xs), s.train(net, xs), fix)
    what = "a copy of the network predicts otherwise"
    agree(net.where, what, s.infer(copy.deepcopy(net), xs), s.infer(net, xs), fix)


def pickles(s: Subject) -> None:
    """pickle keeps settings and values"""
    net, xs = s.network(constructed(s.layer)), s.rows(3)
    s.train(net, xs)
    for _, inner in net.walk():
        for part in (type(inner), *(inner._arguments if not isinstance(inner, Network) else ())):
            try:
                pickle.dumps(part)
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                raise NotApplicable(f"pickle cannot find what the layer is made of: {error}") from error
    twin = pickle.loads(pickle.dumps(net))
    fix = "keep settings as attributes set in __init__; no locks, files or lambdas in self"
    agree(net.where, "a pickled network predicts otherwise", s.infer(twin, xs), s.infer(net, xs), fix)


def fan_out(s: Subject) -> None:
    """in a graph that reads input and output twice, gradients are summed"""
    if isinstance(s.layer, Loss) or s.specimen().ends_in_loss or len(s.shapes) > 1:
        raise NotApplicable("for layers of one input, and no losses")
    specimen = s.specimen()
    if (specimen.layer._built().output,) == s.shapes and s.pool[0].dtype.kind == "f":
        graph = Graph(h=(s.part(), "x"), y=(Add(), "h", "x", "h"))
        direct = 1.0
    else:
        graph, direct = Graph(h=(s.part(), "x"), y=(Add(), "h", "h")), 0.0
    compare_sum(s, specimen, graph, 2.0, direct)


def residual(s: Subject) -> None:
    """Residual(layer) adds the input, and dy to dx"""
    specimen = s.specimen()
    if s.shapes != (specimen.layer._built().output,):
        raise NotApplicable("for layers of one input whose output has its shape")
    if s.pool[0].dtype.kind != "f":
        raise NotApplicable("integers are not added to")
    compare_sum(s, specimen, Residual(s.part()), 1.0, 1.0)


def compare_sum(s: Subject, specimen: Specimen, sum_of: Layer, times: float, direct: float) -> None:
    """Fails where the container is not `times` the layer and `direct` times its input, in output and gradients."""
    whole, xs = Specimen(sum_of, s.shapes, s.ops, "float64", s.seed), s.rows(3)
    for view, right in zip(whole.storage.parameters.values(), specimen.storage.parameters.values(), strict=True):
        view[...] = right
    whole.storage.state[...] = specimen.storage.state
    whole.state = specimen.state
    dy = s.dy(specimen, 3)
    y, expected = specimen.run(xs, times * dy)
    got = whole.run(xs, dy)
    what, fix = f"within {sum_of!r} another result", "return arrays that the next layer may keep; write to no argument"
    agree(whole.layer.where, f"{what}: y", got.y, times * y + (direct * xs[0] if direct else 0.0), fix, SAME)
    for (name, right), gradient in zip(expected.items(), got.gradients.values(), strict=True):
        own = dy if direct and name == "dx" else 0.0
        agree(whole.layer.where, f"{what}: {name}", gradient, right + own, fix, SAME)


CHECKS = (same_seed, built_again, save_and_load, copies, pickles, fan_out, residual)
