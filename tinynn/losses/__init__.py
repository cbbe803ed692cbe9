"""The losses: each file names its own in `__all__`, and has one line here."""

from tinynn.losses.elementwise import *
from tinynn.losses.loss import *
from tinynn.losses.quadratic import *
from tinynn.losses.softmax import *

__all__ = sorted(name for name, thing in globals().items() if isinstance(thing, type))
