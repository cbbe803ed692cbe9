"""A network learns to read handwritten digits.

60,000 images of 28 x 28 gray values, each with the digit that it shows, teach it; 10,000 others, which it never learns
from, show how well it reads:

    image, 784 gray values -> Rescale -> Affine -> 300 numbers -> ReLU -> Affine -> 10 scores -> softmax cross-entropy

The heart of it is in two functions, `build` and `learn`. Two books teach the same with settings of their own:

--book nielsen   M. Nielsen, "Neural Networks and Deep Learning", chapter 1: 30 sigmoids, squared errors, first weights
                 from N(0, 1). Best epoch: 95.1 % in the median of 20 seeds, but 86 % for 2 of them (--seed 16), where
                 an output dies and its digit is hardly ever read. With --hidden 100 most seeds stick like this: 13 of
                 18, between 68 and 88 %; the others reach 96.4 to 96.7 % (--seed 1). --weights lecun, N(0, 1/n), is
                 the cure: 96.0 % with 30, 97.9 % with 100. With --eta 20 the steps are too large: 85 %.
--book rashid    T. Rashid, "Make Your Own Neural Network": 100 sigmoids, inputs from 0.01 to 1, targets 0.01 and 0.99.
                 97.6 %. The book takes one image a step with eta 0.1; ten a step with eta 1 go nearly the same way,
                 faster. The book has no biases; here they start at 0.

All figures, seed by seed: benchmarks/MNIST.md

Several processes, on one machine or many, learn the same together (pip install mpich, or your cluster's MPI):

    mpiexec -n 4 python -m mpi4py examples/mnist.py --distributed
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

# Read by NumPy when it is loaded. In matrix products as small as these, several threads mostly wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from tinynn import (
    SGD,
    Affine,
    History,
    MissingExtraError,
    QuadraticCost,
    ReLU,
    Rescale,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    TinynnError,
    datasets,
    distributed,
    fit,
    init,
    pictures,
)

if TYPE_CHECKING:
    from tinynn.distributed import Ranks


@dataclass(frozen=True)
class Settings:
    """What decides how the network is made and learns; `eta` is the learning rate, `rows` how many images it sees."""

    hidden: int
    weights: str
    epochs: int
    batch: int
    eta: float
    l2: float = 0.0
    rows: int = 60_000
    calm: int = 0  # so many of the epochs, the last ones, have a tenth of the learning rate


SETTINGS = {
    "default": Settings(hidden=300, weights="he", epochs=10, batch=32, eta=0.3, l2=1e-4, calm=2),
    "nielsen": Settings(hidden=30, weights="standard_normal", epochs=30, batch=10, eta=3.0, rows=50_000),
    "rashid": Settings(hidden=100, weights="lecun", epochs=10, batch=10, eta=1.0),
}


def build(book: str, s: Settings, shape: tuple[int, ...], backend: str, seed: int) -> Sequential:
    """The network of the lesson, or that of one of the books."""
    W = getattr(init, s.weights)
    if book == "nielsen":  # chapter 1: sigmoids, squared errors, weights and biases from N(0, 1)
        b = init.standard_normal
        layers = [Rescale(1 / 255), Affine(s.hidden, W, b), Sigmoid(), Affine(10, W, b), Sigmoid(), QuadraticCost()]
    elif book == "rashid":  # inputs from 0.01 to 1 and targets 0.01 or 0.99, so that nothing is 0 or out of reach
        loss = QuadraticCost(off=0.01, on=0.99)
        layers = [Rescale(0.99 / 255, 0.01), Affine(s.hidden, W), Sigmoid(), Affine(10, W), Sigmoid(), loss]
    else:
        layers = [Rescale(1 / 255), Affine(s.hidden, W), ReLU(), Affine(10, W), SoftmaxCrossEntropy()]
    return Sequential(*layers).build(shape, backend=backend, seed=seed)


def learn(
    net: Sequential, s: Settings, train: datasets.Split, test: datasets.Split, seed: int, ranks: Ranks | None = None
) -> History:
    """Large steps to come near, then small ones: a large step cannot settle. The test images are only looked at."""
    data = train.images[: s.rows], train.labels[: s.rows]
    history = History()
    for epochs, eta in ((s.epochs - s.calm, s.eta), (s.calm, s.eta / 10)):
        if epochs and history.stopped != "interrupted":
            if ranks is None or ranks.first:
                print(f"learning rate {eta:g}", file=sys.stderr)
            options = {"epochs": epochs, "batch_size": s.batch, "validation": test, "seed": seed, "comm": ranks}
            more = fit(net, SGD(eta, l2=s.l2), data, **options)
            for name in ("loss", "accuracy", "validation_loss", "validation_accuracy", "seconds"):
                getattr(history, name).extend(getattr(more, name))
            history.stopped = more.stopped
    return history


def per_digit(y: np.ndarray, labels: np.ndarray) -> dict[str, list[float]]:
    """For each digit, over its own test images: the share that is read right, and the mean of its output and slope.

    The slope is y (1 - y): with sigmoids, the gradients of all weights that lead to an output are multiples of it.
    """
    found: dict[str, list[float]] = {"digit": [], "read_right": [], "output": [], "slope": []}
    for d in np.unique(labels).tolist():
        rows = y[labels == d].astype(float)
        own = rows[:, d]
        measured = d, (rows.argmax(axis=1) == d).mean(), own.mean(), (own * (1 - own)).mean()
        for column, value in zip(found.values(), measured, strict=True):
            column.append(float(value))
    return found


def show(book: str, history: History, digits: dict[str, list[float]]) -> None:
    """Prints how well it reads: in all, and digit by digit."""
    right = history.validation_accuracy
    best = int(np.argmax(right))
    print(f"\ntest accuracy {right[-1]:.2%} after {len(history)} epochs, {sum(history.seconds):.1f} s of learning")
    print(f"(highest after epoch {best + 1}: {right[best]:.2%}; but to pick it is to learn from the test images)\n")
    print("digit      " + "".join(f"{d:>8g}" for d in digits["digit"]))
    print("read right " + "".join(f"{share:>8.1%}" for share in digits["read_right"]))
    if book == "default":
        return
    print("its output " + "".join(f"{value:>8.1g}" for value in digits["output"]))
    print("slope y-y^2" + "".join(f"{value:>8.1g}" for value in digits["slope"]))
    dead = [f"{d:g}" for d, share in zip(digits["digit"], digits["read_right"], strict=True) if share < 0.05]
    if dead:
        print(f"\nIt hardly ever reads {' or '.join(dead)}. That output is near 0 even for images of its own digit.")
        print("There the sigmoid is flat: its slope y - y^2 is near 0, the gradients of its weights with it, and it")
        print("cannot learn its way back. Another seed may escape; smaller first weights do: --weights lecun.")


def run(args: argparse.Namespace) -> None:
    """Reads the images, builds, learns, shows, saves."""
    started = time.perf_counter()
    ranks = distributed.Ranks() if args.distributed else None
    if ranks is not None and args.backend == "cupy":
        distributed.use_gpu(ranks)
    train, test = datasets.load(args.data) if args.data else datasets.mnist()
    s = SETTINGS[args.book]
    s = replace(s, **{name: value for name in asdict(s) if (value := getattr(args, name, None)) is not None})
    s = replace(s, rows=min(s.rows, args.limit or s.rows, len(train.images)), calm=min(s.calm, s.epochs // 2))
    net = build(args.book, s, train.images.shape[1:], args.backend, args.seed)
    if ranks is None or ranks.first:
        print(f"{s.rows:,} images to learn from, {len(test.images):,} to test with\n\n{net.summary()}\n", flush=True)

    history = learn(net, s, train, test, args.seed, ranks)
    if ranks is not None and not ranks.first:
        return  # all of them have the same network: one shows it
    if not len(history):
        sys.exit("stopped before the first epoch was over: nothing to show")
    y = net.ops.to_host(net.predict(test.images))
    digits = per_digit(y, test.labels)
    show(args.book, history, digits)
    read = y.argmax(axis=1)
    wrong = np.flatnonzero(read != test.labels)
    named = [f"{i} ({test.labels[i]} read as {read[i]})" for i in wrong[:4]]
    first = f", the first are number {', '.join(named)}" if named else ""
    print(f"\n{len(wrong):,} test images are misread{first}\n")

    net.save(args.out / "model.npz")
    print(f"{args.out / 'model.npz'}: the network")
    try:
        title = f"{args.book}, {s.hidden} hidden: test accuracy {history.validation_accuracy[-1]:.2%}"
        print(pictures.learning_curve(history, args.out / "learning_curve.png", title=title, validation="test"))
        print(pictures.misclassified(net, test.images, test.labels, args.out / "misclassified.png"))
        print(pictures.confusion(test.labels, read, args.out / "confusion.png"))
        print(pictures.weights(net, args.out / "weights.png", count=60))
    except MissingExtraError as error:  # nothing else here needs matplotlib
        print(f"No pictures: {error}")
    if args.json:
        best = int(np.argmax(history.validation_accuracy))
        measured = {
            "book": args.book,
            "backend": args.backend,
            "seed": args.seed,
            "settings": asdict(s),
            "test_accuracy": history.validation_accuracy[-1],
            "best_epoch": best + 1,
            "best_accuracy": history.validation_accuracy[best],
            "misread": len(wrong),
            "digits": digits,
            "history": history.as_dict(),
            "seconds": time.perf_counter() - started,
        }
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(measured, indent=2) + "\n")


def count(text: str) -> int:
    """A number of things, for argparse."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number


