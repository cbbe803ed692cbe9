"""The same seed gives the same bits, in every process; nobody's random numbers are touched."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from ambient import numpy_state, set_numpy_seed
from checkpoint_helpers import X, network, outcome, trained

PROCESSES = 20
SCRIPT = f"""
    import sys
    sys.path.insert(0, {str(Path(__file__).parent)!r})
    from checkpoint_helpers import network, outcome, trained
    from tinynn import Conv2D, Flatten, Affine, Adam, Graph, MaxPool2D, ReLU, Sequential, SoftmaxCrossEntropy, fit
    import numpy as np
    net = network(sys.argv[1])
    print(outcome(net, trained(net)))
    rng = np.random.default_rng(0)
    layers = Conv2D(4, 3), ReLU(), MaxPool2D(2), Flatten(), Affine(5), SoftmaxCrossEntropy()
    net = Sequential(*layers).build((1, 8, 8), backend=sys.argv[1], seed=3)
    data = rng.random((50, 1, 8, 8)), rng.integers(0, 5, 50)
    print(outcome(net, fit(net, Adam(), data, epochs=3, batch_size=8, progress=False)), net.predict(data[0]).sum())
"""


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_20_processes_come_to_one_result(backend: str) -> None:
    count = PROCESSES if backend == "numpy" else 4  # each of these compiles first
    said = set()
    for start in range(0, count, 2):
        running = [
            subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(SCRIPT), backend],
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONHASHSEED": str(number) if number % 3 else "random"},
            )
            for number in range(start, start + 2)
        ]
        for process in running:
            said.add(process.communicate()[0])
            assert process.returncode == 0
    assert len(said) == 1 and len(said.pop().splitlines()) == 2


def test_global_random_numbers_are_left_alone(tmp_path: Path) -> None:
    set_numpy_seed(7)
    random.seed(7)
    before = numpy_state(), random.getstate()
    net = network()
    trained(net, checkpoint=tmp_path, epochs=2, validation=(X, np.zeros(len(X), int)))
    trained(network(), checkpoint=tmp_path, epochs=3, resume=True)
    net.predict(X)
    assert (numpy_state(), random.getstate()) == before


def test_another_seed_gives_another_result() -> None:
    results = set()
    for seed in range(3):
        net = network()
        results.add(outcome(net, trained(net, seed=seed, epochs=2)))
    assert len(results) == 3
