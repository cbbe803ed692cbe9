"""Layers that break one rule each, most with gradients that are right: what only `check_layer` can see."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import numpy as np

from planted_bugs.custom import Gain, Half
from tinynn import Layer, ReLU, Sequential
from tinynn.init import ones, zeros


class Share(Layer):
    """y = factor x / D, D being the number of features."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def build(self, shape: Any) -> Any:
        self.share = self.factor / shape[-1]
        return shape

    def forward(self, x: Any) -> Any:
        return x * self.share, None

    def backward(self, dy: Any, cache: Any) -> Any:
        return dy * self.share


class Level(Layer):
    """y = x - the mean of x over the batch; at inference, over the batches so far."""

    predict_differs = True

    def build(self, shape: Any) -> Any:
        self.state("mean", shape, zeros)
        return shape

    def forward(self, x: Any) -> Any:
        mean = x.mean(axis=0)
        self.mean += 0.5 * (mean - self.mean)
        return x - mean, None

    def backward(self, dy: Any, cache: Any) -> Any:
        return dy - dy.mean(axis=0)

    def predict(self, x: Any) -> Any:
        return x - self.mean


class Mask(Layer):
    """y = x m, m of zeros and twos that differ from step to step."""

    predict_differs = True

    def build(self, shape: Any) -> Any:
        self.state("step", (1,), zeros)
        return shape

    def forward(self, x: Any) -> Any:
        m = 2 * ((np.arange(x.size).reshape(x.shape) + self.step) % 2).astype(x.dtype)
        self.step += 1
        return x * m, m

    def backward(self, dy: Any, m: Any) -> Any:
        return dy * m

    def predict(self, x: Any) -> Any:
        return x.copy()


# --- what predict does


class PredictInFloat64(Gain):
    def predict(self, x: Any) -> Any:
        return x.astype(np.float64) * self.g


class PredictWritesIntoX(ReLU):
    def predict(self, x: Any) -> Any:
        return np.maximum(x, 0, out=x)


class PredictLearns(Level):
    def predict(self, x: Any) -> Any:
        self.mean += 0.01
        return x - self.mean


class BatchMeanInPredict(Level):
    def predict(self, x: Any) -> Any:
        return x - x.mean(axis=0)


class MaskInPredict(Mask):
    def predict(self, x: Any) -> Any:
        return x * (2 * ((np.arange(x.size).reshape(x.shape) + self.step) % 2)).astype(x.dtype)


class NoiseInPredict(Mask):
    def predict(self, x: Any) -> Any:
        return x + 1e-3 * np.random.default_rng().standard_normal(x.shape).astype(x.dtype)


class ScaledByTheBatch(Mask):
    def predict(self, x: Any) -> Any:
        return x / np.abs(x).max(initial=1e-9)


class LargestOfNone(Gain):
    def predict(self, x: Any) -> Any:
        return np.minimum(x * self.g, x.max() * 1e9 + 1e9)


class MeanOfNone(Gain):
    def predict(self, x: Any) -> Any:
        return x * self.g + 0 * x.mean(axis=0)


class FlattenedByMinusOne(Gain):
    def predict(self, x: Any) -> Any:
        return (x.reshape(len(x), -1) * self.g.reshape(-1)).reshape(x.shape)


class OneRowForNone(Gain):
    def predict(self, x: Any) -> Any:
        return x * self.g if len(x) else np.zeros((1, *x.shape[1:]), x.dtype)


# --- what is kept between calls


class Roomy(Gain):
    def build(self, shape: Any) -> Any:
        self.room = np.empty((16, *shape))
        return super().build(shape)


class OutputInOwnRoom(Roomy):
    def predict(self, x: Any) -> Any:
        return np.multiply(x, self.g, out=self.room[: len(x)].view(), casting="same_kind").astype(x.dtype, copy=False)


class WorkInOwnRoom(Roomy):
    def predict(self, x: Any) -> Any:
        work = self.room[: len(x)]
        work[...] = x
        work *= self.g
        return work.astype(x.dtype)


class SizeOfFirstBatch(Gain):
    def forward(self, x: Any) -> Any:
        self.n = self.__dict__.get("n", len(x))
        return super().forward(x)

    def backward(self, dy: Any, x: Any) -> Any:
        dx = super().backward(dy, x)
        self.dg *= self.n / len(x)
        return dx


class RoomOfFirstBatch(Half):
    def forward(self, x: Any) -> Any:
        held = self.__dict__.setdefault("_rooms", threading.local()).__dict__
        room = held.setdefault("room", np.empty(x.shape, x.dtype))[: len(x)]
        return np.multiply(x, 0.5, out=room), None


class RaggedBatchForgotten(Gain):
    def forward(self, x: Any) -> Any:
        self.most = max(self.__dict__.get("most", 0), len(x))
        return super().forward(x)

    def backward(self, dy: Any, x: Any) -> Any:
        dx = super().backward(dy, x)
        if len(x) < self.most:
            self.dg *= len(x) / self.most
        return dx


class MaskInSelf(ReLU):
    def forward(self, x: Any) -> Any:
        self.mask = x > 0
        return super().forward(x)

    def backward(self, dy: Any, y: Any) -> Any:
        return dy * self.mask


