"""`tinynn train data.csv`: reads the data, makes the network, trains it, tells how good it is, saves it."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinynn.app.command.output import add_json, beside_json, count, in_two_lines, write_json
from tinynn.errors import ConfigurationError, StateError

if TYPE_CHECKING:
    from tinynn.app.material import Material
    from tinynn.app.recipe import Recipe
    from tinynn.network import Sequential

__all__ = ["add"]

DATA = """the word mnist; a folder with MNIST's files, or with digits as text; a CSV file, whose last column (or
--target) is what to learn: texts, and whole numbers of at most 20 different ones, are classes; an .npz file with x and
t, or with Keras' names"""
LAYERS = """between input and output (default "%(default)s"): a number is an affine layer of so many units, other words
are layers with their arguments, such as "conv:8:3 relu maxpool:2 300 relu dropout:0.2"; the output and the loss follow
from the data"""
LOSS = """softmaxcrossentropy for classes, meansquarederror for numbers (the defaults), binarycrossentropy for two
classes, or others"""
ENOUGH = 300_000  # rows seen, which decides how many epochs there are


def add(commands: Any) -> None:
    """Adds the parser of this command."""
    parser = commands.add_parser(
        "train",
        help="train a network on images or a table, and save it",
        description="Trains a network and saves it. Ctrl-C ends the training, and what was learned is saved.",
        epilog='Example: tinynn train iris.csv --layers "50 relu" --epochs 50 --out iris.npz\n'
        "Exit code: 0 trained, 1 the training diverged, 2 it could not begin, 130 it was interrupted.",
    )
    option = parser.add_argument
    option("data", metavar="DATA", help=DATA)
    option("--layers", metavar="SPEC", default="300 relu", help=LAYERS)
    option("--target", metavar="NAME", help="the column of a CSV file to learn; its number if there is no header")
    option("--loss", metavar="NAME", help=LOSS)
    option("--optimizer", metavar="NAME", default="adam", help="adam (the default), sgd, sgd:momentum=0.9, ...")
    option("--lr", type=float, metavar="RATE", help="learning rate (default 0.001; sgd 0.1, adagrad 0.01)")
    option("--l2", type=float, metavar="RATE", help="weight decay (default none)")
    option("--epochs", type=count, metavar="N", help="how often each row is seen (default 10; of few rows up to 100)")
    option("--batch", type=count, default=32, metavar="N", help="rows a step (default 32)")
    option(
        "--validation",
        metavar="DATA",
        help="a file or folder as DATA, or a share of its rows; 0 for none (default: the test rows of images, or 0.2)",
    )
    option("--patience", type=count, metavar="N", help="end when the validation loss has not fallen for N epochs")
    option("--seed", type=int, default=0, metavar="N", help="of first weights and order of the rows (default 0)")
    option("--backend", choices=("numpy", "llvm", "cupy"), default="numpy", help="llvm: compiled; cupy: on a GPU")
    option("--checkpoint", metavar="DIR", help="keep checkpoints in this folder, one at the end of each epoch")
    option("--every", type=count, metavar="N", help="and one after each N steps")
    option("--resume", action="store_true", help="go on from the newest checkpoint, if there is one")
    option("--out", default="model.npz", metavar="FILE", help="the model (default model.npz); also .safetensors")
    option("--report", metavar="FILE", help="write an HTML page of the run, all in one file")
    option("--quiet", action="store_true", help="show no progress")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Trains, and returns the exit code.

    Errors: TinynnError for what cannot begin.
    """
    with beside_json(options):
        refuse(options)
        code, result = trained(options)
    write_json(options, result)
    return code


def refuse(options: argparse.Namespace) -> None:
    """Errors: ConfigurationError for options that do not go together."""
    if options.checkpoint is None:
        for name in ("every", "resume"):
            if getattr(options, name):
                what = f"--{name} is about checkpoints, and there are none"
                raise ConfigurationError(what, fix=f"tinynn train ... --checkpoint DIR --{name}")
    elif not options.resume and any(Path(options.checkpoint).glob("step-*.npz")):
        what = "the folder holds the checkpoints of a run"
        raise ConfigurationError(what, got=options.checkpoint, fix="--resume to go on with it, or another folder")
    if options.seed < 0:
        raise ConfigurationError("--seed is negative", got=options.seed, fix="--seed 0")


def trained(options: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    """The exit code, and what there is to tell."""
    from tinynn.app.held_out import held_out
    from tinynn.app.material import read_material
    from tinynn.app.recipe import Recipe, kind_of
    from tinynn.training.fit import fit

    started = time.perf_counter()
    optimizer = optimizer_of(options)
    whole = read_material(options.data, target=options.target, kind=kind_of(options.loss))
    material = held_out(whole, options.validation, options.seed)
    if options.patience is not None and material.test is None:
        raise ConfigurationError("--patience needs rows to validate on", got="none", fix="--validation 0.2")
    recipe = Recipe(material, options.layers, options.loss)
    net = recipe.network().build(material.x.shape[1:], backend=options.backend, seed=options.seed)
    net.metadata = recipe.metadata()
    refuse_unwritable(options, recipe.finished(net))
    data = recipe.inputs(material.x), recipe.targets(material.t)
    test = None if material.test is None else (recipe.inputs(material.test[0]), recipe.targets(material.test[1]))
    epochs = options.epochs or min(max(ENOUGH // len(data[0]), 10), 100)
    print(f"{described(material)}\n\n{net.summary()}\n{optimizer!r}\n", flush=True)
    try:
        history = fit(
            net,
            optimizer,
            data,
            epochs=epochs,
            batch_size=options.batch,
            validation=test,
            patience=options.patience,
            seed=options.seed,
            progress=False if options.quiet else None,
            checkpoint=options.checkpoint,
            every=options.every,
            resume=options.resume,
            report=options.report,
        )
    except StateError as error:
        error.fix = f"--lr {optimizer.lr / 10:g}"
        print(in_two_lines(error), file=sys.stderr)
        return 1, {"diverged": error.what, "where": error.where}
    net = recipe.finished(net)
    result = {
        "data": options.data,
        "rows": len(material.x),
        "layers": recipe.spec,
        "network": [repr(layer) for layer in net.layers],
        "parameters": sum(array.size for array in net.storage.parameters.values()),
        "optimizer": repr(optimizer),
        "batch": options.batch,
        "seed": options.seed,
        "backend": options.backend,
        "history": history.as_dict(),
        "stopped": history.stopped,
        "validation": judged(net, recipe, material),
        "model": options.out,
        "seconds": time.perf_counter() - started,
    }
    if history.stopped == "early":
        print(f"\nended after epoch {len(history)}: the validation loss has not fallen for {options.patience}")
    if history.stopped == "interrupted":
        print(f"\ninterrupted in epoch {len(history) + 1} of {epochs}; what was learned so far is saved")
    net.save(options.out)
    print(f"\n{told(result['validation'])}{options.out}: the model; tinynn predict {options.out} FILE asks it")
    return 130 if history.stopped == "interrupted" else 0, result


def optimizer_of(options: argparse.Namespace) -> Any:
    """The optimizer that the options name. Errors: ConfigurationError."""
    from tinynn.app.layer_spec import OPTIMIZERS, made

    given = {name: getattr(options, name) for name in ("lr", "l2") if getattr(options, name) is not None}
    if re.fullmatch(r"sgd(:[a-z].*)?", options.optimizer, re.IGNORECASE) and ":lr=" not in options.optimizer:
        given.setdefault("lr", 0.1)
    return made(options.optimizer, OPTIMIZERS, "optimizer", "--optimizer", **given)


def refuse_unwritable(options: argparse.Namespace, net: Sequential) -> None:
    """Tries to save before the training, which may take hours. Errors: DataError, MissingExtraError."""
    from tinynn.data.files import make_folder
    from tinynn.errors import DataError

    for path in (options.out, options.report, options.json if options.json != "-" else None):
        if path is None:
            continue
        place = Path(path)
        make_folder(place.parent)
        try:
            if place.is_dir():
                raise IsADirectoryError("it is a folder")
            with tempfile.TemporaryDirectory(dir=place.parent, prefix=".tinynn-") as folder:
                net.save(Path(folder) / (place.name if path == options.out else "trial.npz"))
        except OSError as error:
            got = error.strerror or str(error)
            raise DataError(
                "the file cannot be written", path=path, expected="a place for a file", got=got, fix="choose another"
            ) from error


def described(material: Material) -> str:
    """The data in one line or two."""
    rows, shape = len(material.x), material.x.shape[1:]
    each = f"{shape[0]} features" if len(shape) == 1 else " x ".join(map(str, shape))
    if material.classes is None:
        what = f"{material.t.shape[1]} numbers" if material.t.shape[1] > 1 else "numbers"
        what += "; the losses of epochs are of numbers brought to mean 0 and variance 1"
    else:
        some = ", ".join(material.classes[:10]) + (", ..." if len(material.classes) > 10 else "")
        what = f"{len(material.classes)} classes: {some}"
    beside = f"; {len(material.test[0]):,} more to validate on" if material.test is not None else ""
    name = f"{material.target!r}, " if material.target else ""
    return f"{material.path}: {rows:,} rows of {each}{beside}\nto learn: {name}{what}"


def judged(net: Sequential, recipe: Recipe, material: Material) -> dict[str, Any] | None:
    """How good the finished network is on the rows to validate on, in their own units."""
    if material.test is None:
        return None
    import numpy as np

    x, t = recipe.inputs(material.test[0]), material.test[1]
    result = net.evaluate(x, t if material.classes is not None else t.astype(np.float32))
    found: dict[str, Any] = {"rows": len(x), "loss": result.loss}
    if material.classes is not None:
        return {**found, "accuracy": result.accuracy}
    y = net.ops.to_host(net.predict(x)).astype(np.float64)
    spread = ((t - t.mean(axis=0)) ** 2).sum()
    return {**found, "r2": 1 - float(((t - y) ** 2).sum() / spread) if spread else float("nan")}


def told(found: dict[str, Any] | None) -> str:
    """The same in a line."""
    if found is None:
        return ""
    if "accuracy" in found:
        wrong = round((1 - found["accuracy"]) * found["rows"])
        return f"validation accuracy {found['accuracy']:.2%} ({wrong:,} of {found['rows']:,} wrong)\n"
    return f"validation loss {found['loss']:.4g}, R^2 {found['r2']:.4f} ({found['rows']:,} rows)\n"
