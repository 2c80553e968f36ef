"""Plain text: where a line ends, and what a file is that is not plain text in UTF-8."""

import re
import shlex
import zipfile
from typing import BinaryIO

from pipeline.params import Mistake

LINE_END = re.compile(r"\r\n|\r|\n")
HEAD = 4096  # bytes that show what a file is
TAR = slice(257, 262)  # where a tar archive says "ustar"

# the first bytes of a file, what it is, and the command that unpacks it
ARCHIVES = (
    (rb"\x1f\x8b", "a gzip archive", "gunzip"),
    (rb"BZh[1-9]", "a bzip2 archive", "bunzip2"),
    (rb"\xfd7zXZ\0", "an xz archive", "unxz"),
    (rb"\x28\xb5\x2f\xfd", "a Zstandard archive", "unzstd"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "7z x"),
    (rb"Rar!\x1a", "a RAR archive", "unrar x"),
    (rb"\x04\x22\x4d\x18", "an LZ4 archive", "unlz4"),
    (rb"\x5d\0\0[\0-\x80]", "an LZMA archive", "unlzma"),
)
# the first bytes of a file, and what it is
DOCUMENTS = (
    (rb"%PDF-", "a PDF document"),
    (rb"\xd0\xcf\x11\xe0", "an Excel or Word file of an old version"),
    (rb"\{\\rtf", "an RTF document"),
    (rb"PAR1.", "a Parquet table"),
    (rb"ARROW1|FEA1", "a Feather table"),
    (rb"ORC[^ -~]", "an ORC table"),
    (rb"\x93NUMPY", "a NumPy array"),
    (rb"\x80[\x02-\x05]", "a Python pickle"),
    (rb"SQLite format 3\0", "an SQLite database"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8", "a picture"),
    (rb"\s*(?i:<!doctype html|<html|<table|<\?xml)", "a web page or XML"),
)
# the first bytes of a file that stands for another one, what it is, and the command that fetches the other one
POINTERS = (
    (rb"version https://git-lfs\.", "a pointer of Git LFS", "git lfs pull"),
    (rb"outs:\s+- md5: ", "a pointer of DVC", "dvc pull"),
)
# what a zip archive is if the name of one of its files starts so
ZIPPED = {
    "xl/": "an Excel file",
    "word/": "a Word document",
    "content.xml": "an OpenDocument file",
}
ENCODINGS = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def lines(text: str) -> list[str]:
    r"""The lines of a text. LF, CRLF and CR end a line, and nothing else: texts contain the other signs.

    >>> lines("one\u2028still one\r\ntwo\n")
    ['one\u2028still one', 'two']
    """
    *complete, rest = LINE_END.split(text)
    return [*complete, rest] if rest else complete


def refuse_other_formats(file: BinaryIO, path: str, saved_as: str) -> None:
    """Raise Mistake if a file at its first byte is an archive, a document or text in UTF-16, and go back there.

    The remedy names `path`, or for a document the form to save it as: `saved_as`.
    """
    head = file.read(HEAD)
    file.seek(0)
    name = shlex.quote(path) if path != "-" else "FILE"

    for signature, kind, command in ARCHIVES:
        if re.match(signature, head):
            raise Mistake(f"{kind}, not plain text; unpack it with `{command} {name}`")
    if head[TAR] == b"ustar":
        raise Mistake(f"a tar archive, not plain text; unpack it with `tar xf {name}`")
    if head.startswith(b"PK\3\4"):
        raise Mistake(_zipped(file, name, saved_as))

    for signature, kind in DOCUMENTS:
        if re.match(signature, head, re.DOTALL):
            raise Mistake(f"{kind}, not plain text; save it as {saved_as}")
    for signature, kind, command in POINTERS:
        if re.match(signature, head):
            raise Mistake(f"{kind}, not the text; `{command}` fetches it")
    if encoding := _wide_encoding(head):
        remedy = f"`iconv -f {encoding} -t UTF-8 {name} > NEW_FILE` converts it"
        raise Mistake(f"{encoding} text, not UTF-8; {remedy}")


def _zipped(file: BinaryIO, name: str, saved_as: str) -> str:
    """The problem with a zip archive, which may be a document."""
    try:
        members = zipfile.ZipFile(file).namelist()
    except (zipfile.BadZipFile, OSError):
        members = []

    for start, kind in ZIPPED.items():
        if any(member.startswith(start) for member in members):
            return f"{kind}, not plain text; save it as {saved_as}"
    return f"a zip archive, not plain text; unpack it with `unzip {name}`"


def _wide_encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32 if a text starts with its byte order mark, or if every other byte is 0."""
    for mark, encoding in ENCODINGS:
        if head.startswith(mark):
            return encoding

    for first, encoding in ((0, "UTF-16BE"), (1, "UTF-16LE")):
        every_other = head[first::2]
        if every_other.count(0) > len(every_other) / 2:
            return encoding
    return None


def line_at(content: bytes, position: int) -> int:
    """The number, from 1, of the line that holds the byte at this position."""
    before = content[:position].replace(b"\r\n", b"\n")
    return before.count(b"\n") + before.count(b"\r") + 1


def refuse_nul(content: bytes) -> None:
    """Raise Mistake if a byte is NUL, as in programs and databases."""
    position = content.find(b"\0")
    if position >= 0:
        line = line_at(content, position)
        raise Mistake(f"line {line}: a NUL byte, so not plain text; delete it")


def decoded(content: bytes) -> str:
    """The text of UTF-8 bytes, without a byte order mark. Raise Mistake if a byte is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = line_at(content, error.start)
        raise not_utf_8(line, content[error.start], error.start) from None


def not_utf_8(line: int, byte: int, position: int) -> Mistake:
    """The Mistake for a file whose `byte` at `position` (from 0), in this line (from 1), is not UTF-8."""
    problem = f"not UTF-8 (byte {byte:#04x} at position {position})"
    remedy = (
        "save the file as UTF-8; `iconv -f WINDOWS-1252 -t UTF-8` converts Western texts of Windows, "
        "`-f WINDOWS-1251` Cyrillic ones"
    )
    return Mistake(f"line {line}: {problem}; {remedy}")
