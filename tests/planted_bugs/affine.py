"""The affine layer with one bug each: a wrong sum, axis or transpose, or memory that is not its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn import Affine


class DividedByNTwice(Affine):
    def backward(self, dy: Any, x: Any) -> Any:
        dx = super().backward(dy, x)
        self.dW /= len(x)
        return dx


class SumOverWrongAxis(Affine):  # of shape (N,), which for N = M goes unnoticed
    def backward(self, dy: Any, x: Any) -> Any:
        dx = super().backward(dy, x)
        self.db[...] = dy.sum(axis=1)
        return dx


class TransposedSquare(Affine):
    def backward(self, dy: Any, x: Any) -> Any:
        dx = super().backward(dy, x)
        self.dW[...] = dy.T @ x
        return dx


class UntransposedW(Affine):
    def backward(self, dy: Any, x: Any) -> Any:
        super().backward(dy, x)
        return dy @ self.W


class ForgottenBias(Affine):
    def backward(self, dy: Any, x: Any) -> Any:
        self.dW[...] = x.T @ dy
        return dy @ self.W.T


class ForgottenWeights(Affine):
    def backward(self, dy: Any, x: Any) -> Any:
        self.db[...] = dy.sum(axis=0)
        return dy @ self.W.T


class WeightsPartlyWritten(Affine):
    def backward(self, dy: Any, x: Any) -> Any:
        self.dW[:-1] = x.T[:-1] @ dy
        self.db[...] = dy.sum(axis=0)
        return dy @ self.W.T


class OnlyFirstRow(Affine):
    def backward(self, dy: Any, x: Any) -> Any:
        dx = super().backward(dy, x)
        self.dW[...] = np.outer(x[0], dy[0])
        return dx


class MeanForBias(Affine):
    def backward(self, dy: Any, x: Any) -> Any:
        dx = super().backward(dy, x)
        self.db[...] = dy.mean(axis=0)
        return dx


class DecayedBias(Affine):
    def backward(self, dy: Any, x: Any) -> Any:
        dx = super().backward(dy, x)
        self.db += 0.01 * self.b
        return dx


class DecayInTheLayer(Affine):
    def backward(self, dy: Any, x: Any) -> Any:
        dx = super().backward(dy, x)
        self.dW += 0.01 * self.W
        return dx


class Accumulated(Affine):
    def backward(self, dy: Any, x: Any) -> Any:
        self.dW += x.T @ dy
        self.db[...] = dy.sum(axis=0)
        return dy @ self.W.T


class AccumulatedOverNan(Affine):  # works around the NaN that gradients are born with
    def backward(self, dy: Any, x: Any) -> Any:
        self.dW[...] = np.nan_to_num(self.dW) + x.T @ dy
        self.db[...] = dy.sum(axis=0)
        return dy @ self.W.T


class Rebound(Affine):
    def backward(self, dy: Any, x: Any) -> Any:
        self.dW = x.T @ dy
        self.db[...] = dy.sum(axis=0)
        return dy @ self.W.T


class NothingReturned(Affine):
    def backward(self, dy: Any, x: Any) -> Any:
        super().backward(dy, x)


class StepTakenInBackward(Affine):
    def backward(self, dy: Any, x: Any) -> Any:
        dx = super().backward(dy, x)
        self.W -= 0.1 * self.dW
        return dx


class WeightsNormalisedInForward(Affine):
    def forward(self, x: Any) -> Any:
        self.W /= np.abs(self.W).sum()
        return super().forward(x)


class DxOfFlattenedShape(Affine):
    def backward(self, dy: Any, x: Any) -> Any:
        dx = super().backward(dy, x)
        return None if dx is None else dx.reshape(len(x), -1)


class RowsLaidOutInMemoryOrder(Affine):
    def forward(self, x: Any) -> Any:
        return super().forward(x.ravel(order="K").reshape(x.shape))


class LatestInput(Affine):
    def forward(self, x: Any) -> Any:
        self.latest = x.copy()
        return super().forward(x)

    def backward(self, dy: Any, x: Any) -> Any:
        return super().backward(dy, self.latest)


class PredictWithoutBias(Affine):
    def predict(self, x: Any) -> Any:
        return x @ self.W


class ColumnTooMany(Affine):
    def forward(self, x: Any) -> Any:
        y, cache = super().forward(x)
        return np.hstack([y, y[:, :1]]), cache
