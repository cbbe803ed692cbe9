"""A look at the bytes of an ONNX file before they are parsed: how many parts they would become.

Two bytes of a protocol buffer can become an object of a hundred. So the parts are counted first, by walking over the
fields as the format's own description names them, and a file of too many is refused.

Source: Protocol Buffers, "Encoding".
"""

from __future__ import annotations

from typing import Any

__all__ = ["DEEPEST", "MOST", "count_parts"]

MOST = 200_000
"""Messages, texts and unpacked numbers that a file may hold; a network of a thousand layers has some 20,000."""

DEEPEST = 32
"""Messages within messages; a model without loops has 8."""

TEXT, MESSAGE = 9, 11  # a field's type in a descriptor
VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
LONGEST = 10  # bytes of a varint


class Malformed(ValueError):
    """Bytes that are no protocol buffer, or too many parts of one."""


def count_parts(data: bytes, descriptor: Any) -> int:
    """How many parts the message is made of; `descriptor`: that of its type.

    Errors: ValueError for what is cut short, is no protocol buffer, has a name that is no text, or more than `MOST`
    parts.
    """
    parts, known = 0, {}
    stack = [(0, len(data), descriptor)]
    depths = [1]
    while stack:
        at, end, kind = stack.pop()
        depth = depths.pop()
        if depth > DEEPEST:
            raise Malformed(f"messages within messages, more than {DEEPEST} deep")
        fields = known.get(kind.full_name)
        if fields is None:
            inner = {field.number: field.message_type for field in kind.fields if field.type == MESSAGE}
            names = {field.number for field in kind.fields if field.type == TEXT and field.name != "doc_string"}
            fields = known[kind.full_name] = inner, names
        inner, names = fields
        while at < end:
            parts += 1
            if parts > MOST:
                raise Malformed(f"more than {MOST:,} parts")
            key, at = varint(data, at, end)
            number, wire = key >> 3, key & 7
            if wire == VARINT:
                _, at = varint(data, at, end)
            elif wire in (FIXED64, FIXED32):
                at += 8 if wire == FIXED64 else 4
            elif wire == DELIMITED:
                length, at = varint(data, at, end)
                if number in inner and at + length <= end:
                    stack.append((at, at + length, inner[number]))
                    depths.append(depth + 1)
                elif number in names:
                    data[at : at + length].decode()  # the package would give bytes in the place of a text
                at += length
            else:
                raise Malformed(f"a field of the unknown wire type {wire} at byte {at}")
        if at != end:
            raise Malformed(f"it ends {at - end} bytes early")
    return parts


def varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The number that begins at this byte, and where the next one begins."""
    value = 0
    for i in range(LONGEST):
        if at + i >= end:
            break
        byte = data[at + i]
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, at + i + 1
    raise Malformed(f"a number that does not end, at byte {at}")
