"""The Chinese README and tutorial are in step with the English ones, and a page that falls behind is named."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs import translations
from docs.translations import BLOCK, CHINESE, Pair, differences, filled, pairs

ROOT = Path(__file__).resolve().parents[1]
ENGLISH = """# A

Text with `name` and [a link](docs/layers.md), **0.06** of it, **3 of 7** at 98.4 %.

```python
print(1)
```

```text
1
```

## B

```sh
make test
```
"""
TRANSLATED = ENGLISH.replace("Text with", "文字").replace("of it", "的")


@pytest.mark.parametrize("pair", pairs(), ids=lambda pair: pair.name)
def test_a_translation_is_in_step(pair: Pair) -> None:
    assert pair.english.exists(), f"{pair.name} translates a page that is gone"
    assert pair.chinese.exists(), f"{pair.name} is missing: translate {pair.english.relative_to(ROOT)}"
    found = differences(pair.english.read_text(encoding="utf-8"), pair.chinese.read_text(encoding="utf-8"))
    assert not found, "python docs/translations.py; then, by hand, in " + "\n".join([f"{pair.name}:", *found])


@pytest.mark.parametrize("pair", pairs(), ids=lambda pair: pair.name)
def test_every_paragraph_is_translated(pair: Pair) -> None:
    text = BLOCK.sub("", pair.chinese.read_text(encoding="utf-8"))
    for paragraph in text.split("\n\n"):
        words = [line for line in paragraph.splitlines() if line.strip() and not line.startswith(("|", "$$"))]
        prose = "\n".join(words)
        if len(prose) > 40 and not prose.startswith(("![", "\\")):
            assert CHINESE.search(prose), prose
    assert not text.count("@@"), "a block that was never filled in"


def test_a_translation_that_is_in_step_has_nothing_to_say() -> None:
    assert differences(ENGLISH, TRANSLATED) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("```text\n1\n```\n", ""), "this block is missing, it stands under 'A':\n    ```text\n    1"),
        (("print(1)", "print(2)"), "the English page has no such block:\n    ```python\n    print(2)"),
        (("make test", "make tests"), "this block is missing, it stands under 'B'"),
        (("## B\n", ""), "1 headings, where the English page has 2"),
        (("## B", "### B"), "headings of other levels"),
        (("docs/layers.md", "docs/files.md"), "this link is missing: layers"),
        (("`name`", "`names`"), "this name in backquotes is missing: name"),
        (("`name`", "`names`"), "the English page has no such name in backquotes: names"),
        (("**3 of 7**", "**7 项中的 4 项**"), "this number is missing: 3"),
        (("98.4 %", "98.5 %"), "the English page has no such number: 98.5"),
        (("**0.06**", "**0.07**"), "this number is missing: 0.06"),
    ],
)
def test_what_is_out_of_step_is_named(change: tuple[str, str], said: str) -> None:
    assert change[0] in TRANSLATED
    assert any(difference.startswith(said) for difference in differences(ENGLISH, TRANSLATED.replace(*change)))


def test_blocks_in_another_order_are_noticed() -> None:
    first, second, _ = translations.blocks(ENGLISH)
    swapped = ENGLISH.replace(first, "@1").replace(second, "@2").replace("@1", second).replace("@2", first)
    assert differences(ENGLISH, swapped) == ["the blocks are in another order"]


def test_blocks_are_filled_in() -> None:
    old = TRANSLATED.replace("print(1)", "print(0)").replace("```sh\nmake test\n```", "@@")
    assert filled(ENGLISH, old) == TRANSLATED
    fewer = TRANSLATED.replace("```sh\nmake test\n```", "")
    assert filled(ENGLISH, fewer) == fewer


@pytest.fixture
def out_of_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of pages, of which one is not translated, one has no original, and one has an old block."""
    monkeypatch.setattr(translations, "ROOT", tmp_path)
    lessons, translated = tmp_path / "docs" / "tutorial", tmp_path / "docs" / "zh" / "tutorial"
    for folder, name in ((lessons, "new.md"), (lessons, "old.md"), (translated, "old.md"), (translated, "gone.md")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(ENGLISH if folder == lessons else TRANSLATED.replace("print(1)", "print(0)"))
    (tmp_path / "README.md").write_text(ENGLISH)
    (tmp_path / "README.zh.md").write_text("@@\n")
    return tmp_path


@pytest.mark.usefixtures("out_of_step")
def test_a_new_page_of_the_tutorial_wants_a_translation() -> None:
    names = [pair.name for pair in translations.pairs()]
    assert names == ["README.zh.md", *(f"docs/zh/tutorial/{name}.md" for name in ("gone", "new", "old"))]


def test_the_command_renews_and_reports(out_of_step: Path, capsys: pytest.CaptureFixture[str]) -> None:
    translations.main()
    said = capsys.readouterr().out
    assert "docs/tutorial/gone.md does not exist" in said
    assert "docs/zh/tutorial/new.md does not exist" in said
    assert "docs/zh/tutorial/old.md: blocks renewed" in said
    assert "README.zh.md: this block is missing" in said
    assert (out_of_step / "docs" / "zh" / "tutorial" / "old.md").read_text() == TRANSLATED
    assert (out_of_step / "README.zh.md").read_text() == "@@\n"


def test_it_runs_as_a_command(out_of_step: Path) -> None:
    """On a copy: it writes into the repository that it lies in."""
    copy = shutil.copy(translations.__file__, out_of_step / "docs")
    done = subprocess.run([sys.executable, copy], capture_output=True, text=True, check=True)
    assert "docs/zh/tutorial/old.md: blocks renewed" in done.stdout


def test_each_readme_leads_to_the_other() -> None:
    assert "(README.md)" in (ROOT / "README.zh.md").read_text(encoding="utf-8")
