"""ONNX Runtime: an inference session on a model that is built here."""

from __future__ import annotations

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.contenders import threads_given
from benchmarks.jobs import Job
from benchmarks.material import Material
from benchmarks.reference import steps_to_check

__all__ = ["Contender", "model"]


def model(job: Job, params: tuple[np.ndarray, ...]) -> bytes:
    """A dense network with ReLU and softmax, from input x to output p."""
    nodes, last = [], len(params) - 2
    for i in range(0, len(params), 2):
        name = "x" if i == 0 else f"a{i - 2}"
        nodes.append(helper.make_node("Gemm", [name, f"p{i}", f"p{i + 1}"], [f"z{i}"]))
        operator, out = ("Softmax", "p") if i == last else ("Relu", f"a{i}")
        nodes.append(helper.make_node(operator, [f"z{i}"], [out]))
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *job.inputs])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["N", job.classes])],
        [numpy_helper.from_array(p, f"p{i}") for i, p in enumerate(params)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return made.SerializeToString()


class Contender:
    """One call of `session.run` for a prediction."""

    def __init__(self, job: Job, what: Material, form: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads_given() or 0
        options.inter_op_num_threads = 1
        self.job, self.x = job, what.x
        self.session = onnxruntime.InferenceSession(
            model(job, what.params), options, providers=["CPUExecutionProvider"]
        )

    def reset(self) -> None:
        """Nothing changes."""

    def train(self, steps: int) -> None:
        """Nothing is learned: it is asked for predictions alone."""

    def run(self, seed: int, steps: int) -> None:
        run, x = self.session.run, self.x
        for i in range(steps):
            run(None, {"x": x[i : i + 1]})

    def values(self) -> list[float]:
        (p,) = self.session.run(None, {"x": self.x[: steps_to_check(self.job)]})
        return [float(value) for value in np.asarray(p).reshape(-1)]

    def versions(self) -> dict[str, str]:
        return {"onnxruntime": onnxruntime.__version__}
