"""A CSV file and a folder aclImdb to read reviews from."""

from itertools import product

import pytest

from tests.support import review_sources


@pytest.fixture
def write_csv(tmp_path):
    """Writes a file from text or bytes and returns its path."""

    def write(content):
        path = tmp_path / "mine.csv"
        if isinstance(content, str):
            content = content.encode()
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def read_csv(write_csv):
    """Reviews from the content of a CSV file; takes the options of `review_sources.data_section`."""

    def read(content, **options):
        return review_sources.reviews("csv", write_csv(content), **options)

    return read


@pytest.fixture
def csv_refusal(write_csv):
    """The message that refuses the content of a CSV file."""

    def refuse(content, **options):
        return review_sources.refusal("csv", write_csv(content), **options)

    return refuse


@pytest.fixture
def imdb_folder(tmp_path):
    """A folder aclImdb in the official form: 2 parts, 2 labels, 3 reviews each, of 2 films per part."""
    root = tmp_path / "aclImdb"
    films = {"train": "tt20", "test": "tt10"}
    ratings = {"neg": 2, "pos": 9}

    for part, polarity in product(films, ratings):
        folder = root / part / polarity
        folder.mkdir(parents=True)
        for number in range(3):
            file = folder / f"{number}_{ratings[polarity]}.txt"
            file.write_text(f"{part} {polarity} {number} café", encoding="utf-8")

        url = f"http://www.imdb.com/title/{films[part]}"
        lines = f"{url}0/usercomments\n" * 2 + f"{url}1/usercomments\n"
        (root / part / f"urls_{polarity}.txt").write_text(lines)
        (root / part / "labeledBow.feat").write_text("1 0:9")

    (root / "train" / "unsup").mkdir()
    (root / "train" / "unsup" / "0_0.txt").write_text("not labelled")
    (root / "train" / "urls_unsup.txt").write_text("u\n")
    (root / "README").write_text("read me")
    return root
