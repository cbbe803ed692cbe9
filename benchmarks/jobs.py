"""The jobs that are timed, and what tinynn is to reach on each."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

__all__ = ["BEST_PEER", "JOBS", "Goal", "Job", "from_dict"]

BEST_PEER = "best peer"
"""Stands in a goal for the peer that is fastest on the job."""

EPOCH_ROWS = 50_000


@dataclass(frozen=True)
class Goal:
    """What tinynn may take. It is met when one of the limits that are given holds.

    `against`: the key of a contender, or BEST_PEER; "" where only `step_us` is given. `ratio`: the largest share of
    the other's time. `extra_us`: so many microseconds a step above the other's time. `step_us`: so many a step in all.
    `alone`: whether it is meant for NumPy alone, or else for any backend that runs on this machine's processor.
    """

    against: str = ""
    ratio: float | None = None
    extra_us: float | None = None
    step_us: float | None = None
    alone: bool = False


@dataclass(frozen=True)
class Job:
    """Work that every contender can be asked to do, in float32.

    `kind`: "step" is forward, backward and update on `steps` batches that lie ready; "epoch" is `steps` batches with
    shuffling and gathering; "predict" is one call for each of `steps` single rows.
    `inputs`: the shape of a row. `hidden`: the widths of a dense network's hidden layers, or "lenet". `activation`: of
    the hidden layers; with the quadratic loss the outputs are sigmoids too. `made`: rows of no meaning, not MNIST's.
    """

    name: str
    title: str
    kind: Literal["step", "epoch", "predict"]
    inputs: tuple[int, ...]
    hidden: tuple[int, ...] | Literal["lenet"]
    classes: int
    batch: int
    steps: int
    activation: Literal["relu", "sigmoid"] = "relu"
    loss: Literal["softmax", "quadratic"] = "softmax"
    lr: float = 0.05
    made: bool = False
    goals: tuple[Goal, ...] = ()

    @property
    def rows(self) -> int:
        return self.batch * self.steps

    @property
    def widths(self) -> tuple[int, ...]:
        """Of a dense network, from the inputs to the outputs."""
        assert self.hidden != "lenet"
        return (*self.inputs, *self.hidden, self.classes)

    @property
    def unit(self) -> str:
        """What the time is given for."""
        return "prediction" if self.kind == "predict" else "step"

    def shorter(self, share: float) -> Job:
        """The same with fewer steps."""
        return replace(self, steps=max(1, round(self.steps * share)))

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it; `from_dict` turns it back."""
        return asdict(self)


def from_dict(fields: dict[str, Any]) -> Job:
    """The job that `as_dict` was asked for, from JSON's lists."""
    hidden = fields["hidden"]
    return Job(
        **{
            **fields,
            "inputs": tuple(fields["inputs"]),
            "hidden": hidden if hidden == "lenet" else tuple(hidden),
            "goals": tuple(Goal(**goal) for goal in fields["goals"]),
        }
    )


FLOOR = Goal("bare_numpy", ratio=1.10, extra_us=8)
AHEAD = Goal(BEST_PEER, ratio=1.0)
NEAR = Goal(BEST_PEER, ratio=1 / 0.85, alone=True)


def dense(name: str, hidden: tuple[int, ...], batch: int, steps: int, *goals: Goal) -> Job:
    """A step on MNIST's images, ReLU and softmax."""
    title = f"{'-'.join(map(str, (784, *hidden, 10)))}, batch {batch}"
    return Job(name, title, "step", (784,), hidden, 10, batch, steps, goals=(*goals, FLOOR))


JOBS = {
    job.name: job
    for job in (
        Job(
            "nielsen",
            "Nielsen epoch, 784-30-10, batch 10",
            "epoch",
            (784,),
            (30,),
            10,
            batch=10,
            steps=EPOCH_ROWS // 10,
            activation="sigmoid",
            loss="quadratic",
            lr=3.0,
            goals=(
                Goal(step_us=50),
                Goal("torch", ratio=1 / 12),
                Goal("jax_jit", ratio=1 / 3),
                Goal("jax_scan", ratio=1 / 2.3),
                Goal("network_py", ratio=1 / 24),
                FLOOR,
            ),
        ),
        Job(
            "quadrant",
            "2-50-4, batch 4",
            "step",
            (2,),
            (50,),
            4,
            batch=4,
            steps=4000,
            made=True,
            goals=(Goal("torch", ratio=1 / 5), Goal("jax_jit", ratio=1 / 1.5), FLOOR),
        ),
        dense("mlp100-32", (100,), 32, 1500, AHEAD),
        dense("mlp100-128", (100,), 128, 400, AHEAD),
        dense("mlp100-1024", (100,), 1024, 50, AHEAD),
        dense("mlp512", (512, 512), 128, 80, NEAR, AHEAD),
        dense("mlp1024", (1024, 1024), 1024, 12, NEAR, AHEAD),
        Job("lenet", "LeNet-like CNN, batch 64", "step", (1, 28, 28), "lenet", 10, 64, 32, lr=0.01, goals=(AHEAD,)),
        Job(
            "predict",
            "one digit, 784-100-10",
            "predict",
            (784,),
            (100,),
            10,
            batch=1,
            steps=3000,
            goals=(Goal("onnxruntime", ratio=1.5), Goal("torch", ratio=1 / 3)),
        ),
    )
}
"""By name. The steps are as many as take some 0.1 to 0.5 s together; so what `fit` does once, recording and compiling a
step, weighs little."""
