"""Finds bytecode that Python would run although its source says something else.

Python writes bytecode into a folder `__pycache__` when it imports a module, and takes it instead of the source next
time. It compares the time and size of the source, or a hash, or nothing at all. Bytecode of other Pythons cannot be
compared with its source. They check its time and size themselves.
"""

import marshal
import re
from collections.abc import Iterator
from importlib.util import MAGIC_NUMBER, source_from_cache, source_hash
from pathlib import Path

FOLDER = "__pycache__"
HEADER = (
    16  # bytes: the version of the bytecode, flags, then a hash, or the time and size of the source
)
WITH_TIME, UNCHECKED = 0, 1  # flags; all others stand for a hash that Python checks


def false_files(folder: Path) -> Iterator[Path]:
    """The bytecode below this folder that Python would run instead of its source, although they differ."""
    for path in sorted(folder.rglob(f"{FOLDER}/*.pyc")):
        content = path.read_bytes()
        flags = int.from_bytes(content[4:8], "little")
        if flags == UNCHECKED or (
            _is_run(content, flags, path) and not _is_compiled(content, path)
        ):
            yield path


def _source(path: Path) -> Path | None:
    """The source of bytecode; None if Python does not look for bytecode with this name."""
    try:
        source = Path(source_from_cache(str(path)))
    except ValueError:
        return None
    return source if source.is_file() else None


def _is_run(content: bytes, flags: int, path: Path) -> bool:
    source = _source(path)
    if source is None or content[:4] != MAGIC_NUMBER:
        return False
    if flags != WITH_TIME:
        return content[8:HEADER] == source_hash(source.read_bytes())

    status = source.stat()
    numbers = (int(status.st_mtime), status.st_size)
    expected = b"".join((number & 0xFFFFFFFF).to_bytes(4, "little") for number in numbers)
    return content[8:HEADER] == expected


def _is_compiled(content: bytes, path: Path) -> bool:
    """Whether Python compiles the source to this bytecode. The paths in both may differ."""
    source = _source(path)
    optimisation = re.search(r"\.opt-(\d)\.pyc$", path.name)
    level = int(optimisation[1]) if optimisation else 0
    try:
        stored = marshal.loads(content[HEADER:])  # noqa: S302 - nothing runs it
        text = source.read_bytes() if source else b""
        return stored == compile(text, str(source), "exec", dont_inherit=True, optimize=level)
    except (EOFError, ValueError, TypeError, SyntaxError):
        return False
