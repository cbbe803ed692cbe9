"""Keeps the Chinese pages in step with the English ones: the same code blocks, links, numbers and names.

    python docs/translations.py        puts the English code blocks into the Chinese pages, and says what else differs

Blocks are never translated, so they are equal to the byte. Where an English page has got more of them, or fewer, the
place is named, and a person has to write the sentences around them first. In a translation a line "@@" alone stands for
the block at that place.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```[^\n]*\n.*?^```$", re.DOTALL | re.MULTILINE)
PLACE = re.compile(r"^```[^\n]*\n.*?^```$|^@@$", re.DOTALL | re.MULTILINE)
CHINESE = re.compile(r"[\u4e00-\u9fff]")


class Pair(NamedTuple):
    """An English page and its translation."""

    english: Path
    chinese: Path

    @property
    def name(self) -> str:
        """The translation's path, to speak of it."""
        return self.chinese.relative_to(ROOT).as_posix()


def pairs() -> list[Pair]:
    """The README, and every page of the tutorial that has a translation or should have one."""
    lessons = sorted((ROOT / "docs" / "tutorial").glob("*.md"))
    translated = (ROOT / "docs" / "zh" / "tutorial").glob("*.md")
    names = sorted({page.name for page in [*lessons, *translated]})
    tutorial = [Pair(ROOT / "docs" / "tutorial" / name, ROOT / "docs" / "zh" / "tutorial" / name) for name in names]
    return [Pair(ROOT / "README.md", ROOT / "README.zh.md"), *tutorial]


def blocks(text: str) -> list[str]:
    """The code blocks of a page, fences included."""
    return [found[0] for found in BLOCK.finditer(text)]


def headings(text: str) -> list[int]:
    """How deep each heading is, in their order."""
    return [len(line) - len(line.lstrip("#")) for line in BLOCK.sub("", text).splitlines() if line.startswith("#")]


def links(text: str) -> Counter[str]:
    """The pages and pictures that are linked, without their folders, which differ; and without the other language."""
    found = re.findall(r"\]\(([^)#]+)", BLOCK.sub("", text))
    return Counter(Path(link).stem for link in found if "README" not in link and "zh/" not in link)


def names(text: str) -> Counter[str]:
    """What stands in backquotes, which is never translated."""
    found = re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", BLOCK.sub("", text))
    return Counter(" ".join(name.split()) for name in found)


def numbers(text: str) -> Counter[str]:
    """The numbers with a point, and those in bold: figures of benchmarks, which change."""
    prose = re.sub(r"`[^`]+`|\]\([^)]+\)", "", BLOCK.sub("", text))
    bold = " ".join(re.findall(r"\*\*([^*]+)\*\*", prose))
    return Counter(re.findall(r"\d+\.\d+", prose) + re.findall(r"(?<![\d.])\d+(?![\d.])", bold))


def under(text: str, block: str) -> str:
    """The heading that a block stands under."""
    before = BLOCK.sub("", text[: text.index(block)])
    titles = [line for line in before.splitlines() if line.startswith("#")]
    return titles[-1].lstrip("# ") if titles else "its first line"


def opening(block: str) -> str:
    """The first lines of a block, to know it by."""
    return "\n".join(f"    {line}" for line in block.splitlines()[:3])


def differences(english: str, chinese: str) -> list[str]:
    """What a translation lacks, has too much of, or has in another order; nothing if it is in step."""
    theirs, ours = blocks(english), blocks(chinese)
    found = [
        f"this block is missing, it stands under {under(english, block)!r}:\n{opening(block)}"
        for block in Counter(theirs) - Counter(ours)
    ]
    found += [f"the English page has no such block:\n{opening(block)}" for block in Counter(ours) - Counter(theirs)]
    if not found and theirs != ours:
        found.append("the blocks are in another order")
    if len(headings(english)) != len(headings(chinese)):
        found.append(f"{len(headings(chinese))} headings, where the English page has {len(headings(english))}")
    elif headings(english) != headings(chinese):
        found.append("headings of other levels")
    for what, of in (("link", links), ("name in backquotes", names), ("number", numbers)):
        in_english, in_chinese = (
            Counter({" ".join(key.split()): n for key, n in of(t).items()}) for t in (english, chinese)
        )
        found += [f"this {what} is missing: {key}" for key in in_english.keys() - in_chinese.keys()]
        found += [f"the English page has no such {what}: {key}" for key in in_chinese.keys() - in_english.keys()]
    return found


def filled(english: str, chinese: str) -> str:
    """The translation with the English blocks in the places of its own; as it is where they are not as many."""
    theirs = blocks(english)
    if len(PLACE.findall(chinese)) != len(theirs):
        return chinese
    upcoming = iter(theirs)
    return PLACE.sub(lambda found: next(upcoming), chinese)


def main() -> None:
    """Fills in the blocks, and says what a person has to do."""
    for pair in pairs():
        if not (pair.english.exists() and pair.chinese.exists()):
            absent = pair.chinese if pair.english.exists() else pair.english
            print(f"{absent.relative_to(ROOT)} does not exist")
            continue
        english, chinese = (path.read_text(encoding="utf-8") for path in pair)
        now = filled(english, chinese)
        if now != chinese:
            pair.chinese.write_text(now, encoding="utf-8")
            print(f"{pair.name}: blocks renewed")
        for difference in differences(english, now):
            print(f"{pair.name}: {difference}")


if __name__ == "__main__":
    main()
