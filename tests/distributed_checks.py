"""What ranks do when something is not as it should be: `mpiexec -n 2 python tests/distributed_checks.py FOLDER`.

Each check is a function that every rank calls; rank 0 prints a line of JSON for each, with what came of it on all of
them. All of them run one after the other, since what all ranks raise leaves them as they were.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

from tinynn import (
    SGD,
    Adam,
    Affine,
    BatchNorm,
    Concat,
    Dropout,
    Graph,
    History,
    Layer,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    fit,
    load,
)
from tinynn.distributed import Ranks, ranks
from tinynn.init import zeros
from tinynn.testing import FakeDevice
from tinynn.training import replicas

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((41, 6)), RNG.integers(0, 3, 41)
MISMATCHES: dict[str, Callable[[], dict[str, Any]]] = {
    "dtype": lambda: {"dtype": "float32"},
    "backend": lambda: {"backend": FakeDevice()},
    "seed of the network": lambda: {"net_seed": 1},
    "layers": lambda: {"layers": (Affine(5), Tanh(), Affine(3), SoftmaxCrossEntropy())},
    "shapes": lambda: {"layers": (Affine(4), ReLU(), Affine(3), SoftmaxCrossEntropy())},
    "seed": lambda: {"seed": 1},
    "batch_size": lambda: {"batch_size": 13},
    "epochs": lambda: {"epochs": 2},
    "optimizer": lambda: {"optimizer": SGD(0.1, momentum=0.5)},
    "optimizer's kind": lambda: {"optimizer": Adam(0.1)},
    "finite": lambda: {"finite": "step"},
    "order": lambda: {"order": lambda epoch: range(41)},
    "one element": lambda: {"train": (np.where(np.arange(41)[:, None] == 40, X + 1e-9, X), T)},
    "dtype of the data": lambda: {"train": (X, T.astype(np.int16))},
    "rows": lambda: {"train": (X[:40], T[:40])},
    "weights": lambda: {"train": (X, T, np.ones(41))},
    "validation": lambda: {"validation": (X, T)},
    "source": lambda: {"train": Rows()},
}
"""By name: what one rank alone is given."""


CHECKS: dict[str, Callable[..., Any]] = {}


def check(work: Callable[..., Any]) -> Callable[..., Any]:
    """One of the checks."""
    CHECKS[work.__name__] = work
    return work


class Wide(Layer):
    """y = x, with an array whose size is an argument that is not printed."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __repr__(self) -> str:
        return "Wide()"

    def build(self, shape: Any) -> Any:
        self.param("W", (self.size,), zeros)
        return shape

    def forward(self, x: Any) -> tuple[Any, None]:
        return x, None

    def backward(self, dy: Any, cache: None) -> Any:
        self.dW[...] = 0
        return dy


