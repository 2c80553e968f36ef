"""Download and read the archive of aclImdb. Limits on size protect against damaged and malicious archives."""

import gzip
import hashlib
import re
import sys
import tarfile
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pipeline.params import Mistake
from pipeline.storage import artifacts

FOLDER = "aclImdb"
NAME = "aclImdb_v1.tar.gz"
URL = f"https://ai.stanford.edu/~amaas/data/sentiment/{NAME}"
SHA256 = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"
BLOCK = 1 << 20
DOWNLOAD_BYTES = 200_000_000  # upper limits; the official archive has 84 MB
UNPACKED_BYTES = 2_000_000_000
MEMBER_BYTES = 2_000_000
HEADER_BYTES = 1_000_000  # between one file and the next
EXPANSION = 200  # unpacked size over packed size: about 4 for the official archive, up to 50 for small text files
USED_FILE = re.compile(r"(train|test)/(?:(?:neg|pos)/(?!\.)[^/]*\.txt|urls_(?:neg|pos)\.txt)")


def files(path: Path) -> Iterator[tuple[str, bytes]]:
    """The names (below the folder aclImdb) and contents of the files that we use, without writing them to disk.

    Raise Mistake if the archive is damaged, expands too much, or contains links or paths outside its folder.
    """
    unpacked_bytes = 0
    names = set()

    try:
        with _BoundedGzip(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                unpacked_bytes += member.size
                stream.bytes_to_next_header = member.size + HEADER_BYTES
                _refuse_unsafe(member, unpacked_bytes)

                inner_path = member.name.removeprefix("./")
                name = inner_path.removeprefix(f"{FOLDER}/")
                content = archive.extractfile(member)
                if content is None or name == inner_path or not USED_FILE.fullmatch(name):
                    continue

                if name in names:
                    raise _not_official(f"{inner_path}: occurs twice")
                if member.size > MEMBER_BYTES:
                    raise _not_official(f"{inner_path}: above {MEMBER_BYTES:,} bytes")
                names.add(name)
                yield name, content.read()

            while stream.read(BLOCK):  # gzip's checksum is at the end
                pass
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise Mistake(f"truncated or damaged, or not a .tar.gz archive: {error}") from None


def _refuse_unsafe(member: tarfile.TarInfo, unpacked_bytes: int) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise _not_official(f"{member.name}: points outside the archive")
    if not (member.isfile() or member.isdir()):
        raise _not_official(f"{member.name}: neither a file nor a folder")
    if unpacked_bytes > UNPACKED_BYTES:
        raise _not_official(f"more than {UNPACKED_BYTES:,} bytes unpacked")


def _not_official(problem: str) -> Mistake:
    return Mistake(f"{problem}; not the official archive, which is at {URL}")


class _BoundedGzip(gzip.GzipFile):
    """A gzip file that raises Mistake if it expands too much, or if the tar header before a file is too long."""

    def __init__(self, path: Path):
        super().__init__(path)
        self._bytes_left = EXPANSION * path.stat().st_size
        self.bytes_to_next_header = HEADER_BYTES

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        self._bytes_left -= len(content)
        self.bytes_to_next_header -= len(content)

        if self._bytes_left < 0:
            raise _not_official(f"expands more than {EXPANSION} times")
        if self.bytes_to_next_header < 0:
            raise _not_official(f"more than {HEADER_BYTES:,} bytes that belong to no file")
        return content


def download(target: Path) -> None:
    """Download the official archive. If its checksum is wrong, delete the download and raise Mistake."""
    print(f"downloading {URL} to {target}", file=sys.stderr, flush=True)
    remedy = (
        f"download it yourself and put it, or the folder {FOLDER}, into {target.parent} (data.path)"
    )

    try:
        with (
            urllib.request.urlopen(URL, timeout=60) as response,
            artifacts.replaced(target) as temporary,
        ):
            with temporary.open("wb+") as file:
                while file.tell() <= DOWNLOAD_BYTES and (block := response.read(BLOCK)):
                    file.write(block)

                size = file.tell()
                file.seek(0)
                checksum = hashlib.file_digest(file, "sha256").hexdigest()

            if checksum != SHA256:
                problem = f"wrong checksum ({size:,} bytes, SHA-256 {checksum})"
                raise Mistake(f"{URL}: {problem}; {remedy}")
    except OSError as error:
        raise Mistake(f"{URL}: cannot be downloaded: {error}; {remedy}") from None
