"""What CuPy can do on this GPU: a kernel, a captured graph, a training step of tinynn's, tried in this order.

`python -m tinynn.app.command.doctor_trial` prints a JSON object a line, {"kernel": ""} for what works and the
reason for what does not, and goes no further. It is a process of its own, since a driver that does not fit may end it.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["STAGES", "stages", "tried"]

SOURCE = 'extern "C" __global__ void plus_one(float* x) { x[threadIdx.x] += 1; }'
TOLERANCE = 1e-4


def kernel(xp: Any) -> None:
    """Compiles x <- x + 1, and runs it.

    Errors: RuntimeError where the result is wrong; whatever CuPy raises.
    """
    x = xp.zeros(8, np.float32)
    plus_one(xp)((1,), (8,), (x,))
    expect(xp, x, 1)


def graph(xp: Any) -> None:
    """Captures x <- x + 1 as a CUDA graph, and replays it twice. Errors: as `kernel`."""
    x, add = xp.zeros(8, np.float32), plus_one(xp)
    xp.cuda.get_current_stream().synchronize()
    stream = xp.cuda.Stream(non_blocking=True)
    with stream:
        add((1,), (8,), (x,))
        stream.begin_capture()
        add((1,), (8,), (x,))  # recorded, not run
        captured = stream.end_capture()
        for _ in range(2):
            captured.launch()
        stream.synchronize()
    expect(xp, x, 3)


def step(xp: Any, device: Any = "cupy") -> None:
    """Trains a small network by captured steps on that backend; the parameters are those of the same run on NumPy.

    Errors: RuntimeError where they are not; a warning that fit goes on without a graph is one too.
    """
    from tinynn.layers import Affine, ReLU
    from tinynn.losses import SoftmaxCrossEntropy
    from tinynn.network import Sequential
    from tinynn.optim import SGD
    from tinynn.training.fit import fit

    rng = np.random.default_rng(0)
    data = rng.standard_normal((40, 6)).astype(np.float32), rng.integers(0, 3, 40)
    found = []
    for backend in ("numpy", device):
        layers = Affine(8), ReLU(), Affine(3), SoftmaxCrossEntropy()
        net = Sequential(*layers).build((6,), backend=backend, seed=0)
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            fit(net, SGD(0.1), data, epochs=2, batch_size=8, progress=False)
        found.append(net.ops.to_host(net.storage.params))
    apart = np.abs(found[0] - found[1]).max()
    if not apart <= TOLERANCE:
        raise RuntimeError(f"the parameters differ from NumPy's by {apart:.2g}")


STAGES: dict[str, Callable[[Any], None]] = {"kernel": kernel, "graph": graph, "step": step}


def plus_one(xp: Any) -> Any:
    return xp.RawModule(code=SOURCE).get_function("plus_one")


def expect(xp: Any, x: Any, value: float) -> None:
    if not (xp.asnumpy(x) == value).all():
        raise RuntimeError(f"the result is wrong: {xp.asnumpy(x).tolist()} where every number should be {value}")


def tried(xp: Any, some: dict[str, Callable[[Any], None]] = STAGES) -> dict[str, str]:
    """Each stage with "" or what went wrong, up to the first that does not work."""
    found: dict[str, str] = {}
    for name, stage in some.items():
        try:
            stage(xp)
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            found[name] = f"{type(error).__name__}: {lines[0]}"
            break
        found[name] = ""
    return found


def stages(text: str) -> dict[str, str]:
    """What the process printed, read again; lines of anybody else are passed over, and one that was broken off."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict):
            found |= {name: str(reason) for name, reason in said.items() if name in STAGES}
    return found


def main() -> None:
    """Prints after each stage, so that what had worked is known when the next one ends the process."""
    try:
        import cupy  # pyright: ignore[reportMissingImports]
    except Exception as error:  # its libraries may be missing, too
        print(json.dumps({"kernel": f"import cupy fails: {type(error).__name__}: {error}"}), flush=True)
        return
    for name, stage in STAGES.items():
        found = tried(cupy, {name: stage})
        print(json.dumps(found), flush=True)
        if found[name]:
            return


if __name__ == "__main__":
    main()