class Rows:
    """A source."""

    def __init__(self, length: int = 41) -> None:
        self.length, self.asked = length, 0

    def __len__(self) -> int:
        return self.length

    def take(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.asked += len(rows)
        return X[rows % 41], T[rows % 41]


def network(*layers: Layer, backend: Any = "numpy", dtype: str = "float64", seed: Any = 0) -> Sequential:
    layers = layers or (Affine(5), ReLU(), Affine(3), SoftmaxCrossEntropy())
    return Sequential(*layers).build((6,), backend=backend, dtype=dtype, seed=seed)


def trained(net: Any, comm: Any, train: Any = (X, T), optimizer: Any = None, **options: Any) -> History:
    settings = {"epochs": 1, "batch_size": 12, "progress": False, **options}
    return fit(net, optimizer or SGD(0.1), train, comm=comm, **settings)


def raised(work: Callable[[], Any]) -> Any:
    """What it returns, or the error in words."""
    try:
        return work()
    except Exception as error:
        return {"error": type(error).__name__, "text": str(error)}


def apart(one: Any, other: Any) -> float:
    """The largest difference between the parameters of two networks, wherever they lie."""
    a, b = (net.ops.to_host(net.storage.params) for net in (one, other))
    return float(np.abs(np.asarray(a) - np.asarray(b)).max())


def as_alone(everybody: Ranks, make: Callable[[], Any], **options: Any) -> dict[str, Any]:
    """A run of all ranks, how far its outcome is from one process's, and all that must be the same on all of them."""
    together, alone = make(), make()
    history, expected = trained(together, everybody, **options), trained(alone, None, **options)
    return {
        "params": apart(together, alone),
        "loss": float(np.abs(np.subtract(history.loss, expected.loss)).max()),
        "accuracy": float(np.abs(np.subtract(history.accuracy, expected.accuracy)).max()),
        "bits": replicas.digest_of(np.asarray(together.ops.to_host(together.storage.params))),
        "losses": history.loss,
    }


# --- at the start


def at_the_start(everybody: Ranks, change: dict[str, Any]) -> Any:
    """A run of which the last rank is given something else."""
    given = change if everybody.rank == everybody.size - 1 else {}
    built = {name: given.pop(name) for name in ("backend", "dtype") if name in given}
    net = network(*given.pop("layers", ()), seed=given.pop("net_seed", 0), **built)
    return raised(lambda: trained(net, everybody, **given).loss)


@check
def arrays_that_differ(everybody: Ranks) -> Any:
    """In layers that are printed alike."""
    size = 3 + (everybody.rank == 1)
    return raised(lambda: trained(network(Affine(3), Wide(size), SoftmaxCrossEntropy()), everybody).loss)


@check
def graphs_that_differ(everybody: Ranks) -> Any:
    """In what their nodes read."""
    x, z = ("z", "x") if everybody.rank == 1 else ("x", "z")
    nodes: dict[str, Any] = {"a": (Affine(3), x), "b": (Tanh(), z), "c": (Concat(), "a", "b")}
    net = Graph(("x", "z"), **nodes, y=(Affine(3), "c"), loss=(SoftmaxCrossEntropy(), "y", "targets"))
    return raised(lambda: trained(net.build((3,), (3,), dtype="float64"), everybody, (X[:, :3], X[:, 3:], T)).loss)


@check
def another_version(everybody: Ranks) -> Any:
    """One rank has another version of tinynn."""
    version = "0.0.1" if everybody.rank else "0.1.0"
    with patch("tinynn.distributed.agreement.__version__", version):
        return raised(lambda: trained(network(), everybody).loss)


@check
def files_that_differ(everybody: Ranks, folder: Path) -> Any:
    """Memory maps, each rank's of a file of its own; then of files that are the same."""
    found = []
    for changed in (1.0, 0.0):
        path, x = folder / f"x-{everybody.rank}-{changed}.npy", X.copy()
        x[7, 0] += changed * everybody.rank
        np.save(path, x.astype(">f8"))
        found.append(raised(lambda path=path: trained(network(), everybody, (np.load(path, mmap_mode="r"), T)).loss))
    return [*found, trained(network(), None).loss]


@check
def nan_in_the_data(everybody: Ranks) -> Any:
    """In those of one rank, which alone looks at them."""
    x = X.copy()
    x[3, 2] = np.nan if everybody.rank == 1 else 0
    return raised(lambda: trained(network(), everybody, (x, T)).loss)


@check
def bad_arguments(everybody: Ranks) -> Any:
    """On one rank."""
    return raised(lambda: trained(network(), everybody, batch_size=0 if everybody.rank == 1 else 12).loss)


@check
def unusual_data(everybody: Ranks) -> Any:
    """That are compared: of a foreign byte order, strided, in columns, of half precision; and a seed of NumPy's."""
    kinds = (X.astype(">f8"), np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], X.astype(np.float16), X > 0)
    return [as_alone(everybody, lambda: network(seed=np.int64(3)), train=(x, T)) for x in kinds]


@check
def functions_in_layers(everybody: Ranks) -> Any:
    """What lies in another place on each rank is no difference."""
    kept = [object() for _ in range(1000 * everybody.rank)]

    class Function:
        def __call__(self, x: Any) -> Any:
            return 2 * x

    class Double(Layer):
        def __init__(self, f: Any) -> None:
            self.f = f

        def build(self, shape: Any) -> Any:
            return shape

        def forward(self, x: Any) -> tuple[Any, None]:
            return self.f(x), None

        def backward(self, dy: Any, cache: None) -> Any:
            return 2 * dy

    net = network(Affine(5), Double(Function()), Affine(3), SoftmaxCrossEntropy())
    return [raised(lambda: len(trained(net, everybody))), repr(net), len(kept)]


