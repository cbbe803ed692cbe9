"""scikit-learn: one `partial_fit` of an MLPClassifier with plain gradient descent, the weights set beforehand."""

from __future__ import annotations

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier

from benchmarks.jobs import Job
from benchmarks.material import Material
from benchmarks.reference import steps_to_check

__all__ = ["Contender"]


class Contender:
    """Without momentum and weight decay; the rows are not shuffled."""

    def __init__(self, job: Job, what: Material, form: str) -> None:
        self.job, self.x, self.labels, self.params = job, what.x, what.labels.astype(np.int64), what.params
        self.net = MLPClassifier(
            job.hidden,
            activation="relu",
            solver="sgd",
            alpha=0.0,
            batch_size=job.batch,  # pyright: ignore[reportArgumentType] (by its types only "auto")
            learning_rate_init=job.lr,
            momentum=0.0,
            nesterovs_momentum=False,
            shuffle=False,
            random_state=0,
        )
        # The first call makes the weights, in the dtype of the rows; they are then overwritten in place.
        self.net.partial_fit(self.x[: job.batch], self.labels[: job.batch], classes=np.arange(job.classes))
        self.reset()

    def reset(self) -> None:
        for mine, value in zip(self.net.coefs_, self.params[::2], strict=True):
            mine[...] = value
        for mine, value in zip(self.net.intercepts_, self.params[1::2], strict=True):
            mine[...] = value

    def train(self, steps: int) -> None:
        rows = steps * self.job.batch
        self.net.partial_fit(self.x[:rows], self.labels[:rows])

    def run(self, seed: int, steps: int) -> None:
        if self.job.kind == "step":
            self.train(steps)
        else:
            for i in range(steps):
                self.net.predict_proba(self.x[i : i + 1])

    def values(self) -> list[float]:
        if self.job.kind == "predict":
            rows = self.x[: steps_to_check(self.job)]
            return [float(p) for p in np.asarray(self.net.predict_proba(rows)).reshape(-1)]
        B = self.job.batch
        p = np.asarray(self.net.predict_proba(self.x[:B]), np.float64)
        return [float(-np.log(p[np.arange(B), self.labels[:B]]).mean())]

    def versions(self) -> dict[str, str]:
        return {"scikit-learn": sklearn.__version__, "numpy": np.__version__}
