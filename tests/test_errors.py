"""The error tree: four parts that can be read and printed, and the built-in exceptions that callers expect."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinynn
from tinynn import (
    ConfigurationError,
    DataError,
    DeviceError,
    GradientError,
    LabelError,
    MissingExtraError,
    NonFiniteError,
    NotBuiltError,
    ShapeError,
    StateError,
    TinynnError,
)

BUILTIN = {
    ConfigurationError: (ValueError,),
    ShapeError: (ValueError,),
    LabelError: (ValueError,),
    DataError: (ValueError,),
    StateError: (RuntimeError,),
    NotBuiltError: (StateError, RuntimeError, AttributeError),
    NonFiniteError: (StateError, RuntimeError, FloatingPointError),
    DeviceError: (TypeError,),
    GradientError: (AssertionError,),
    MissingExtraError: (ImportError,),
}
PLAIN = [kind for kind in BUILTIN if kind is not MissingExtraError]
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=30)


def test_the_tree_is_complete_and_every_error_is_what_a_caller_would_have_caught() -> None:
    raised = {value for value in vars(tinynn).values() if isinstance(value, type) and issubclass(value, TinynnError)}
    assert raised == {TinynnError, *BUILTIN}
    for kind, bases in BUILTIN.items():
        assert all(issubclass(kind, base) for base in (*bases, TinynnError, Exception))


@pytest.mark.parametrize("kind", PLAIN)
@given(what=TEXT, parts=st.fixed_dictionaries({}, optional=dict.fromkeys(("where", "expected", "got", "fix"), TEXT)))
def test_the_text_is_what_and_a_line_for_each_part(kind: type[TinynnError], what: str, parts: dict[str, str]) -> None:
    error = kind(what, **parts)
    lines = str(error).split("\n")
    assert lines[0] == error.what == what
    order = [part for part in ("where", "expected", "got", "fix") if part in parts]
    assert lines[1:] == [f"  {part + ':':<10}{parts[part]}" for part in order]
    for part in ("where", "expected", "got", "fix"):
        assert getattr(error, part) == parts.get(part)


def test_parts_may_be_any_object_and_falsy_ones_are_shown() -> None:
    error = ShapeError("wrong", expected=(3,), got=0)
    assert (error.expected, error.got) == ((3,), 0)
    assert str(error) == "wrong\n  expected: (3,)\n  got:      0"


@given(
    path=TEXT,
    line=st.none() | st.integers(1, 10**6),
    offset=st.none() | st.integers(0, 10**12),
)
def test_a_data_error_says_where_in_the_file(path: str, line: int | None, offset: int | None) -> None:
    error = DataError("bad", path=Path(path), line=line, offset=offset)
    assert error.path == str(Path(path))
    assert (error.line, error.offset) == (line, offset)
    where = str(Path(path)) + (f", line {line}" if line is not None else "")
    assert error.where == where + (f", byte {offset}" if offset is not None else "")
    assert f"where:    {error.where}" in str(error)


def test_a_data_error_without_a_file_says_which_argument() -> None:
    error = DataError("bad", where="fit, train, row 3")
    assert (error.path, error.where) == (None, "fit, train, row 3")


def test_a_missing_extra_says_how_to_install_it() -> None:
    error = MissingExtraError("matplotlib", extra="plot", purpose="drawing a learning curve")
    assert (error.package, error.extra) == ("matplotlib", "plot")
    assert str(error).startswith("drawing a learning curve needs the package matplotlib")
    assert error.fix == 'pip install "tinynn-xp[plot]"'


def errors() -> list[TinynnError]:
    made: list[TinynnError] = [kind("what", where="here", expected=(3,), got=[4], fix="this") for kind in PLAIN]
    made.append(DataError("what", path="a/b", line=17, offset=3, got="x"))
    made.append(MissingExtraError("pooch", extra="download", purpose="a download"))
    wrong = GradientError("what", where="layer 1")
    wrong.array, wrong.index = "dW", (0, 3)
    return [*made, wrong]


@pytest.mark.parametrize("error", errors(), ids=lambda error: type(error).__name__)
def test_an_error_survives_the_way_between_processes(error: TinynnError) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)
