"""Files in, arrays out: readers and writers of digit files."""

from __future__ import annotations

from tinynn.data.idx import read_idx, write_idx
from tinynn.data.split import Split
from tinynn.data.text_digits import read_text_digit, read_text_digits, write_text_digits

__all__ = ["Split", "read_idx", "read_text_digit", "read_text_digits", "write_idx", "write_text_digits"]
