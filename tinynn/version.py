"""The version, where files that are written can say it."""

__all__ = ["__version__"]

__version__ = "0.1.0"
