"""The layers: each file names its own in `__all__`, and has one line here."""

from tinynn.layer import Layer
from tinynn.layers.activations import *
from tinynn.layers.affine import *
from tinynn.layers.batch_norm import *
from tinynn.layers.clip import *
from tinynn.layers.convolution import *
from tinynn.layers.dropout import *
from tinynn.layers.embedding import *
from tinynn.layers.layer_norm import *
from tinynn.layers.linear_units import *
from tinynn.layers.merge import *
from tinynn.layers.pooling import *
from tinynn.layers.rescale import *
from tinynn.layers.shape import *
from tinynn.layers.smooth_units import *
from tinynn.layers.softmax import *

__all__ = sorted(name for name, thing in globals().items() if isinstance(thing, type) and thing is not Layer)
