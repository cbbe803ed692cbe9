"""Writes tests/torch_numbers.npz: networks of PyTorch's, their inputs and what they make of them; run where it is.

    python tests/torch_numbers.py

The layers are those of `NETS` in test_torch_weights.py, in the same order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["FILE", "networks"]

FILE = Path(__file__).with_suffix(".npz")


def networks(torch: Any) -> dict[str, tuple[Any, Any]]:
    """PyTorch's networks with an input each, at inference, nothing in them as it was born."""
    nn = torch.nn
    torch.manual_seed(7)
    nets = {
        "rows": (
            nn.Sequential(
                nn.Linear(5, 8), nn.BatchNorm1d(8), nn.PReLU(8), nn.LayerNorm(8), nn.Dropout(0.5),
                nn.Sequential(nn.Linear(8, 6), nn.GELU()), nn.RMSNorm(6), nn.Linear(6, 3),
            ),
            torch.randn(4, 5),
        ),
        "images": (
            nn.Sequential(
                nn.Conv2d(2, 4, 3, padding=1, stride=2, groups=2), nn.BatchNorm2d(4), nn.ReLU(), nn.GroupNorm(2, 4),
                nn.PReLU(), nn.Conv2d(4, 3, (2, 1)), nn.Flatten(), nn.Linear(24, 3),
            ),
            torch.randn(4, 2, 6, 8),
        ),
        "words": (nn.Sequential(nn.Embedding(9, 3), nn.Flatten(), nn.Linear(12, 2)), torch.randint(0, 9, (4, 4))),
    }  # fmt: skip
    for net, _ in nets.values():
        for array in (*net.parameters(), *net.buffers()):
            if array.dtype.is_floating_point:
                array.data += 0.3 * torch.rand_like(array)
        net.eval()
    return nets


def main() -> None:
    import torch  # pyright: ignore[reportMissingImports]

    arrays = {}
    for name, (net, x) in networks(torch).items():
        arrays[f"{name}/x"] = x.numpy()
        arrays[f"{name}/y"] = net(x).detach().numpy()
        arrays |= {f"{name}/state/{key}": value.numpy() for key, value in net.state_dict().items()}
    np.savez_compressed(FILE, **arrays)
    print(f"{FILE}: PyTorch {torch.__version__}, {len(arrays)} arrays")


if __name__ == "__main__":
    main()
