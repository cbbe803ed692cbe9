"""The matrix products of the job and nothing else, by cuBLAS through PyTorch, as one CUDA graph."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.contenders.gemm_floor import sizes
from benchmarks.contenders.gpu import Form
from benchmarks.contenders.gpu.torch_eager import explicit
from benchmarks.jobs import Job
from benchmarks.material import Material

__all__ = ["Contender"]


class Contender:
    """Forward, dW, and dx of all layers but the first; in bfloat16 what is read and written is bfloat16."""

    def __init__(self, job: Job, what: Material, form: str) -> None:
        precision = Form.of(form).precision
        explicit(precision, autotuned=False)
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self.calls: list[tuple[Any, Any, Any]] = []
        backward: list[tuple[Any, Any, Any]] = []
        for layer, (rows, D, M) in enumerate(sizes(job)):
            x, W, dy = (torch.rand(shape, device="cuda", dtype=dtype) for shape in ((rows, D), (D, M), (rows, M)))
            self.calls.append((x, W, torch.empty_like(dy)))
            backward.append((x.T, dy, torch.empty_like(W)))
            if layer:
                backward.append((dy, W.T, torch.empty_like(x)))
        self.calls += backward
        self.graph = self.captured()

    def captured(self) -> Any:
        """A step as a graph: what is left is the work of the device."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self.multiply()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.multiply()
        return graph

    def multiply(self) -> None:
        """All products once."""
        for a, b, out in self.calls:
            torch.mm(a, b, out=out)

    def reset(self) -> None:
        """There is nothing to go back to."""
        torch.cuda.synchronize()

    def train(self, steps: int) -> None:
        for _ in range(steps):
            self.graph.replay()
        torch.cuda.synchronize()

    def run(self, seed: int, steps: int) -> None:
        self.train(steps)

    def values(self) -> list[float]:
        """None: it computes no loss."""
        return []

    def versions(self) -> dict[str, str]:
        return {"torch": torch.__version__}
