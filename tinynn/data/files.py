"""Reading and writing files so that whatever is wrong with one becomes a single `DataError`.

The formats of this package open with `open_regular`, most of them to read through a `ByteSource`, and write through
`written_atomically`.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NoReturn

from tinynn.errors import DataError

__all__ = ["list_folder", "make_folder", "open_regular", "plural", "remove_litter", "written_atomically"]

_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")

# What the system's number says, and the fix.
_NUMBERS = {
    errno.ENOSPC: ("the disk is full", "make room, or write to another disk"),
    errno.EDQUOT: ("your quota is used up", "make room, or write to another disk"),
    errno.EFBIG: ("it would be larger than files may be", "raise the limit (ulimit -f), or write to another disk"),
    errno.EROFS: ("the disk is read-only", "write to another place"),
    errno.EIO: ("the disk fails to read or write", "try again; if it lasts, copy what is there to another disk"),
}

# The reason, what was expected, and the fix; the first that fits is told.
_REASONS: tuple[tuple[type[Exception], str, str, str], ...] = (
    (
        FileNotFoundError,
        "it does not exist",
        "a path that exists",
        "check the path, and the folder that a relative path starts from",
    ),
    (
        FileExistsError,
        "a file has its name",
        "a folder, or nothing yet, at this path",
        "use another path, or move the file away",
    ),
    (IsADirectoryError, "it is a folder", "a file", "name a file inside the folder"),
    (
        NotADirectoryError,
        "it is not a folder, or a part of the path is a file",
        "a folder",
        "check the path: one of its parts is a file",
    ),
    (
        PermissionError,
        "no permission",
        "permission to {action}",
        "change the permissions, or use a place that you may use",
    ),
    (
        OSError,
        "the operating system refuses",
        "that the operating system can {action}",
        "remove the cause that the system names, or use another place",
    ),
    (ValueError, "no file can have this path", "a path of ordinary characters", "correct the path"),
)


def plural(count: int, noun: str) -> str:
    """`1 byte`, `2,000 bytes`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


@contextmanager
def _told(path: Path, action: str, kinds: tuple[type[Exception], ...] = (OSError, ValueError)) -> Iterator[None]:
    """What the operating system refuses, told as a DataError; ValueError is a path with a null character in it."""
    try:
        yield
    except kinds as error:
        reason, expected, fix = next(row for kind, *row in _REASONS if isinstance(error, kind))
        if isinstance(error, OSError) and error.errno in _NUMBERS:
            reason, fix = _NUMBERS[error.errno]
        raise DataError(
            f"cannot {action}: {reason}",
            path=path,
            expected=expected.format(action=action),
            got=getattr(error, "strerror", None) or str(error) or type(error).__name__,
            fix=fix,
        ) from error


@contextmanager
def open_regular(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a regular file for reading bytes.

    Errors: DataError when it is missing, a folder, a device or a pipe (opening one could wait for ever), not
    permitted, or when reading it fails inside the block.
    """
    path = Path(path)
    with _told(path, "read the file"):
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        _refuse_kind("read", path, mode)
    with _told(path, "read the file", (OSError,)), path.open("rb") as file:
        yield file


def _refuse_kind(what: str, path: Path, mode: int) -> NoReturn:
    """Errors: DataError for what is neither a file nor a folder. `what`: "read" or "write"."""
    raise DataError(
        f"cannot {what} the file: it is a device, a pipe or a socket",
        path=path,
        expected="a regular file",
        got="a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device",
        fix="copy the data into a file, and read that" if what == "read" else "another name, of a file",
    )


@contextmanager
def written_atomically(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Yield a new file, open for writing and reading back, that gets the name `path` when the block ends well.

    After any failure the old file, or none, is there, and nothing half-written; and so it is after a crash of the
    machine, since the file is on the disk before it gets the name, and the name before this returns. Where the name is
    a symbolic link it stays one, and the file that it leads to is replaced.

    Errors: DataError when the file cannot be made, written or renamed, or there is something of that name that is no
    regular file: root could put a file in the place of /dev/null. Other errors of the block pass through.
    """
    path = named = Path(path)
    with _told(path, "write the file"):
        if path.is_symlink():
            path = Path(os.path.realpath(path))
        mode = path.stat().st_mode if path.exists() else stat.S_IFREG
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        _refuse_kind("write", named, mode)
    # In the same folder, because a rename is atomic only within one file system. Not from tempfile, whose files are
    # private to the user: the result shall have the permissions of any new file.
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        with _told(path, "write the file"):
            file = temporary.open("x+b")
        with _told(path, "write the file", (OSError,)), file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with _told(path, "write the file"):
            temporary.replace(path)
            _sync_folder(path.parent)
    finally:
        with suppress(OSError, ValueError):
            temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Has the names in a folder written to the disk, where the system does that for folders."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows; or a folder that may be written and not read
        return
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):
            raise
    finally:
        os.close(number)


def remove_litter(folder: str | os.PathLike[str]) -> None:
    """Removes what `written_atomically` leaves in a folder when its process is killed.

    Only where no other process writes into the folder at that time.
    Errors: DataError.
    """
    folder = Path(folder)
    for name in list_folder(folder)[0]:
        if _TEMPORARY.fullmatch(name):
            with _told(folder / name, "remove the file"):
                (folder / name).unlink(missing_ok=True)


def list_folder(folder: str | os.PathLike[str]) -> tuple[set[str], set[str]]:
    """The names of the files and those of the folders in a folder.

    Errors: DataError when it is missing, not a folder, or not permitted.
    """
    folder = Path(folder)
    with _told(folder, "list the folder"), os.scandir(folder) as entries:
        is_folder = {entry.name: _is_folder(entry) for entry in entries}
    folders = {name for name, yes in is_folder.items() if yes}
    return is_folder.keys() - folders, folders


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # A link that leads nowhere must not hide the rest of its folder.
    try:
        return entry.is_dir()
    except OSError:
        return False


def make_folder(folder: str | os.PathLike[str]) -> None:
    """Make a folder, with its parents, unless it is there. Errors: DataError when that cannot be done."""
    folder = Path(folder)
    with _told(folder, "make the folder"):
        folder.mkdir(parents=True, exist_ok=True)
