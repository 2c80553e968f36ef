"""The archive of aclImdb: damaged and hostile ones are refused, and the download is checked."""

import hashlib
import io
import random
import tarfile

import pytest

from pipeline.storage.sources import aclimdb_archive
from tests.support.review_sources import packed, refusal, reviews


def member(name, content=b"evil", kind=tarfile.REGTYPE, linkname=""):
    def add(archive):
        info = tarfile.TarInfo(name)
        info.type = kind
        info.linkname = linkname
        info.size = len(content) if kind == tarfile.REGTYPE else 0
        archive.addfile(info, io.BytesIO(content))

    return add


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (member("/aclImdb/train/pos/7_9.txt"), "points outside the archive"),
        (member("aclImdb/train/pos/../../../7_9.txt"), "points outside the archive"),
        (
            member("aclImdb/train/pos/7_9.txt", kind=tarfile.SYMTYPE, linkname="/etc/passwd"),
            "neither a file nor",
        ),
        (
            member("aclImdb/train/pos/7_9.txt", kind=tarfile.LNKTYPE, linkname="aclImdb/README"),
            "neither a file nor",
        ),
        (member("aclImdb/train/pos/7_9.txt", kind=tarfile.FIFOTYPE), "neither a file nor"),
        (member("aclImdb/train/pos/0_9.txt"), "occurs twice"),
        (member("aclImdb/train/pos/0_8.txt"), "another review has the same number"),
        (member("aclImdb/train/pos/nine.txt"), "must be named NUMBER_RATING.txt"),
        (
            member("aclImdb/train/pos/9_9.txt"),
            "train/urls_pos.txt: 3 lines, too few for review number 9",
        ),
        (member("aclImdb/test/neg/2_1.txt", b"\xe9"), "test/neg/2_1.txt: line 1: not UTF-8"),
    ],
)
def test_an_archive_of_another_form_is_refused(imdb_folder, change, message):
    assert message in refusal("aclimdb", packed(imdb_folder, change=change))


def test_an_archive_that_unpacks_to_too_much_is_refused(imdb_folder, monkeypatch):
    monkeypatch.setattr(aclimdb_archive, "UNPACKED_BYTES", 300)
    assert "more than 300 bytes unpacked" in refusal("aclimdb", packed(imdb_folder))
    monkeypatch.setattr(aclimdb_archive, "UNPACKED_BYTES", 10**9)
    monkeypatch.setattr(aclimdb_archive, "MEMBER_BYTES", 9)
    assert "above 9 bytes" in refusal("aclimdb", packed(imdb_folder))


def test_a_truncated_archive_is_always_refused(imdb_folder):
    path = packed(imdb_folder)
    content = path.read_bytes()
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        assert str(path) in refusal("aclimdb", path)


def test_an_archive_whose_checksum_is_wrong_is_refused(imdb_folder):
    path = packed(imdb_folder)
    content = bytearray(path.read_bytes())
    content[-8] ^= 1  # the first byte of the checksum, which gzip puts after the content
    path.write_bytes(content)
    assert "truncated or damaged, or not a .tar.gz archive" in refusal("aclimdb", path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "aclImdb_v1.tar.gz"
    path.write_bytes(b"<html>not found</html>" * 99)
    assert "truncated or damaged, or not a .tar.gz archive" in refusal("aclimdb", path)


@pytest.fixture
def raw(tmp_path):
    """An empty folder, into which the archive is downloaded."""
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


def serve(monkeypatch, path, checksum):
    monkeypatch.setattr(aclimdb_archive, "URL", path.as_uri())
    monkeypatch.setattr(aclimdb_archive, "SHA256", checksum)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_folder_with_neither_gets_the_right_archive(imdb_folder, raw, monkeypatch):
    path = packed(imdb_folder)
    serve(monkeypatch, path, sha256(path))
    assert len(reviews("aclimdb", raw)) == 12
    assert (raw / path.name).read_bytes() == path.read_bytes()
    path.unlink()
    assert len(reviews("aclimdb", raw)) == 12  # not downloaded again


def test_a_download_with_a_wrong_checksum_is_not_kept(imdb_folder, raw, monkeypatch):
    serve(monkeypatch, packed(imdb_folder), "0" * 64)
    assert "wrong checksum" in refusal("aclimdb", raw)
    assert not list(raw.iterdir())


def test_a_download_above_the_limit_is_cut_off(imdb_folder, raw, monkeypatch):
    path = packed(imdb_folder)
    serve(monkeypatch, path, sha256(path))
    monkeypatch.setattr(aclimdb_archive, "DOWNLOAD_BYTES", -1)
    assert "wrong checksum (0 bytes" in refusal("aclimdb", raw)


def test_a_download_that_fails_says_what_to_do(raw, tmp_path, monkeypatch):
    serve(monkeypatch, tmp_path / "none.tar.gz", "0" * 64)
    assert "cannot be downloaded" in refusal("aclimdb", raw)
    assert f"into {raw} (data.path)" in refusal("aclimdb", raw)
    assert not list(raw.iterdir())


def header_bomb(archive):
    """A file whose name has 3 million random characters in an extended header. They compress badly."""
    name = random.Random(0).randbytes(1_500_000).hex()
    header = tarfile.TarInfo(f"aclImdb/{name}")
    archive.fileobj.write(header.tobuf())


def test_an_archive_that_expands_too_much_is_refused(imdb_folder):
    bomb = packed(imdb_folder, member("aclImdb/zeros", b"\0" * 9_000_000))
    assert bomb.stat().st_size < 50_000
    assert "expands more than 200 times" in refusal("aclimdb", bomb)


def test_an_archive_with_a_very_long_header_is_refused(imdb_folder):
    message = refusal("aclimdb", packed(imdb_folder, header_bomb))
    assert "more than 1,000,000 bytes that belong to no file; not the official archive" in message
