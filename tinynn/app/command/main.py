"""The command line: `python -m tinynn check my_layers:MyLayer`, installed also as `tinynn`.

A sub-command is a module with `add(commands)`, which adds its parser; this parser's default `run` does the work and
returns the exit code. What a user got wrong is a TinynnError, and ends in two lines on stderr and the exit code 2.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from tinynn.app.command import check, doctor, serve
from tinynn.errors import ConfigurationError, TinynnError

__all__ = ["main"]

USAGE = 2


class Parser(argparse.ArgumentParser):
    """A parser whose errors look like all others of tinynn's."""

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(message, fix=f"{self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code: 0 all is well, 1 it is not, 2 it could not be asked."""
    parser = Parser(prog="tinynn", description="Neural networks whose every layer you can read.")
    commands: Any = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (check, doctor, serve):
        module.add(commands)
    try:
        options = parser.parse_args(arguments)
        return options.run(options)
    except TinynnError as error:
        where = f" ({error.where})" if error.where is not None else ""
        got = f", got {error.got}" if error.got is not None else ""
        print(f"tinynn: {' '.join(error.what.split())}{where}{got}\n  fix: {error.fix}", file=sys.stderr)
        return USAGE
