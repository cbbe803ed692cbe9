"""The command line: `python -m tinynn train data.csv`, installed also as `tinynn`.

A sub-command is a module with `add(commands)`, which adds its parser; this parser's default `run` does the work and
returns the exit code. A module imports what its work needs within `run`, so that `tinynn --help` comes at once. What a
user got wrong is a TinynnError, and ends in two lines on stderr and the exit code 2.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from tinynn.app.command import bench, check, doctor, export, predict, serve, train
from tinynn.app.command.output import in_two_lines, one_line
from tinynn.errors import ConfigurationError, TinynnError
from tinynn.version import __version__

__all__ = ["main"]

USAGE, INTERRUPTED, PIPE = 2, 130, 141
"""Exit codes; the last two are what shells give for a process that SIGINT or SIGPIPE ended."""

COMMANDS = (train, predict, serve, export, check, doctor, bench)


class Parser(argparse.ArgumentParser):
    """A parser whose errors look like all others of tinynn's."""

    def __init__(self, **options: Any) -> None:
        # An option is written out: a new one must not change what the beginning of another one meant.
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(message, fix=f"{self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code.

    0 done; 1 the answer is no; 2 it could not be asked; 130 ended by Ctrl-C; 141 nobody reads the output any more.
    """
    parser = Parser(prog="tinynn", description="Neural networks whose every layer you can read.")
    parser.epilog = "Example: tinynn train mnist && tinynn predict model.npz my_digit.png"
    parser.add_argument("--version", action="version", version=f"tinynn {__version__}")
    commands: Any = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in COMMANDS:
        module.add(commands)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", RuntimeWarning)
            warnings.showwarning = note
            options = parser.parse_args(arguments)
            code = options.run(options)
            sys.stdout.flush()  # here, where a pipe that is closed is noticed
            return code
    except TinynnError as error:
        print(in_two_lines(error), file=sys.stderr)
        return USAGE
    except MemoryError:
        print("tinynn: there is not enough memory\n  fix: less data, or a smaller network or --batch", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("tinynn: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # What Python still holds for the pipe, it would try to write at its end.
        with contextlib.suppress(OSError, ValueError):
            out = sys.stdout.fileno()
            os.dup2(os.open(os.devnull, os.O_WRONLY), out)
        return PIPE


def note(message: Warning | str, *rest: Any, **more: Any) -> None:
    """A warning as one line."""
    print(f"tinynn: note: {one_line(message)}", file=sys.stderr)
