"""Pictures, and what docs/digitise.md makes of them, for every language in which it is written.

`python -m tests.digitise_vectors` writes tests/digitise_vectors.json anew. The outputs come from `by_the_book`, which
follows the page step by step in Python's own integers, and not from the code that is tested with them.
"""

from __future__ import annotations

import base64
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["PATH", "by_the_book", "pictures", "read"]

PATH = Path(__file__).with_name("digitise_vectors.json")
Rows = list[list[int]]


def divided(a: int, b: int) -> int:
    return (2 * a + b) // (2 * b)


def by_the_book(v: Rows) -> Rows | None:
    """The nine steps; None for a blank picture."""
    H, W = len(v), len(v[0])
    edge = sorted([*v[0], *v[-1], *(row[0] for row in v), *(row[-1] for row in v)])
    g = edge[H + W - 1]
    lighter, darker = max(map(max, v)) - g, g - min(map(min, v))
    most = max(lighter, darker)
    if most < 32:
        return None
    sign = 1 if lighter >= darker else -1
    v = [[divided(255 * max(sign * (pixel - g), 0), most) for pixel in row] for row in v]
    v = [[0 if pixel < 64 else pixel for pixel in row] for row in v]
    ys = [y for y in range(H) if any(v[y])]
    xs = [x for x in range(W) if any(row[x] for row in v)]
    v = [row[xs[0] : xs[-1] + 1] for row in v[ys[0] : ys[-1] + 1]]
    h, w = len(v), len(v[0])
    n, m = max(1, divided(20 * h, max(h, w))), max(1, divided(20 * w, max(h, w)))
    v = [scaled(row, m, 65536) for row in v]
    v = transposed([scaled(column, n, 1) for column in transposed(v)])
    largest = max(map(max, v))
    v = [[divided(255 * value, largest) for value in row] for row in v]
    y, x = place(v), place(transposed(v))
    out = [[0] * 28 for _ in range(28)]
    for i, row in enumerate(v):
        out[y + i][x : x + m] = row
    return out


def scaled(line: list[int], n: int, fine: int) -> list[int]:
    a, out = len(line), []
    for i in range(n):
        weights = [max(0, 2 * max(a, n) - abs(n * (2 * j + 1) - a * (2 * i + 1))) for j in range(a)]
        out.append(divided(fine * sum(w * p for w, p in zip(weights, line, strict=True)), sum(weights)))
    return out


def transposed(v: Rows) -> Rows:
    return [list(column) for column in zip(*v, strict=True)]


def place(v: Rows) -> int:
    M, M1 = sum(map(sum, v)), sum(i * sum(row) for i, row in enumerate(v))
    return min(max((28 * M - 2 * M1 + M) // (2 * M), 0), 28 - len(v))


def stroke(shape: tuple[int, int], points: list[tuple[float, float]], width: float) -> np.ndarray:
    """A line through points (x, y), given as shares of the sides, light on dark with soft edges."""
    H, W = shape
    y, x = np.mgrid[:H, :W]
    ink = np.zeros(shape)
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        ax, ay, dx, dy = x0 * W, y0 * H, (x1 - x0) * W, (y1 - y0) * H
        t = np.clip(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy), 0, 1)
        ink = np.maximum(ink, np.clip(width / 2 + 0.5 - np.hypot(x - ax - t * dx, y - ay - t * dy), 0, 1))
    return np.round(ink * 255).astype(np.uint8)


def pictures() -> dict[str, np.ndarray]:
    """The inputs, by name."""
    rng = np.random.default_rng(7)
    seven = [(0.2, 0.2), (0.8, 0.2), (0.45, 0.85)]
    one = [(0.5, 0.1), (0.5, 0.9)]
    plain = stroke((28, 28), seven, 2.5)
    speck = np.zeros((60, 45), np.uint8)
    speck[13, 37] = 200
    paper = np.clip(190 - 0.5 * stroke((50, 40), seven, 4) + rng.integers(-12, 13, (50, 40)), 0, 255)
    corners = np.zeros((90, 90), np.uint8)
    corners[[0, 89], [0, 89]] = 255
    heavy = np.zeros((22, 22), np.uint8)
    heavy[1:21, 1:7], heavy[10, 20] = 255, 70
    both = np.full((9, 9), 100, np.uint8)
    both[2:7, 2], both[4, 4:8] = 160, 40
    return {
        "light on dark": plain,
        "dark on light": 255 - plain,
        "moved into a corner": np.pad(plain, ((40, 0), (0, 31))),
        "large": stroke((110, 80), seven, 8),
        "tiny": stroke((9, 7), seven, 1),
        "a hair's line": stroke((130, 100), seven, 0.6),
        "a tall stroke": stroke((80, 30), one, 6),
        "a wide stroke": stroke((80, 30), one, 6).T,
        "a speck": speck,
        "a picture of one row": np.array([[0, 0, 0, 9, 200, 255, 120, 0, 0, 0, 0]], np.uint8),
        "as much lighter as darker": both,
        "ink to the edge": np.pad(np.full((20, 20), 255, np.uint8), ((0, 30), (0, 30))),
        "two specks far apart": corners,
        "noisy paper": paper.astype(np.uint8),
        "heavy on one side": heavy,
        "noise": rng.integers(0, 256, (37, 53)).astype(np.uint8),
        "two gray values of the ground": np.repeat(np.array([[10, 30], [10, 30], [200, 30], [10, 30]], np.uint8), 5, 0),
        "blank": np.full((30, 30), 255, np.uint8),
        "faint": np.pad(np.full((5, 5), 31, np.uint8), 8),
        "just not faint": np.pad(np.full((5, 5), 32, np.uint8), 8),
    }


def encoded(array: np.ndarray) -> str:
    return base64.b64encode(array.astype(np.uint8).tobytes()).decode()


def read() -> list[dict[str, Any]]:
    """The vectors, with arrays: name, image, and digit, which is None where a picture is to be refused."""
    found = []
    for one in json.loads(PATH.read_text(encoding="utf-8")):
        image = np.frombuffer(base64.b64decode(one["pixels"]), np.uint8).reshape(one["height"], one["width"])
        digit = one["digit"] and np.frombuffer(base64.b64decode(one["digit"]), np.uint8).reshape(28, 28)
        found.append({"name": one["name"], "image": image, "digit": digit})
    return found


def text() -> str:
    """What the file holds."""
    rows = []
    for name, image in pictures().items():
        digit = by_the_book(image.tolist())
        row = {"name": name, "height": image.shape[0], "width": image.shape[1], "pixels": encoded(image)}
        rows.append(json.dumps({**row, "digit": digit and encoded(np.array(digit))}))
    return "[\n" + ",\n".join(rows) + "\n]\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
    print(f"{PATH}: {len(pictures())} pictures")