# --- orders and callbacks


@check
def an_order(everybody: Ranks) -> Any:
    """That the caller decides."""
    return as_alone(everybody, network, order=lambda epoch: np.random.default_rng(epoch).permutation(41), epochs=2)


@check
def orders_that_differ(everybody: Ranks) -> Any:
    """One each."""
    return raised(lambda: trained(network(), everybody, order=lambda _: np.roll(np.arange(41), everybody.rank)).loss)


@check
def one_says_stop(everybody: Ranks) -> Any:
    """A callback of one rank alone."""
    history = trained(network(), everybody, epochs=9, callbacks=[lambda h: everybody.rank == 1 and len(h) == 2])
    return [len(history), history.stopped]


@check
def one_callback_raises(everybody: Ranks, folder: Path) -> Any:
    """The checkpoint of that epoch is there, and a run goes on from it."""

    def breaks(history: History) -> None:
        if everybody.rank == 1 and len(history) == 2:
            raise OSError("no space left on \udcff")

    def run(net: Any, **more: Any) -> Any:
        return trained(net, everybody, epochs=3, checkpoint=folder / "raises", **more)

    told = raised(lambda: run(network(), callbacks=[breaks]))
    files = sorted(path.name for path in (folder / "raises").glob("step-*"))
    everybody.any(False)  # they have all looked before there are more
    net, alone = network(), network()
    run(net, resume=True)
    trained(alone, None, epochs=3)
    return [told, files, apart(net, alone)]


@check
def one_changes_parameters(everybody: Ranks) -> Any:
    """In a callback, on one rank alone: noticed after the next epoch."""
    net, seen = network(), []

    def change(history: History) -> None:
        seen.append(len(history))
        if everybody.rank == 1:
            net.storage.params[0] += 1e-12

    return [raised(lambda: trained(net, everybody, epochs=5, callbacks=[change]).loss), seen]


@check
def noticed_within_an_epoch(everybody: Ranks) -> Any:
    """An optimizer that is not the same on all ranks, after so many steps."""

    class Own:
        steps = 0

        def step(self, net: Any) -> None:
            self.steps += 1
            net.storage.params -= net.storage.grads * (0.1 + 1e-9 * everybody.rank)

    own = Own()
    with patch.object(replicas, "COMPARED", 2):
        return [raised(lambda: trained(network(), everybody, optimizer=own).loss), own.steps]


@check
def a_fit_in_a_callback(everybody: Ranks) -> Any:
    """Of the same network: both have the masks that one process has."""

    def run(comm: Any) -> Sequential:
        net = network(Affine(8), Dropout(0.4), ReLU(), Affine(3), SoftmaxCrossEntropy())
        trained(net, comm, epochs=3, callbacks=[lambda _: trained(net, comm, batch_size=20) and None])
        return net

    return apart(run(everybody), run(None))


# --- batches


@check
def row_weights(everybody: Ranks) -> Any:
    """With weights of rows, of classes, both; with whole parts that weigh nothing; and with nothing that weighs."""
    weights = RNG.random(41)
    some = np.where(np.arange(41) < 5, 1.0, 0.0)

    def classes() -> Sequential:
        return network(Affine(3), SoftmaxCrossEntropy(class_weights=(0.5, 2.0, 1.0), label_smoothing=0.1))

    return [
        as_alone(everybody, network, train=(X, T, weights), epochs=2),
        as_alone(everybody, classes, epochs=2),
        as_alone(everybody, classes, train=(X, T, weights), epochs=2),
        as_alone(everybody, network, train=(X, T, some), order=lambda _: range(41), epochs=2),
        as_alone(everybody, network, train=(X, T, 0 * some)),
    ]


@check
def small_batches(everybody: Ranks) -> Any:
    """Of as many rows as there are ranks or fewer; 41 rows by 5 leave a last batch of one."""
    return [as_alone(everybody, network, batch_size=size, epochs=2) for size in (5, 4, 2, 1, 41, 100)]


