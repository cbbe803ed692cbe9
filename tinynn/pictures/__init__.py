"""Pictures: how training went, what a classifier confuses, what its layers see, where it decides what.

Each function draws with matplotlib (the extra `plot`), writes one file, whose format is that of its suffix (.png, .svg,
.pdf), and returns its path.
"""

from tinynn.pictures.confusion_matrix import confusion
from tinynn.pictures.curves import learning_curve
from tinynn.pictures.first_weights import weights
from tinynn.pictures.images import digits
from tinynn.pictures.misread import misclassified
from tinynn.pictures.plane import regions
from tinynn.pictures.way import activations

__all__ = ["activations", "confusion", "digits", "learning_curve", "misclassified", "regions", "weights"]
