"""CSV files as tables: what is read, and forty files that are refused with the line and the column that is wrong."""

from __future__ import annotations

import csv
import io
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from data_helpers import refused
from hypothesis import given

from tinynn.data import csv_rows as csv_module
from tinynn.data.table import read_features, read_table
from tinynn.errors import DataError

IRIS = "length,width,species\n5.1,3.5,setosa\n7.0,3.2,versicolor\n6.3,3.3,virginica\n"


def file(folder: Path, content: str | bytes, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_texts_are_classes_in_the_order_of_the_alphabet(tmp_path: Path) -> None:
    table = read_table(file(tmp_path, "a,b,kind\n1,2,pear\n3,4.5,apple\n\n5e-1,-6,pear\n"))
    assert (table.features, table.target, table.classes) == (("a", "b"), "kind", ("apple", "pear"))
    np.testing.assert_array_equal(table.x, [[1, 2], [3, 4.5], [0.5, -6]])
    assert table.t is not None
    assert table.t.dtype == np.int64
    assert (table.t.tolist(), table.lines.tolist()) == ([1, 0, 1], [2, 3, 5])


@pytest.mark.parametrize(
    "content",
    [
        IRIS,
        "\ufeff" + IRIS,
        IRIS.replace("\n", "\r\n"),
        IRIS.replace(",", ";"),
        IRIS.replace(",", "\t"),
        IRIS.replace(",", " , "),
        "\n\n" + IRIS + "\n\n",
        IRIS.rstrip("\n"),
        IRIS.replace("setosa", '"setosa"').replace("length", '"length"'),
    ],
)
def test_the_same_table_in_other_dress(content: str, tmp_path: Path) -> None:
    table = read_table(file(tmp_path, content))
    assert (table.features, table.classes) == (("length", "width"), ("setosa", "versicolor", "virginica"))
    np.testing.assert_array_equal(table.x, [[5.1, 3.5], [7, 3.2], [6.3, 3.3]])
    assert table.t is not None and table.t.tolist() == [0, 1, 2]


def test_a_column_may_be_called_as_an_excel_sheet_begins(tmp_path: Path) -> None:
    assert read_table(file(tmp_path, "PK,a,t\n1,2,x\n3,4,y\n")).features == ("PK", "a")


def test_without_a_header_columns_are_called_by_their_numbers(tmp_path: Path) -> None:
    path = file(tmp_path, "5.1,3.5,setosa\n7.0,3.2,versicolor\n")
    table = read_table(path)
    assert (table.features, table.target, table.lines.tolist()) == (("1", "2"), "3", [1, 2])
    labelled_first = read_table(file(tmp_path, "7,0,255\n1,9,0\n"), target="1")
    assert (labelled_first.features, labelled_first.classes) == (("2", "3"), ("1", "7"))


def test_the_target_is_a_column_of_any_place(tmp_path: Path) -> None:
    table = read_table(file(tmp_path, "kind,a,b\nx,1,2\ny,3,4\n"), target="kind")
    assert (table.features, table.x.tolist()) == (("a", "b"), [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("cells", "kind", "classes"),
    [
        (["1", "2", "10"], None, ("1", "2", "10")),
        (["-1", "+1", "-1"], None, ("-1", "+1")),
        (["1.0", "2.0", "1.0"], None, None),
        ([str(n) for n in range(20)], None, tuple(map(str, range(20)))),
        ([str(n) for n in range(21)], None, None),
        ([str(n) for n in range(1500)], None, None),
        (["1", "2"], "numbers", None),
        (["2.5", "1.5"], "classes", ("1.5", "2.5")),
        (["1", "other"], "classes", ("1", "other")),
        (["True", "False"], None, ("False", "True")),
    ],
)
def test_what_is_a_class(cells: list[str], kind: str | None, classes: tuple[str, ...] | None, tmp_path: Path) -> None:
    table = read_table(file(tmp_path, "x,t\n" + "".join(f"1,{cell}\n" for cell in cells)), kind=kind)
    assert table.classes == classes
    assert table.t is not None
    if classes is None:
        assert table.t.tolist() == [float(cell) for cell in cells]
    else:
        assert [classes[k] for k in table.t] == cells


def test_another_table_of_the_same_columns(tmp_path: Path) -> None:
    first = read_table(file(tmp_path, IRIS))
    second = read_table(file(tmp_path, "species,id,width,length\nvirginica,1,2,3\n"), like=first)
    assert (second.features, second.classes, second.x.tolist()) == (first.features, first.classes, [[3, 2]])
    assert second.t is not None and second.t.tolist() == [2]
    refused(lambda: read_table(file(tmp_path, "length,width,species\n1,2,rose\n"), like=first), tmp_path, line=2)
    refused(lambda: read_table(file(tmp_path, "width,species\n1,setosa\n"), like=first), tmp_path, says="'length'")
    numbers = read_table(file(tmp_path, "a,t\n1,1.5\n"))
    assert read_table(file(tmp_path, "t,a\n7,1\n"), like=numbers).t == [7]


def test_features_alone(tmp_path: Path) -> None:
    table = read_features(file(tmp_path, IRIS), ["width", "length"])
    assert (table.x.tolist()[0], table.t, table.lines.tolist()) == ([3.5, 5.1], None, [2, 3, 4])
    assert read_features(file(tmp_path, "1,2\n3,4\n"), ["a", "b"]).x.tolist() == [[1, 2], [3, 4]]
    assert read_features(file(tmp_path, "1,2,no\n"), ["1", "2"]).x.tolist() == [[1, 2]]
    assert read_features(file(tmp_path, "1\n\n2\n"), ["1"]).x.tolist() == [[1], [2]]
    refused(lambda: read_features(file(tmp_path, "1,2,3\n"), ["a", "b"]), tmp_path, says="without a header")
    refused(lambda: read_features(file(tmp_path, "1,2\n"), ["1", "2", "3"]), tmp_path, says="2 without a header")


HOSTILE: dict[str, tuple[str | bytes, int | None, str]] = {
    "empty": ("", None, "no rows"),
    "blank lines alone": ("\n\n  \n", None, "no rows"),
    "a header alone": ("a,b,c\n", None, "a header and no row"),
    "one column": ("a\n1\n2\n", None, "one column"),
    "a row too short": ("a,b,t\n1,2,x\n1,y\n", 3, "3 columns"),
    "a row too long": ("a,b,t\n1,2,x\n1,2,3,y\n", 3, "4 columns"),
    "one class": ("a,t\n1,x\n2,x\n", None, "one class"),
    "one row": ("1,2,0\n", None, "one class"),
    "NaN": ("a,t\n1,x\nnan,y\n", 3, "column 'a'"),
    "N/A": ("a,t\n1,x\nN/A,y\n", 3, "fill in a number"),
    "infinity": ("a,t\n1,x\n-inf,y\n", 3, "finite"),
    "a number beyond float64": ("a,t\n1,x\n1e999,y\n", 3, "finite"),
    "a missing value": ("a,b,t\n1,2,x\n1,,y\n", 3, "column 'b'"),
    "a missing target": ("a,t\n1,x\n2,\n", 3, "a target is missing"),
    "text among the features": ("a,color,t\n1,2,x\n1,red,y\n", 3, "'red'"),
    "underscores": ("a,t\n1,x\n1_000,y\n", 3, "'1_000'"),
    "digits of another script": ("a,t\n1,x\n\u0661,y\n", 3, "column 'a'"),
    "a decimal comma": ('a;t\n"1";x\n"3,5";y\n', 3, "with a point"),
    "hexadecimal": ("a,t\n1,x\n0x10,y\n", 3, "'0x10'"),
    "two numbers in a cell": ("a,t\n1,x\n1 2,y\n", 3, "'1 2'"),
    "a header with a name twice": ("a,a,t\n1,2,x\n", 1, "one name"),
    "a header with a gap, as pandas writes it": (",a,t\n0,1,x\n", 1, "index=False"),
    "a quote that does not end": ('a,t\n1,"x\n2,y\n', 2, "every quote closed"),
    "a quote within a cell": ('a,t\n1,"x"y\n2,y\n', 2, "columns"),
    "a huge cell": ("a,t\n1," + "x" * 200_000 + "\n", 2, "128 KiB"),
    "a long name of a class": ("a,t\n1," + "x" * 101 + "\n", 2, "100 printable"),
    "a class that rings": ("a,t\n1,x\n2,\x07\n", 3, "printable"),
    "UTF-16": (IRIS.encode("utf-16"), 1, "UTF-16"),
    "UTF-16 without a mark": (IRIS.encode("utf-16-le"), 1, "no text"),
    "Latin-1": ("a,t\n1,x\n2,f\xfcnf\n".encode("latin-1"), 3, "byte 0xFC"),
    "an Excel sheet": (b"PK\3\4" + bytes(50), 1, "Excel"),
    "gzip": (b"\x1f\x8b\x08" + bytes(50), 1, "gzip"),
    "a null character": ("a,t\n1,x\0\n", 2, "null"),
    "old Mac line ends": ("a,t\r1,x\r2,y\r", 1, "columns"),
    "numbers, then a text": ("a,t\n1,0.5\n2,0.25\n3,?\n", 4, "numbers and texts"),
    "texts, then a number": ("a,t\n1,x\n2,y\n3,7\n", 2, "as on line 4"),
    "more classes than can be": ("a,t\n" + "".join(f"1,x{n}\n" for n in range(1001)), 1002, "1,000 classes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_its_line(name: str, tmp_path: Path) -> None:
    content, line, says = HOSTILE[name]
    path = file(tmp_path, content)
    refused(lambda: read_table(path), path, line=line, says=says)


def test_more_that_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    iris = file(tmp_path, IRIS)
    error = refused(lambda: read_table(iris, target="specie"), iris, says="length, width, species")
    assert error.fix == "'species'?"
    bare = file(tmp_path, "1,2,0\n3,4,1\n", "bare.csv")
    refused(lambda: read_table(bare, target="9"), bare, says="1 to 3")
    numbers = file(tmp_path, "a,t\n1,2\n3,x\n", "numbers.csv")
    refused(lambda: read_table(numbers, kind="numbers"), numbers, line=3, says="no finite number")
    many = file(tmp_path, "a,t\n" + "".join(f"1,{n}\n" for n in range(1001)), "many.csv")
    refused(lambda: read_table(many, kind="classes"), many, line=1002)
    monkeypatch.setattr(csv_module, "LONGEST", 100)
    long = file(tmp_path, "a,t\n1," + "x" * 100 + "\n", "long.csv")
    refused(lambda: read_table(long), long, line=2, says="too long")
    refused(lambda: read_table(tmp_path / "none.csv"), tmp_path / "none.csv", says="does not exist")
    refused(lambda: read_table(tmp_path), tmp_path, says="folder")


def test_memory_is_that_of_the_numbers_and_not_of_the_texts(tmp_path: Path) -> None:
    path = file(tmp_path, "a,b,t\n" + "1.234567890123,2.345678901234,a class\n0,0,another class\n" * 10_000)
    tracemalloc.start()
    table = read_table(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    held = table.x.nbytes + table.lines.nbytes + 8 * len(table.x)
    assert peak < 3 * held + (1 << 20)


@given(
    st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**15), 10**15)), min_size=2),
    st.sampled_from([",", ";", "\t"]),
    st.booleans(),
    st.data(),
)
def test_what_the_csv_module_writes_comes_back(
    rows: list[tuple[float, int]], delimiter: str, header: bool, data: Any
) -> None:
    text = st.text(st.characters(codec="utf-8", categories=("L", "P", "S", "Zs")), min_size=1, max_size=20)

    def is_name(text: str) -> bool:
        return text.strip() == text and text.isprintable() and not text[0].isdigit()

    names = data.draw(st.lists(text.filter(is_name), min_size=2, max_size=2, unique=True))
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=delimiter)
    if header:
        writer.writerow(["first", "second", "the target"])
    kinds = [i % 2 for i in range(len(rows))]
    for (a, b), kind in zip(rows, kinds, strict=True):
        writer.writerow([a, b, names[kind]])
    with tempfile.TemporaryDirectory() as folder:
        path = file(Path(folder), written.getvalue())
        table = read_table(path)
    assert table.x.tolist() == [[a, float(b)] for a, b in rows]
    assert table.classes == tuple(sorted(names))
    assert table.t is not None
    assert [sorted(names)[k] for k in table.t] == [names[kind] for kind in kinds]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_a_data_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = file(Path(folder), content)
        try:
            table = read_table(path)
        except DataError as error:
            assert str(path) in str(error)
        else:
            assert np.isfinite(table.x).all()
