"""Draws digits on the page of `tinynn serve`, with a browser that a program drives, and photographs it.

python docs/screenshots.py --model out/mnist/model.npz writes docs/pictures/page-*.png. It needs the extras serve and
browser, and Chromium: the system's own, or one that Playwright has installed.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tinynn
from tinynn import ConfigurationError, MissingExtraError, TinynnError
from tinynn.app.page.serving import Served

__all__ = ["DIGITS", "chromium", "draw", "main", "served"]

Points = list[tuple[float, float]]
PICTURES = Path(__file__).with_name("pictures")
SPEED = 25  # pixels from one move of the mouse to the next


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float) -> Points:
    """Points of an ellipse around (x, y), the angles in degrees: 0 is to the right, 90 down."""
    angles = [math.radians(start + (end - start) * i / 16) for i in range(17)]
    return [(x + rx * math.cos(angle), y + ry * math.sin(angle)) for angle in angles]


DIGITS: dict[int, list[Points]] = {
    0: [arc(0.5, 0.5, 0.2, 0.29, -80, 280)],
    1: [[(0.56, 0.2), (0.46, 0.8)]],
    2: [[*arc(0.48, 0.36, 0.18, 0.16, -170, 30), (0.33, 0.78), (0.72, 0.77)]],
    3: [[*arc(0.46, 0.35, 0.17, 0.15, -150, 90), *arc(0.46, 0.66, 0.19, 0.16, -90, 140)]],
    4: [[(0.38, 0.22), (0.32, 0.52), (0.68, 0.5)], [(0.63, 0.24), (0.58, 0.8)]],
    5: [[(0.68, 0.22), (0.4, 0.23), (0.37, 0.47), *arc(0.47, 0.62, 0.19, 0.17, -110, 130)]],
    6: [[(0.6, 0.2), (0.44, 0.36), (0.37, 0.56), *arc(0.5, 0.63, 0.14, 0.15, 180, -170)]],
    7: [[(0.3, 0.25), (0.7, 0.24), (0.46, 0.8)]],
    8: [[*arc(0.5, 0.35, 0.13, 0.14, 60, -240), *arc(0.5, 0.64, 0.16, 0.16, -110, 240), (0.57, 0.47)]],
    9: [[*arc(0.48, 0.37, 0.15, 0.15, -20, -350), (0.64, 0.3), (0.6, 0.55), (0.54, 0.8)]],
}
"""For each digit its strokes, as points (x, y) in shares of the pad's side."""


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser. Errors: MissingExtraError without Playwright, ConfigurationError without a browser."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise MissingExtraError("playwright", extra="browser", purpose="driving a browser") from error
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    root = hasattr(os, "geteuid") and os.geteuid() == 0  # whom Chromium's sandbox refuses
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if root else [])
        except Error as error:
            raise ConfigurationError(
                "there is no browser to drive",
                where="playwright",
                expected="chromium on the PATH, or one that Playwright installed",
                got=str(error).strip().splitlines()[0],
                fix="apt-get install chromium, or python -m playwright install chromium",
            ) from error
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def served(net: Any, **options: Any) -> Iterator[str]:
    """The address of a server in a thread of its own."""
    server = Served(net, **options)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.address
    finally:
        server.stop()
        thread.join()


def draw(page: Any, digit: int) -> str:
    """Draws a digit on the page with the mouse, and returns the class that the network reads."""
    if page.is_enabled("#clear"):
        page.click("#clear")
    page.wait_for_selector("body[data-state=empty]")
    box = page.locator("#pad").bounding_box()
    for stroke in DIGITS[digit]:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*places[0])
        page.mouse.down()
        for before, place in itertools.pairwise(places):
            page.mouse.move(*place, steps=1 + int(math.dist(before, place) // SPEED))
        page.mouse.up()
    page.wait_for_selector("body[data-state=read]")
    return page.inner_text("#answer")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draws all ten digits, says which are read, and writes the pictures."""
    parser = argparse.ArgumentParser(description="Photographs the page that reads handwriting.")
    parser.add_argument("--model", default="out/mnist/model.npz", help="default: out/mnist/model.npz, by make mnist")
    parser.add_argument("--out", type=Path, default=PICTURES, help="the folder of the pictures")
    options = parser.parse_args(arguments)
    try:
        with served(tinynn.load(options.model), name="mnist") as address, chromium() as browser:
            photograph(browser, address, options.out)
    except TinynnError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def photograph(browser: Any, address: str, out: Path, digits: Sequence[int] = tuple(DIGITS)) -> None:
    """The page on a desk, in light and in dark, and on a phone; on the first of them these digits are read."""
    out.mkdir(parents=True, exist_ok=True)
    views = {
        "light": ({"width": 1120, "height": 820}, {"color_scheme": "light"}, 3),
        "dark": ({"width": 1120, "height": 820}, {"color_scheme": "dark"}, 5),
        "phone": ({"width": 390, "height": 844}, {"color_scheme": "light", "has_touch": True}, 8),
    }
    for name, (size, look, digit) in views.items():
        page = browser.new_page(viewport=size, reduced_motion="reduce", **look)
        page.goto(address)
        if name == "light":
            read = [draw(page, one) for one in digits]
            right = sum(a == str(b) for a, b in zip(read, digits, strict=True))
            print(f"read: {right} of {len(digits)}: {' '.join(read)}")
        draw(page, digit)
        page.screenshot(path=out / f"page-{name}.png", full_page=True)
        page.close()
        print(out / f"page-{name}.png")


if __name__ == "__main__":
    sys.exit(main())
