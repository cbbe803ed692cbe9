"""scikit-learn's estimators of neural networks, trained by tinynn: the same names, parameters and attributes.

    from tinynn.sklearn import MLPClassifier  # instead of sklearn.neural_network

With the same `random_state` the same weights come out, but for rounding. What is added: `dropout`, `class_weight`,
activations layer by layer, any list of `layers`, `callbacks`, `backend`, `dtype`, and `net_`, the network itself.
"""

from importlib.util import find_spec as _find_spec

from tinynn.errors import MissingExtraError as _MissingExtraError

if _find_spec("sklearn") is None:  # asked here, once, since every file below imports it
    raise _MissingExtraError("scikit-learn", extra="sklearn", purpose="tinynn.sklearn")

from tinynn.sklearn.classifier import MLPClassifier
from tinynn.sklearn.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
