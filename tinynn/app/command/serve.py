"""`tinynn serve model.npz`: a page in the browser on which the network reads what one draws."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add"]


def add(commands: Any) -> None:
    """Adds the parser of this command."""
    parser = commands.add_parser(
        "serve",
        help="draw digits in the browser, and watch the network read them",
        description="Opens a page of this machine's own, on which the network reads the digits that are drawn.",
        epilog="Ctrl-C ends it. The page asks for nothing else on the network, and nobody else can ask it.",
    )
    parser.add_argument("model", metavar="MODEL", help="a file that net.save wrote, or a checkpoint")
    parser.add_argument("--port", type=int, default=8000, help="default 8000; 0 takes one that is free")
    parser.add_argument("--no-browser", action="store_true", help="print the address, and open no browser")
    parser.add_argument(
        "--corrections", metavar="FOLDER", help="keep the digits that are put right there, as IDX files like MNIST's"
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
