"""`tinynn bench`: how long a training step and a prediction take, on each backend of this machine."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from typing import Any

from tinynn.app.command.output import add_json, beside_json, count, in_two_lines, shape, write_json
from tinynn.errors import ConfigurationError, TinynnError

__all__ = ["add"]

BACKENDS = ("numpy", "llvm", "cupy")
LEAST = 0.02  # seconds of one measurement
STEPS = 20


def add(commands: Any) -> None:
    """Adds the parser of this command."""
    parser = commands.add_parser(
        "bench",
        help="how long a training step takes on each backend",
        description="Microseconds of a training step and of predicting a batch; medians of rounds in turns.",
        epilog='Example: tinynn bench --layers "300 relu" --shape 784 --batch 32 --backends numpy llvm\n'
        "Exit code: 0 measured, 2 nothing could be.",
    )
    option = parser.add_argument
    option("model", metavar="MODEL", nargs="?", help="a saved network; without one, that of --layers and --shape")
    option("--layers", metavar="SPEC", help='as tinynn train has them (default "100 relu")')
    option("--shape", help="of one input: 784 (the default), or 1x28x28; the network has 10 outputs")
    option("--batch", type=count, default=128, metavar="N", help="rows a step (default 128)")
    option("--backends", nargs="+", choices=BACKENDS, default=list(BACKENDS), metavar="NAME", help="numpy llvm cupy")
    option("--rounds", type=count, default=7, metavar="N", help="measurements of each (default 7)")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measures and prints; backends that are not there are told of, and left out.

    Errors: TinynnError for a network that cannot be trained, and where no backend is left.
    """
    if options.model is not None and (options.layers is not None or options.shape is not None):
        raise ConfigurationError("a model has its own layers and shape", got=options.model, fix="leave one of both out")
    with beside_json(options):
        found = measured(options)
        names = max(map(len, found))
        print(f"{'backend':<{max(names, 7)}}  {'training step':>15}  {'predict':>15}")
        for name, row in found.items():
            step, predict = (f"{row[key]:,.1f} us" for key in ("step", "predict"))
            print(f"{name:<{max(names, 7)}}  {step:>15}  {predict:>15}")
    write_json(options, {"batch": options.batch, "microseconds": found})
    return 0


def measured(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """The medians in microseconds, by backend. Errors: TinynnError."""
    with contextlib.ExitStack() as stack:
        there: dict[str, Timed] = {}
        for name in dict.fromkeys(options.backends):
            try:
                there[name] = Timed(network(options, name), options.batch, stack)
            except TinynnError as error:
                if [*options.backends] == [name]:
                    raise
                print(in_two_lines(error), file=sys.stderr)
        if not there:
            got = " ".join(options.backends)
            raise ConfigurationError("none of these backends is here", got=got, fix="tinynn doctor")
        one = next(iter(there.values())).net
        print(f"{one.summary()}\nbatch {options.batch}\n")
        rounds = [{name: timed.measure() for name, timed in there.items()} for _ in range(options.rounds + 1)]
        # The first round compiles.
        return {
            name: {key: 1e6 * median([r[name][key] for r in rounds[1:]]) for key in ("step", "predict")}
            for name in there
        }


def median(seconds: list[float]) -> float:
    """The one in the middle; of two the smaller."""
    return sorted(seconds)[(len(seconds) - 1) // 2]


def network(options: argparse.Namespace, backend: str) -> Any:
    """The network to be measured, built on that backend. Errors: TinynnError."""
    if options.model is not None:
        from tinynn.network.loading import load

        return load(options.model, backend=backend)
    from tinynn.app.layer_spec import layers_of
    from tinynn.layers import Affine
    from tinynn.losses import SoftmaxCrossEntropy
    from tinynn.network import Sequential

    layers = layers_of("100 relu" if options.layers is None else options.layers)
    net = Sequential(*layers, Affine(10), SoftmaxCrossEntropy())
    return net.build(shape(options.shape or "784"), backend=backend)


class Timed:
    """A network on a backend, with rows that mean nothing; a training run of it stays open in the stack."""

    def __init__(self, net: Any, batch: int, stack: contextlib.ExitStack) -> None:
        import numpy as np

        from tinynn.optim import SGD
        from tinynn.random import generator
        from tinynn.training.examples import checked
        from tinynn.training.steps import steps_of

        rng, n = generator(0, "bench"), batch * STEPS
        self.net, self.batch = net, batch
        x = [rng.standard_normal((n, *shape)).astype(net.dtype) for shape in net.input_shapes]
        data = checked(net, (*x, *example_targets(net, rng, n)), "bench")
        self.order = np.arange(n)
        self.x = tuple(part[:batch] for part in data[: len(x)])
        # So small a rate that hundreds of epochs on noise change nothing, and cannot diverge.
        self.steps = stack.enter_context(steps_of(net, SGD(1e-9), data, batch, True))

    def measure(self) -> dict[str, float]:
        """Seconds of a step and of a prediction, each the mean over a while."""
        return {"step": self.mean(self.epoch) / STEPS, "predict": self.mean(self.predict)}

    def epoch(self) -> None:
        from tinynn.training.tally import Tally

        tally = Tally(self.net)
        for _ in self.steps(self.order, tally):
            pass
        self.net.ops.wait()

    def predict(self) -> None:
        self.net.predict(*self.x, batch_size=self.batch)
        self.net.ops.wait()

    def mean(self, call: Any) -> float:
        """Seconds of a call."""
        count, started = 0, time.perf_counter()
        while (passed := time.perf_counter() - started) < LEAST or not count:
            call()
            count += 1
        return passed / count


def example_targets(net: Any, rng: Any, n: int) -> list[Any]:
    """Targets such as the loss takes: labels for a loss of classes, else numbers. Errors: ConfigurationError."""
    from tinynn.losses import QuadraticCost, SoftmaxCrossEntropy

    loss = net.final_loss
    if loss is None or len(net.target_names) - net.optional_targets != 1:
        what = "only a network that ends in one loss can be trained here"
        raise ConfigurationError(what, where=repr(net), fix="add the loss, and save it again")
    scores = loss._built().shapes[0]
    if isinstance(loss, SoftmaxCrossEntropy | QuadraticCost) and len(scores) == 1:
        return [rng.integers(0, scores[0], n)]
    return [rng.random((n, *scores)).astype(net.dtype)]
