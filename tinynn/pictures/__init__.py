"""Pictures: how training went, what digits look like, where a classifier decides what.

Each function draws with matplotlib (the extra `plot`), writes one file, whose format is that of its suffix (.png, .svg,
.pdf), and returns its path.
"""

from tinynn.pictures.curves import learning_curve
from tinynn.pictures.images import digits
from tinynn.pictures.plane import regions

__all__ = ["digits", "learning_curve", "regions"]
