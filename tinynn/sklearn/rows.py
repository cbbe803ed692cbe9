"""The rows that an estimator is given, as tinynn takes them: sparse ones made dense batch by batch; weights of rows."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_array

from tinynn.errors import LabelError

__all__ = ["SparseRows", "blocks", "dense", "together", "weights_of"]

BLOCK = 1024  # sparse rows that are made dense together to predict


class SparseRows:
    """A source for `fit`: `X`, a sparse matrix by rows, and arrays as long; only the rows asked for are made dense."""

    def __init__(self, X: Any, *arrays: np.ndarray) -> None:
        self.X, self.arrays = X, arrays

    def __len__(self) -> int:
        return self.X.shape[0]

    def take(self, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        """These rows of all."""
        return (self.X[rows].toarray(), *(array[rows] for array in self.arrays))


def together(X: Any, *arrays: np.ndarray | None) -> Any:
    """Inputs, targets, and weights where there are any, as `fit` takes them."""
    given = [array for array in arrays if array is not None]
    return SparseRows(X, *given) if issparse(X) else (X, *given)


def dense(X: Any) -> np.ndarray:
    """All rows as an array."""
    return X.toarray() if issparse(X) else X


def blocks(X: Any) -> Iterator[np.ndarray]:
    """The rows as arrays: at once, or sparse ones some at a time."""
    if not issparse(X):
        yield X
        return
    for start in range(0, X.shape[0], BLOCK):
        yield X[start : start + BLOCK].toarray()


def weights_of(sample_weight: Any, n: int, kind: str) -> np.ndarray | None:
    """The weights of n rows as float64; one number is that of every row. Errors: LabelError, a ValueError."""
    if sample_weight is None:
        return None
    if isinstance(sample_weight, Real):
        weights = np.full(n, float(sample_weight))
    else:
        weights = np.asarray(check_array(sample_weight, ensure_2d=False, input_name="sample_weight"), np.float64)
    wrong = weights.shape != (n,) or (weights < 0).any()
    if wrong or not weights.any():
        raise LabelError(
            "sample_weight is zero for every row" if not wrong else "sample_weight does not fit the rows",
            where=kind,
            expected=f"{n} numbers >= 0, not all of them zero",
            got=f"shape {weights.shape}" if weights.shape != (n,) else f"numbers from {weights.min():g} on",
            fix="give each row one weight, or leave sample_weight out",
        )
    return weights
