"""What all commands have in common: the model, `--json`, and numbers and sizes on the command line."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import re
import sys
from typing import Any

from tinynn.errors import ConfigurationError, TinynnError
from tinynn.layer import Shape

__all__ = ["add_json", "add_model", "beside_json", "count", "in_two_lines", "one_line", "shape", "write_json"]


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds the file of a network."""
    parser.add_argument("model", metavar="MODEL", help="a file that tinynn train, or net.save, wrote; or a checkpoint")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds the option."""
    what = "write the result here as JSON; - for standard output, all else then goes to standard error"
    parser.add_argument("--json", metavar="FILE", help=what)


def beside_json(options: argparse.Namespace) -> contextlib.AbstractContextManager[Any]:
    """Within it what is printed goes to standard error, where standard output is for JSON alone."""
    return contextlib.redirect_stdout(sys.stderr) if options.json == "-" else contextlib.nullcontext()


def write_json(options: argparse.Namespace, result: Any) -> None:
    """Writes the result where the option says, if it says where; NaN, which JSON has not, is null.

    Errors: DataError for a file that cannot be written.
    """
    if options.json is None:
        return
    text = json.dumps(plain(result), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    if options.json == "-":
        sys.stdout.write(text)
        return
    from tinynn.data.files import written_atomically  # not at the top: it takes some milliseconds to import

    with written_atomically(options.json) as file:
        file.write(text.encode())


def plain(value: Any) -> Any:
    """The value with None in the place of numbers that are not finite."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def in_two_lines(error: TinynnError) -> str:
    """What is wrong, and what to do."""
    where = f" ({one_line(error.where)})" if error.where is not None else ""
    told = [f"{name} {one_line(part)}" for name in ("expected", "got") if (part := getattr(error, name)) is not None]
    fix = one_line(error.fix or "tinynn --help")
    return f"tinynn: {one_line(error.what)}{where}{': ' if told else ''}{', '.join(told)}\n  fix: {fix}"


def one_line(part: object) -> str:
    """The part as a terminal may show it, whatever a file had in it."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(str(part).split()))


def count(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII) or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def shape(text: str) -> Shape:
    """`3x8x8` as (3, 8, 8); `()` as ().

    Errors: ConfigurationError.
    """
    if text == "()":
        return ()
    if not re.fullmatch(r"[1-9][0-9]*(x[1-9][0-9]*)*", text):
        raise ConfigurationError(
            "--shape is no shape of one example", got=repr(text), fix="--shape 4, or --shape 3x8x8"
        )
    return tuple(int(size) for size in text.split("x"))
