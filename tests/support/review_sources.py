"""Read a source of reviews with settings that a test chooses, or the message with which it is refused."""

import os
import socket
import tarfile
from pathlib import Path

import pandas as pd
import pytest

from pipeline.params import Data, Mistake
from pipeline.storage import sources


def data_section(
    source: str,
    path: Path | str = "data/raw",
    text: str = "text",
    label: str = "label",
    group: str | None = None,
    negative: str = "0",
    positive: str = "1",
    limit: int | None = None,
) -> Data:
    """The section `data` of params.yaml."""
    return Data(
        source=source,
        path=str(path),
        columns={"text": text, "label": label, "group": group},
        labels={"negative": negative, "positive": positive},
        limit=limit,
        validation_share=0.1,
        test_share=0.2,
        vocabulary_size=100,
    )


def reviews(*where, **options) -> pd.DataFrame:
    """All parts of a source in one table; takes the arguments of `data_section`."""
    return pd.concat(sources.read(data_section(*where, **options)))


def refusal(*where, **options) -> str:
    """The message of the Mistake that reading the source raises."""
    with pytest.raises(Mistake) as error:
        reviews(*where, **options)
    return str(error.value)


def make_pipe(path: Path) -> None:
    """A named pipe, in which nobody writes."""
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    """The socket of a server that has ended."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


def make_link_to_device(path: Path) -> None:
    """A link to the device that has nothing to read."""
    path.symlink_to(os.devnull)


SPECIAL_FILES = [
    (make_pipe, "a named pipe"),
    (make_socket, "a socket"),
    (make_link_to_device, "a device"),
]


def packed(folder: Path, change=lambda archive: None) -> Path:
    """The folder aclImdb as an archive next to it; `change` may add to the open archive."""
    path = folder.parent / "aclImdb_v1.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, "aclImdb")
        change(archive)
    return path
