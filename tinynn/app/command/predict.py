"""`tinynn predict model.npz digit.png`: what a network says of pictures of digits, and of rows of numbers."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinynn.app.command.output import add_json, add_model, beside_json, count, in_two_lines, write_json
from tinynn.app.metadata import class_names, names
from tinynn.errors import ConfigurationError, TinynnError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["add"]

PICTURES = (".png", ".jpg", ".jpeg")
PIXELS = 28 * 28


def add(commands: Any) -> None:
    """Adds the parser of this command."""
    parser = commands.add_parser(
        "predict",
        help="ask a network about pictures of digits, or rows of a table",
        description="Prints for each picture or row the label, how probable it is, and the runners-up; or the numbers.",
        epilog="Example: tinynn predict model.npz four.png seven.jpg\n"
        "Exit code: 0 all were answered, 2 some could not be read.",
    )
    what = """PNG and JPEG pictures of a digit, of any size, each of which is cropped, scaled and centred as MNIST's
    digits are, for networks of 28 x 28 gray values; CSV files with the columns that the network learned from; .npz
    files with x"""
    add_model(parser)
    parser.add_argument("files", metavar="FILE", nargs="+", help=what)
    parser.add_argument("--top", type=count, default=3, metavar="N", help="labels to show, the best first (default 3)")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Asks about each file, and returns the exit code: one that cannot be read does not keep the others from it.

    Errors: TinynnError for a model that cannot be used.
    """
    from tinynn.network.loading import load

    net = load(options.model)
    if len(net.input_names) != 1 or any(isinstance(part, tuple) for part in net._built().output):
        what = "the network has several inputs or outputs"
        raise ConfigurationError(what, got=options.model, fix="net.predict(x, y), in Python")
    code, found = 0, []
    with beside_json(options):
        for path in options.files:
            try:
                for answer in answers(net, path, options.top):
                    print(line(answer))
                    found.append(answer)
            except TinynnError as error:
                print(in_two_lines(error), file=sys.stderr)
                found.append({"file": path, "error": error.what})
                code = 2
    write_json(options, found)
    return code


def answers(net: Any, path: str, top: int) -> Iterator[dict[str, Any]]:
    """What the network says of each picture or row of a file. Errors: TinynnError."""
    places, x = inputs(net, path)
    y, classes, kind = meant(net, net.ops.to_host(net.predict(x)))
    for place, row in zip(places, y.tolist(), strict=True):
        about = {"file": path, **place}
        if not classes:
            yield {**about, "value": row[0] if isinstance(row, list) and len(row) == 1 else row}
            continue
        order = sorted(range(len(row)), key=lambda k: -row[k])[:top]
        first, *others = ({"label": classes[k], kind: row[k]} for k in order)
        yield {**about, **first, "runners_up": others}


def inputs(net: Any, path: str) -> tuple[list[dict[str, int]], np.ndarray]:
    """The inputs (N, ...) that a file holds, and where each of them stands in it.

    Errors: DataError, ConfigurationError.
    """
    shape, features, suffix = net.input_shapes[0], names(net, "features"), Path(path).suffix.lower()
    size = math.prod(shape)
    if suffix in PICTURES:
        if size != PIXELS:  # 784 columns of a table are pixels as well: so MNIST comes as CSV
            rows = f'np.savez("x.npz", x=x), x of shape ({", ".join(map(str, ("N", *shape)))}), and give it x.npz'
            raise ConfigurationError(
                "the network reads no pictures of digits",
                where=path,
                expected="a network of 28 x 28 gray values, to which a picture is brought as MNIST's digits were",
                got=f"one of {len(features)} columns" if features else f"one of inputs {shape}",
                fix="give it a CSV file" if features else rows,
            )
        from tinynn.app.digitise import digitise
        from tinynn.app.image_file import read_image

        return [{}], digitise(read_image(path)).reshape(1, *shape)
    if suffix == ".npz":
        from tinynn.data.npz_arrays import read_npz

        (x,) = read_npz(path, ("x",), ("x_test",), ("x_train",)).values()
        if x.shape[1:] != shape and math.prod(x.shape[1:]) == size:
            x = x.reshape(len(x), *shape)
        return [{"row": number} for number in range(len(x))], x
    from tinynn.data.table import read_features

    table = read_features(path, features or [str(number + 1) for number in range(size)])
    return [{"line": number} for number in table.lines.tolist()], table.x.reshape(-1, *shape)


def meant(net: Any, y: np.ndarray) -> tuple[np.ndarray, tuple[str, ...], str]:
    """The outputs, a column for each class; the names of the classes, none for numbers; and what an output is."""
    import numpy as np

    from tinynn.losses import BinaryCrossEntropy, QuadraticCost, SoftmaxCrossEntropy

    loss, columns = net.final_loss, y.shape[1] if y.ndim == 2 else 0
    if columns == 1 and isinstance(loss, BinaryCrossEntropy):  # then it is the probability of the second class
        return np.concatenate([1 - y, y], axis=1), class_names(net, 2), "probability"
    if columns > 1 and isinstance(loss, SoftmaxCrossEntropy):
        return y, class_names(net, columns), "probability"
    if columns > 1 and (names(net, "classes") or isinstance(loss, QuadraticCost)):
        return y, class_names(net, columns), "score"
    return y, (), ""


def line(answer: dict[str, Any]) -> str:
    """An answer as it is printed."""
    place = next((f":{answer[key]}" for key in ("line", "row") if key in answer), "")
    if "value" in answer:
        numbers = answer["value"] if isinstance(answer["value"], list) else [answer["value"]]
        return f"{answer['file']}{place}  {' '.join(f'{x:g}' if isinstance(x, float) else str(x) for x in numbers)}"
    others = ", ".join(map(label, answer["runners_up"]))
    return f"{answer['file']}{place}  {label(answer)}{f'  ({others})' if others else ''}"


def label(found: dict[str, Any]) -> str:
    """A label, and how probable it is."""
    name = found["label"] if found["label"].isprintable() else ascii(found["label"])
    return f"{name} {found['probability']:.1%}" if "probability" in found else f"{name} {found['score']:.3f}"