@check
def batch_norm(everybody: Ranks) -> Any:
    """Its statistics are of each rank's part; the running means become the means over the ranks."""
    net, alone = (network(Affine(5), BatchNorm(), ReLU(), Affine(3), SoftmaxCrossEntropy()) for _ in range(2))
    own: list[list[float]] = []
    merge = replicas.Replicas.merge

    def looked(self: Any, tally: Any) -> None:
        own.append(net.storage.arrays()["1.mean"].tolist())
        merge(self, tally)

    with patch.object(replicas.Replicas, "merge", looked):
        trained(net, everybody)
    trained(alone, None)
    before = np.array(everybody.gather(own[-1]))
    return {
        "differed": bool((before[0] != before[1]).any()),
        "mean": float(np.abs(before.mean(axis=0) - net.storage.arrays()["1.mean"]).max()),
        "state": replicas.digest_of(net.storage.state),
        "from one process": apart(net, alone),
    }


@check
def dropout(everybody: Ranks) -> Any:
    """The masks that one process has; where a rank has no rows, too."""
    return [
        as_alone(
            everybody,
            lambda: network(Affine(8), Dropout(0.4), ReLU(), Affine(3), SoftmaxCrossEntropy()),
            batch_size=size,
            epochs=3,
        )
        for size in (12, 5)
    ]


@check
def several_inputs(everybody: Ranks) -> Any:
    """A graph that reads two of them."""

    def graph() -> Graph:
        joined = Graph(
            a=(Affine(4), "x"),
            b=(Affine(4), "z"),
            c=(Concat(), "a", "b"),
            y=(Affine(3), "c"),
            loss=(SoftmaxCrossEntropy(), "y", "targets"),
        )
        return joined.build((4,), (2,), dtype="float64")

    return as_alone(everybody, graph, train=(X[:, :4], X[:, 4:], T), epochs=2)


@check
def sources(everybody: Ranks) -> Any:
    """An object with take."""
    return as_alone(everybody, network, train=Rows(), validation=Rows(), epochs=2)


@check
def one_batch_of_all_rows(everybody: Ranks) -> Any:
    """How many of them each rank asks for, whatever is said of a batch."""
    source = Rows()
    trained(network(), everybody, source, batch_size=1000)
    return source.asked


@check
def backends(everybody: Ranks) -> Any:
    """Compiled, and on a device whose sums go through the host's memory."""
    return [as_alone(everybody, lambda kind=kind: network(backend=kind), epochs=2) for kind in ("llvm", FakeDevice())]


@check
def alone_after_together(everybody: Ranks) -> Any:
    """What was recorded of a part of the batches is no record of the whole: a fit of one process comes next."""
    found = []
    for backend in ("numpy", "llvm"):
        net, other = network(backend=backend), network(backend=backend)
        for one, comm in ((net, everybody), (other, None)):
            trained(one, comm, epochs=3)
            trained(one, None, epochs=3)
        found.append(apart(net, other))
    return found


@check
def captures_that_differ(everybody: Ranks) -> Any:
    """What a rank keeps of one run for the next is its own affair: the others do not wait for it."""
    net, alone = network(), network()
    for comm, one in ((everybody, net), (None, alone)):
        for _ in range(2):
            trained(one, comm, capture=everybody.rank != 1)
    return apart(net, alone)


@check
def two_runs(everybody: Ranks) -> Any:
    """One after the other, with the same ranks, and of two networks in turns."""
    nets, alone = (network(), network(seed=1)), (network(), network(seed=1))
    for _ in range(2):
        for net, other in zip(nets, alone, strict=True):
            trained(net, everybody)
            trained(other, None)
    return [apart(net, other) for net, other in zip(nets, alone, strict=True)]


@check
def no_parameters(everybody: Ranks) -> Any:
    """Nothing to sum but what Ctrl-C did."""
    return [trained(network(SoftmaxCrossEntropy()), comm).loss[0] for comm in (everybody, None)]


# --- what goes wrong in a step


