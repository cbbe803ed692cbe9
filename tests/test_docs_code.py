"""The programs in the documentation run, and print what stands below them; the README has a test of its own."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from test_readme import same_text

ROOT = Path(__file__).parents[1]
PAGES = {page.relative_to(ROOT).as_posix(): page for page in sorted((ROOT / "docs").rglob("*.md"))}
FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MARK = "----- next block -----"
NOT_RUN_AT_MOST = 3  # of all pages together


def blocks(text: str) -> list[tuple[str, str, str]]:
    """The fenced blocks of a page: language, what else stands in the fence's first line, and what is in it."""
    return [(language, more.strip(), code) for language, more, code in FENCE.findall(text)]


def programs(text: str) -> list[tuple[str, str]]:
    """Every Python block, with the text block that follows it as the expected output."""
    found = blocks(text)
    following = [*found, ("", "", "")][1:]
    return [
        (code, expected if kind == "text" else "")
        for (language, more, code), (kind, _, expected) in zip(found, following, strict=True)
        if language == "python" and not more.startswith("no-run")
    ]


def run(text: str, folder: Path) -> None:
    """Runs all blocks of a page as one script, and compares what each prints."""
    script = folder / "page.py"
    script.write_text(f"\nprint({MARK!r})\n".join(code for code, _ in programs(text)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", script], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    for printed, (code, expected) in zip(done.stdout.split(MARK + "\n"), programs(text), strict=True):
        assert same_text(printed, expected), code


# A translation has the programs of its original, which need not run twice.
DIFFERENT = {
    str(found): name for name, path in reversed(PAGES.items()) if (found := programs(path.read_text(encoding="utf-8")))
}


@pytest.mark.parametrize("page", DIFFERENT.values())
def test_programs_run_and_print_what_the_page_shows(page: str, tmp_path: Path) -> None:
    run(PAGES[page].read_text(encoding="utf-8"), tmp_path)


def printed_by(lines: str, folder: Path) -> str:
    """What lines of shell print that call tinynn: what they are asked for, or what is wrong and what to do."""
    said = ""
    for line in lines.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "tinynn"
        command = [sys.executable, "-W", "error", "-m", "tinynn", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        assert done.returncode == (2 if done.stderr.startswith("tinynn: ") else 0), done.stderr
        said += done.stdout or done.stderr
    return said


def test_command_lines_print_what_the_page_shows(tmp_path: Path) -> None:
    """One after the other, in the folder of the page's Python, which writes their files."""
    text = PAGES["docs/guide/command_line.md"].read_text(encoding="utf-8")
    run(text, tmp_path)
    shown = [
        (code, expected)
        for (language, _, code), (kind, _, expected) in pairwise(blocks(text))
        if language == "sh" and kind == "text"
    ]
    assert len(shown) > 5
    for code, expected in shown:
        assert same_text(printed_by(code, tmp_path), expected), code


def test_the_book_has_programs() -> None:
    assert sum(len(programs(path.read_text(encoding="utf-8"))) for path in PAGES.values()) > 60


def test_what_is_not_run_says_why() -> None:
    """`python no-run="reason"`: a fence like that is counted, and there are few."""
    fences = [
        (name, more)
        for name, path in PAGES.items()
        for language, more, _ in blocks(path.read_text(encoding="utf-8"))
        if language == "python" and more
    ]
    for name, more in fences:
        assert re.fullmatch(r'no-run="[^"]{10,}"', more), f"{name}: {more}"
    assert len(fences) <= NOT_RUN_AT_MOST


@pytest.mark.parametrize(
    "page",
    ["print(1)\n```\n\n```text\n2\n", "raise ValueError\n", "import warnings\nwarnings.warn('old')\n", "print(1)\n"],
)
def test_a_page_that_is_wrong_is_noticed(page: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        run(f"```python\n{page}```\n", tmp_path)


def test_what_is_marked_is_not_run(tmp_path: Path) -> None:
    left_out = '```python no-run="it is wrong, as a test"\nraise ValueError\n```\n'
    run(left_out + "\n```python\nprint(1)\n```\n\n```text\n1\n```\n", tmp_path)