def main(argv: Sequence[str] | None = None) -> None:
    """Takes the options from the command line; what is wrong with them or with the data becomes one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--book", choices=SETTINGS, default="default", help="whose network and settings")
    add("--data", type=Path, metavar="DIR", help="a folder of IDX files, or of train/ and test/ with text digits")
    add("--out", type=Path, default=Path("out", "mnist"), metavar="DIR", help="folder of the model and the pictures")
    add("--json", type=Path, metavar="FILE", help="write what was measured")
    add("--backend", choices=("numpy", "llvm", "cupy"), default="numpy", help="llvm: compiled; cupy: on a GPU")
    add("--seed", type=int, default=0, help="first weights and order of the images follow from it (default 0)")
    add("--limit", type=count, metavar="N", help="learn from the first N images only")
    add("--hidden", type=count, help="hidden units")
    add("--weights", choices=("he", "lecun", "glorot", "standard_normal"), help="what the first weights are drawn from")
    add("--epochs", type=count, help="how often it sees every image")
    add("--batch", type=count, help="images a step")
    add("--eta", type=float, help="learning rate")
    add("--l2", type=float, help="weight decay")
    add("--distributed", action="store_true", help="this is one of the processes that mpiexec started")
    try:
        run(parser.parse_args(argv))
    except TinynnError as error:
        sys.exit("error: " + "; ".join(" ".join(line.split()) for line in str(error).splitlines()))


if __name__ == "__main__":
    main()
