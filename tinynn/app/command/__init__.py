"""The command line, `tinynn` and `python -m tinynn`: a file for each of its commands."""

from tinynn.app.command.main import main

__all__ = ["main"]
