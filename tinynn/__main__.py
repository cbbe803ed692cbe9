"""`python -m tinynn`: the command line."""

from tinynn.app.command import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
