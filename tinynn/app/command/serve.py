"""`tinynn serve model.npz`: a page in the browser on which the network reads what one draws."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tinynn.app.command.output import add_model

__all__ = ["add"]


def add(commands: Any) -> None:
    """Adds the parser of this command."""
    parser = commands.add_parser(
        "serve",
        help="draw digits in the browser, and watch the network read them",
        description="Opens a page of this machine's own, on which the network reads the digits that are drawn.\n"
        "The page asks for nothing else on the network, and nobody else can ask it.",
        epilog="Example: tinynn serve model.npz --corrections mine\n"
        "Exit code: 0 Ctrl-C has ended it, 2 it could not begin.",
    )
    add_model(parser)
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="default 8000; 0 takes one that is free")
    parser.add_argument("--no-browser", action="store_true", help="print the address, and open no browser")
    parser.add_argument(
        "--corrections", metavar="DIR", help="keep the digits that are put right there, as tinynn train takes them"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serves the page until Ctrl-C.

    Errors: those of `load` and of `serve`.
    """
    # Not at the top: `tinynn --help` needs none of it.
    from tinynn.app.page import serve
    from tinynn.network.loading import load

    serve(
        load(options.model),
        port=options.port,
        open_browser=not options.no_browser,
        corrections=options.corrections,
        name=Path(options.model).stem,
    )
    return 0