@check
def born_on_one_rank(everybody: Ranks) -> Any:
    """Numbers that grow too large, in a row that one rank alone has: no rank makes the step."""
    x = X.copy()
    x[17] = 1.7e308  # the sixth of the second batch: of two ranks the first one has it, of three the second
    net = network(Affine(5), BatchNorm(), Affine(3), SoftmaxCrossEntropy())
    trained(net, everybody)
    before: list[Any] = []
    step = SGD(0.1)

    class Kept:
        def step(self, net: Any) -> None:
            step.step(net)
            before[:] = net.storage.params.copy(), net.storage.state.copy()

    told = raised(
        lambda: trained(net, everybody, (x, T), optimizer=Kept(), finite="step", order=lambda _: range(41)).loss
    )
    return [told, apart_from(net.storage.params, before[0]), apart_from(net.storage.state, before[1])]


def apart_from(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max())


@check
def wrong_from_the_start(everybody: Ranks) -> Any:
    """A layer that forgets a gradient: all say so."""

    class Forgets(Layer):
        def build(self, shape: Any) -> Any:
            self.param("b", shape, zeros)
            return shape

        def forward(self, x: Any) -> tuple[Any, None]:
            return x + self.b, None

        def backward(self, dy: Any, cache: None) -> Any:
            return dy

    return raised(lambda: trained(network(Affine(3), Forgets(), SoftmaxCrossEntropy()), everybody).loss)


@check
def divergence(everybody: Ranks) -> Any:
    """All raise, and all are as they were before the epoch."""
    net = network()
    before = net.storage.params.copy()
    told = raised(lambda: trained(net, everybody, optimizer=SGD(1e300)).loss)
    return [told, apart_from(net.storage.params, before)]


@check
def patience(everybody: Ranks) -> Any:
    """The validation of all rows decides, on all ranks alike; there may be fewer rows than ranks."""
    found = []
    for rows in (41, 1):
        net, alone = network(), network()
        options = {"epochs": 30, "patience": 2, "validation": (X[:rows] + 1, T[:rows]), "optimizer": SGD(2.0)}
        history, expected = trained(net, everybody, **options), trained(alone, None, **options)
        found.append([history.stopped, len(history) == len(expected), apart(net, alone)])
    return found


@check
def many_rows_of_validation(everybody: Ranks) -> Any:
    """More than one block, so that each rank looks at some."""
    rows = Rows(3000), Rows(3000)
    histories = [
        trained(network(), comm, validation=source) for comm, source in zip((everybody, None), rows, strict=True)
    ]
    loss, accuracy = ([getattr(h, name)[0] for h in histories] for name in ("validation_loss", "validation_accuracy"))
    return [abs(loss[0] - loss[1]), accuracy[0] == accuracy[1], rows[0].asked]


# --- what rank 0 alone does


@check
def only_the_first_prints(everybody: Ranks) -> Any:
    """Progress."""
    with contextlib.redirect_stderr(io.StringIO()) as told:
        trained(network(), everybody, progress=True, epochs=2)
    return told.getvalue().count("\n")


@check
def only_the_first_writes(everybody: Ranks, folder: Path) -> Any:
    """A report, and checkpoints, in a folder of each rank's own."""
    place = folder / f"own-{everybody.rank}"
    place.mkdir()
    trained(network(), everybody, report=place / "run.html", checkpoint=place / "kept", batch_size=41)
    files = sorted(path.name for path in place.rglob("*.*"))
    if not files:
        return [files]
    page = (place / "run.html").read_text()
    return [files, len(load(place / "kept" / "step-000000001.npz").storage.params), "The last batch" in page]


@check
def a_folder_that_cannot_be_used(everybody: Ranks, folder: Path) -> Any:
    """Rank 0 finds out; all say so."""
    place = folder / "a file"
    if everybody.first:
        place.write_text("")
    return raised(lambda: trained(network(), everybody, checkpoint=place).loss)


# --- the ranks themselves


