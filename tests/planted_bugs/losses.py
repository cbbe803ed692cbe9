"""Losses with one bug each: a wrong mean, sign or label."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn import QuadraticCost, SoftmaxCrossEntropy


class NotDividedByN(SoftmaxCrossEntropy):
    def backward(self, dL: Any, cache: Any) -> Any:
        dscores, _ = super().backward(dL, cache)
        return dscores * len(dscores), None


class DividedByClassesToo(SoftmaxCrossEntropy):
    def backward(self, dL: Any, cache: Any) -> Any:
        dscores, _ = super().backward(dL, cache)
        return dscores / dscores.shape[1], None


class LabelsFromOne(SoftmaxCrossEntropy):
    def backward(self, dL: Any, cache: Any) -> Any:
        p, targets = cache
        return super().backward(dL, (p, (targets - 1) % p.shape[1]))


class IncomingIgnored(SoftmaxCrossEntropy):
    def backward(self, dL: Any, cache: Any) -> Any:
        return super().backward(1.0, cache)


class LogarithmWithFloor(SoftmaxCrossEntropy):
    def forward(self, scores: Any, targets: Any, weights: Any = None) -> Any:
        loss, cache = super().forward(scores, targets, weights)
        return -np.log(np.exp(-loss) + self.dtype.type(1e-3)), cache


class Twice(QuadraticCost):
    def backward(self, dL: Any, cache: Any) -> Any:
        return 2 * super().backward(dL, cache)[0], None


class OnAndOffSwapped(QuadraticCost):
    def backward(self, dL: Any, cache: Any) -> Any:
        diff, share = cache
        return super().backward(dL, (diff + (self.on - self.off), share))


class TargetMinusOutput(QuadraticCost):
    def backward(self, dL: Any, cache: Any) -> Any:
        return super().backward(-dL, cache)
