"""Times a step of 784-width-10 over widths and batches: where small networks end, and a peer overtakes tinynn.

    python -m benchmarks.sweep              three minutes; writes sweep.json and step_time.png, both part of RESULTS.md
    python -m benchmarks.sweep --widths 16 64 --batches 8 --out FOLDER

`python -m benchmarks.run --full` includes it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.contenders import CATALOGUE, LLVM, OURS
from benchmarks.jobs import Job
from benchmarks.measure import Crew, Settings, measure, say
from benchmarks.report import crossovers

__all__ = ["BATCHES", "NAMES", "WIDTHS", "draw", "job_of", "main", "sweep"]

WIDTHS, BATCHES = (16, 64, 256, 1024), (1, 8, 32, 128, 512)
NAMES = (OURS, LLVM, "torch", "jax_jit")
SETTINGS = Settings(rounds=5, trials=3, longest=0.5)


def job_of(width: int, batch: int) -> Job:
    """One point. As many steps as take roughly a tenth of a second, from a guess of what one takes."""
    guess = 20e-6 + 6 * batch * width * (784 + 10) / 60e9
    steps = min(max(10, int(0.1 / guess)), 1500, max(10, 20_000 // batch))
    title = f"784-{width}-10, batch {batch}"
    return Job(f"{width}x{batch}", title, "step", (784,), (width,), 10, batch, steps, made=True)


def sweep(
    names: list[str],
    widths: tuple[int, ...] = WIDTHS,
    batches: tuple[int, ...] = BATCHES,
    settings: Settings = SETTINGS,
) -> dict[str, Any]:
    """What the JSON file holds of it."""
    points = []
    with Crew() as crew:
        for batch in batches:
            for width in widths:
                found = measure(job_of(width, batch), names, crew, settings)["contenders"]
                times = {name: one["median"] for name, one in found.items()}
                chosen = {name: {"threads": one["threads"], "form": one["form"]} for name, one in found.items()}
                points.append({"width": width, "batch": batch, "times": times, "chosen": chosen})
    return {
        "points": points,
        "over_width": crossovers(points, "width", "batch"),
        "over_batch": crossovers(points, "batch", "width"),
    }


def draw(found: dict[str, Any], file: Path) -> None:
    """The picture of a sweep, shaded where a peer crosses a line of tinynn."""
    names = names_of(found["points"])
    shades: dict[int, list[tuple[int, int, str]]] = {}
    for point in found["over_width"]:
        if point["from"] is not None:
            color = f"C{names.index(point['ours'])}"
            shades.setdefault(point["batch"], []).append((point["from"], point["to"], color))
    title = (
        "784-width-10, ReLU, softmax: forward, backward, update. Shaded as a line of tinynn: there a peer crosses it."
    )
    picture(found["points"], {name: CATALOGUE[name].label for name in names}, shades, title, file)


def names_of(points: list[dict[str, Any]]) -> list[str]:
    """Who was measured at any point."""
    return list(dict.fromkeys(name for point in points for name in point["times"]))


def picture(
    points: list[dict[str, Any]],
    labels: dict[str, str],
    shades: dict[int, list[tuple[int, int, str]]],
    title: str,
    file: Path,
    dashed: tuple[str, ...] = (),
) -> None:
    """A panel for each batch: microseconds a step over the width, both axes logarithmic.

    `shades`: for a batch, from which width to which, and in what colour.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    batches = sorted({point["batch"] for point in points})
    figure, panels = plt.subplots(
        1, len(batches), figsize=(3 * len(batches), 4), sharey=True, squeeze=False, layout="constrained"
    )
    for panel, batch in zip(panels[0], batches, strict=True):
        line = sorted((p for p in points if p["batch"] == batch), key=lambda point: point["width"])
        for number, (name, label) in enumerate(labels.items()):
            here = [point for point in line if name in point["times"]]
            style: Any = {"linestyle": "--" if name in dashed else "-", "color": f"C{number}"}
            widths, times = [p["width"] for p in here], [p["times"][name] for p in here]
            panel.loglog(widths, times, marker="os^Dv"[number % 5], label=label, **style)
        for start, end, color in shades.get(batch, ()):
            panel.axvspan(start, end, color=color, alpha=0.12, linewidth=0, zorder=0)
        panel.set_title(f"batch {batch}")
        panel.set_xlabel("width of the hidden layer")
        widths = sorted({point["width"] for point in line})
        panel.set_xticks(widths, [str(width) for width in widths])
        panel.minorticks_off()
        panel.grid(True, which="major", color="0.85")
    panels[0][0].set_ylabel("one step, us")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=len(labels))
    figure.suptitle(title)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sweep", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS, help="of the hidden layer")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder (default benchmarks/)")
    args = parser.parse_args(arguments)
    found = sweep(list(NAMES), tuple(args.widths), tuple(args.batches))
    draw(found, args.out / "step_time.png")
    (args.out / "sweep.json").write_text(json.dumps(found, indent=1) + "\n")
    say(f"{args.out / 'sweep.json'} and {args.out / 'step_time.png'} are written")


if __name__ == "__main__":
    machine.restart_unforced()
    main()
