"""Hostile text digits: what a data set says when one of its files is such a one."""

from __future__ import annotations

from typing import NamedTuple

from fuzz_corpus import ROW, deflated, gz, text, text_value, text_with


class Case(NamedTuple):
    content: bytes
    line: int
    says: str


def raw(line: int, value: bytes) -> bytes:
    """A digit with bytes of any kind in place of the first value of a line."""
    return text_value(line, "?").replace(b"?", value)


NO_NUMBER = "a gray value is not a number"
VALUES = {
    "nan": "nan",
    "NaN": "NaN",
    "inf": "inf",
    "1e999": "1e999",
    "1e2": "1e2",
    "0.0": "0.0",
    "minus": "-",
    "true": "True",
    "an expression": "__import__('os')",
    "binary": "0b1",
    "superscript": "\u00b2",
    "full width": "\uff17",
    "Bengali": "\u09ed",
    "no-break blank": "7\u00a0",
    "zero-width blank": "7\u200b",
    "byte order mark inside": "\ufeff7",
    "null characters": "\0\0\0",
    "vertical tab": "1\v2",
    "form feed": "1\f2",
    "line separator": "1\u20282",
    "next line": "1\u00852",
    "carriage return inside": "1\r2",
    "a formula of a spreadsheet": "=1+1",
    "a colour for the terminal": "\x1b[31m7",
}

HOSTILE: dict[str, Case] = {
    **{name: Case(text_value(5, value), 5, NO_NUMBER) for name, value in VALUES.items()},
    "minus zero": Case(text_value(6, "-0"), 6, "out of range"),
    "four digits": Case(text_value(6, "0255"), 6, "out of range"),
    "256": Case(text_value(28, "256"), 28, "out of range"),
    "2**64": Case(text_value(7, str(2**64)), 7, "out of range"),
    "50,000 digits": Case(text_value(8, "9" * 50_000), 8, "out of range"),
    "50,000 minus signs": Case(text_value(8, "-" * 50_000), 8, NO_NUMBER),
    # how the lines are cut
    "blanks for tabs": Case(text_with(9, ROW.replace("\t", " ")), 9, "wrong number"),
    "one tab missing": Case(text_with(9, ROW.replace("\t", "", 1)), 9, "27"),
    "two tabs": Case(text_with(9, ROW.replace("\t", "\t\t", 1)), 9, "29"),
    "a tab in front": Case(text_with(9, "\t" + ROW), 9, "29"),
    "nothing but tabs": Case(text_with(9, "\t" * 28), 9, NO_NUMBER),
    "60,000 tabs": Case(text_with(9, "\t" * 60_000), 9, "60000"),
    "a blank line in front": Case(b"\n" + text(), 1, "wrong number"),
    "all in one line": Case(text().replace(b"\n", b"\t"), 1, "785"),
    "line feed and carriage return": Case(text(end="\n\r"), 2, NO_NUMBER),
    "64,000 empty lines": Case(b"\n" * 64_000, 1, "too early"),
    "64,000 empty lines and a word": Case(b"\n" * 64_000 + b"x", 1, "wrong number"),
    "the label first": Case(text(["7", *[ROW] * 28]), 1, "wrong number"),
    "cut within a value": Case(text()[:-70], 28, "wrong number"),
    "cut after a value": Case(b"\n".join([ROW.encode()] * 5), 6, "early"),
    # how the characters are written
    "overlong": Case(raw(10, b"\xc0\xb7"), 10, "byte 0xC0"),
    "half of a surrogate": Case(raw(11, b"\xed\xa0\x80"), 11, "byte 0xED"),
    "beyond Unicode": Case(raw(12, b"\xf4\x90\x80\x80"), 12, "byte 0xF4"),
    "a continuation without a start": Case(raw(13, b"\x80"), 13, "byte 0x80"),
    "a character cut at the end": Case(text() + b"\xe2\x82", 30, "byte 0xE2"),
    "UTF-16 without a mark": Case(text().decode().encode("utf-16-le"), 1, NO_NUMBER),
    "UTF-32": Case(text().decode().encode("utf-32"), 1, "byte 0xFF"),
    "two byte order marks": Case(b"\xef\xbb\xbf\xef\xbb\xbf" + text(), 1, NO_NUMBER),
    "gzip": Case(gz(text()), 1, "byte 0x8B"),
    "deflate": Case(b"x\x9c" + deflated(text()), 1, "not a text file"),
    "an image file": Case(b"GIF89a\x1c\0\x1c\0\x80" + bytes(90), 1, "not a text file"),
    "zeros": Case(bytes(60_000), 1, "wrong number"),
    # the label
    "no label": Case(text(label=""), 29, "label is missing"),
    "label nan": Case(text(label="nan"), 29, "bad label"),
    "label 1e0": Case(text(label="1e0"), 29, "bad label"),
    "label of another script": Case(text(label="\u0667"), 29, "bad label"),
    "label -0": Case(text(label="-0"), 29, "bad label"),
    "label of zeros": Case(text(label="0" * 3000), 29, "bad label"),
    "label with a null character": Case(text(label="7\0"), 29, "bad label"),
    "a row as label": Case(text(label=ROW), 29, "bad label"),
    "label 255": Case(text(label="255"), 29, "0 to 9"),
    "a second digit": Case(text() + text(), 30, "goes on"),
    "a control character behind": Case(text() + b"\x1a", 30, "goes on"),
}

TOO_LARGE = {"a byte too many": text() + b" " * (65_537 - len(text())), "a megabyte of digits": text() * 600}