@check
def communicators(everybody: Ranks) -> Any:
    """A communicator of mpi4py is as good; of each there is one `Ranks`; one process is as good as none."""
    world, itself = everybody.MPI.COMM_WORLD, everybody.MPI.COMM_SELF
    Ranks.of(world)
    refused = [raised(lambda: Ranks.of(5)), raised(lambda: Ranks.of(5)), raised(lambda: Ranks.of(np.arange(3)))]
    refused += [raised(lambda: Ranks(everybody.MPI.COMM_NULL)), raised(lambda: Ranks(world, timeout=-1))]
    net, other = network(), network()
    losses = trained(net, itself).loss, trained(other, None).loss
    return {
        "refused": refused,
        "world": trained(network(), world).loss == trained(network(), everybody).loss,
        "once": [
            Ranks.of(world) is Ranks.of(world),
            Ranks.of(itself) is Ranks.of(itself),
            Ranks.of(everybody) is everybody,
        ],
        "two": Ranks.of(world) is not Ranks.of(itself),
        "one process": [losses[0] == losses[1], net.storage.params.tobytes() == other.storage.params.tobytes()],
        "repr": repr(everybody),
    }


@check
def one_process_goes_on(everybody: Ranks) -> Any:
    """After an error, as without a communicator; the others are not told."""
    itself = Ranks(everybody.MPI.COMM_SELF)
    told = raised(lambda: trained(network(), itself, optimizer=SGD(1e300)).loss)
    return [told, itself.words.broken, len(trained(network(), itself))]


@check
def what_rank_0_knows(everybody: Ranks) -> Any:
    """Arrays of every kind, and JSON."""
    arrays = {"a": np.arange(6.0).reshape(2, 3).T, "none": np.zeros((0, 3)), "number": np.array(7, np.int16)}
    facts, got = everybody.from_first({"x": [1, None]} if everybody.first else None, arrays if everybody.first else {})
    return [facts, {name: [str(x.dtype), np.shape(x), np.asarray(x).tolist()] for name, x in got.items()}]


@check
def a_rank_that_leaves(everybody: Ranks) -> Any:
    """While the others wait for it; they are told so, and the job is to end."""
    own = Ranks(everybody.comm)
    if own.rank == 1:
        own.words.leave()
        everybody.any(False)
        told = None
    else:
        with patch.object(ranks, "GRACE", 0.05):
            told = [raised(lambda: own.any(False)), raised(lambda: own.any(False)), own.words.broken]
        everybody.any(False)
    return ended(own, told, begun=2)


@check
def a_rank_that_hangs(everybody: Ranks) -> Any:
    """It answers nobody: it is named after the timeout."""
    own = Ranks(everybody.comm, timeout=0.1)
    told = None
    if own.rank == 1:
        time.sleep(0.6)
    else:
        with patch("tinynn.distributed.words.ANSWERED", 0.2):
            told = raised(lambda: own.any(False))
    everybody.any(False)
    return ended(own, told)


def ended(own: Ranks, told: Any, begun: int = 1) -> Any:
    """What was told, and that the program would end with Abort; sums that were begun are made: it need not."""
    ends: list[int] = []
    own.words.MPI = SimpleNamespace(Is_finalized=lambda: False, COMM_WORLD=SimpleNamespace(Abort=ends.append))
    own.words.leave()
    own.words.MPI = SimpleNamespace(Is_finalized=lambda: True)
    for _ in range(begun if own.rank == 1 else 0):
        own.comm.Iallreduce(own.MPI.IN_PLACE, np.zeros(1, np.int64)).Wait()
    return [told, ends]


@check
def last_words(everybody: Ranks) -> Any:
    """What a rank raises alone is told to those that wait for it."""
    own = Ranks(everybody.comm)
    told = None
    if own.rank == 1:
        with contextlib.suppress(OSError), own:
            raise OSError("no space left on \udcff")
    else:
        told = raised(lambda: own.any(False))
    everybody.any(False)
    return ended(own, told)


def main(folder: Path) -> None:
    everybody = Ranks(timeout=30)
    for name, change in MISMATCHES.items():
        CHECKS[f"start: {name}"] = lambda everybody, change=change: at_the_start(everybody, change())
    for name, work in CHECKS.items():
        more = [folder] if "folder" in inspect.signature(work).parameters else []
        answers = everybody.gather(work(everybody, *more))
        if everybody.first:
            print(json.dumps({"check": name, "ranks": answers}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