class DxAccumulated(Gain):
    def build(self, shape: Any) -> Any:
        self.kept = {}
        return super().build(shape)

    def backward(self, dy: Any, x: Any) -> Any:
        dx = self.kept.setdefault(len(x), np.zeros_like(x))
        dx += super().backward(dy, x)
        return dx


class SizesInTheClass(Share):
    sizes: ClassVar[list[int]] = []

    def build(self, shape: Any) -> Any:
        self.sizes.append(shape[-1])
        return shape

    def forward(self, x: Any) -> Any:
        return x * (self.factor / self.sizes[-1]), None

    def backward(self, dy: Any, cache: Any) -> Any:
        return dy * (self.factor / self.sizes[-1])


class GainsInTheClass(Gain):
    held: ClassVar[dict[str, Any]] = {}

    def forward(self, x: Any) -> Any:
        self.held["g"] = self.g.copy()
        return super().forward(x)

    def backward(self, dy: Any, x: Any) -> Any:
        super().backward(dy, x)
        return dy * self.held["g"]


class InputBorrowed(Half):  # and given back, but whoever reads it meanwhile is misled
    def forward(self, x: Any) -> Any:
        old = x.copy()
        x *= 0.5
        y = x.copy()
        x[...] = old
        return y, None


# --- how many rows there are


class MeanOverThree(Gain):
    def backward(self, dy: Any, x: Any) -> Any:
        dx = super().backward(dy, x)
        self.dg *= 3 / len(x)
        return dx


class RightForOneAndThree(Gain):
    def backward(self, dy: Any, x: Any) -> Any:
        dx = super().backward(dy, x)
        return dx if len(x) in (1, 3) else dx * 1.01


class RoundedDown(Half):
    def forward(self, x: Any) -> Any:
        return x * (1 // 2), None


class Uphill(Gain):
    def backward(self, dy: Any, x: Any) -> Any:
        dx = super().backward(dy, x)
        self.dg *= -1
        return dx


# --- where dx is not wanted


class CrashWithoutDx(Gain):
    def backward(self, dy: Any, x: Any) -> Any:
        dx: Any = super().backward(dy, x) if self.needs_dx else None
        return dx.reshape(x.shape)


class NothingWithoutDx(Gain):
    def backward(self, dy: Any, x: Any) -> Any:
        return super().backward(dy, x) if self.needs_dx else None


# --- random numbers and other things that belong to everybody


class GlobalNoise(Half):
    def forward(self, x: Any) -> Any:
        return x * 0.5 + 0 * np.random.standard_normal(), None


class GlobalSeed(Half):
    def __init__(self) -> None:
        np.random.seed(0)


class OverflowSilenced(Half):
    def forward(self, x: Any) -> Any:
        np.seterr(over="ignore", under="raise")
        return super().forward(x)


class GainsFromNowhere(Gain):
    def build(self, shape: Any) -> Any:
        self.param("g", shape, lambda rng, shape: np.random.default_rng().standard_normal(shape))
        return shape


# --- what is carried along


class NamesCounted(Gain):
    count = 0

    def __init__(self) -> None:
        type(self).count += 1
        self.name = f"g{self.count}"

    def build(self, shape: Any) -> Any:
        self.param(self.name, shape, ones)
        return shape

    def forward(self, x: Any) -> Any:
        return x * getattr(self, self.name), x

    def backward(self, dy: Any, x: Any) -> Any:
        getattr(self, f"d{self.name}")[...] = (dy * x).sum(axis=0)
        return dy * getattr(self, self.name)


class MeanInAttribute(Level):
    def build(self, shape: Any) -> Any:
        self.mean = np.zeros(shape)
        return shape

    def predict(self, x: Any) -> Any:
        return x - self.mean.astype(x.dtype)


class CopyForgetsFactor(Share):
    def __deepcopy__(self, memo: Any) -> Any:
        return type(self)()


class PickleForgetsFactor(Share):
    def __deepcopy__(self, memo: Any) -> Any:
        return type(self)(self.factor)

    def __reduce__(self) -> Any:
        return type(self), ()


class LockInSelf(Share):
    def build(self, shape: Any) -> Any:
        self.lock = threading.Lock()
        return super().build(shape)


class SizeOfFirstBuild(Share):
    def build(self, shape: Any) -> Any:
        self.share = self.__dict__.get("share", self.factor / shape[-1])
        return shape


class BuildsCounted(Gain):
    def build(self, shape: Any) -> Any:
        self.builds = self.__dict__.get("builds", 0) + 1
        self.param("g", shape, ones(None, shape) * self.builds)  # pyright: ignore[reportArgumentType]
        return shape


# --- in a network


class OtherWithinANetwork(Gain):
    def backward(self, dy: Any, x: Any) -> Any:
        return super().backward(dy, x) * (1 if self.where == repr(self) else 2)


class TakesAnyCache(Sequential):
    def backward(self, dy: Any, cache: Any) -> Any:
        return self.run_backward(dy, cache.caches)


class OtherOnCupy(Half):
    def forward(self, x: Any) -> Any:
        return x * (0.5 if self.ops.name == "numpy" else 0.25), None

    def backward(self, dy: Any, cache: Any) -> Any:
        return dy * (0.5 if self.ops.name == "numpy" else 0.25)
