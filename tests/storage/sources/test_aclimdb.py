"""The source `aclimdb` as a folder or an archive."""

from itertools import product

import pytest

from tests.support.review_sources import SPECIAL_FILES, packed, refusal, reviews


def test_the_official_folder_gives_parts_labels_and_films(imdb_folder):
    table = reviews("aclimdb", imdb_folder)
    assert table["text"][0] == "train neg 0 café"
    assert list(table["part"]) == ["train"] * 6 + ["test"] * 6
    assert list(table["label"]) == [0, 0, 0, 1, 1, 1] * 2

    train_films = ["tt200", "tt200", "tt201"] * 2
    test_films = ["tt100", "tt100", "tt101"] * 2
    assert list(table["group"]) == train_films + test_films


def test_reviews_are_in_the_order_of_their_numbers(imdb_folder):
    for part in ("train", "test"):
        urls = imdb_folder / part / "urls_pos.txt"
        urls.write_text(urls.read_text() + "http://www.imdb.com/title/tt9/usercomments\n" * 9)
    (imdb_folder / "train" / "pos" / "10_8.txt").write_text("ten")
    table = reviews("aclimdb", imdb_folder)
    assert table["text"][5] == "train pos 2 café"
    assert table["text"][6] == "ten"
    assert table["group"][6] == "tt9"


def test_the_folder_its_parent_and_the_archive_give_the_same(imdb_folder):
    from_folder = reviews("aclimdb", imdb_folder)
    assert reviews("aclimdb", imdb_folder.parent).equals(from_folder)
    assert reviews("aclimdb", packed(imdb_folder)).equals(from_folder)


def test_the_archive_is_found_in_its_folder_and_nothing_is_unpacked(imdb_folder, tmp_path):
    path = packed(imdb_folder)
    folder = tmp_path / "raw"
    folder.mkdir()
    path.rename(folder / path.name)
    assert len(reviews("aclimdb", folder)) == 12
    assert [file.name for file in folder.iterdir()] == [path.name]


def test_a_limit_keeps_the_shares_of_parts_and_labels(imdb_folder):
    for part, polarity in product(("train", "test"), ("neg", "pos")):
        (imdb_folder / part / f"urls_{polarity}.txt").write_text("tt1\n" * 60)
        for number in range(3, 60):
            file = imdb_folder / part / polarity / f"{number}_1.txt"
            file.write_text(str(number))

    table = reviews("aclimdb", imdb_folder, limit=100)
    assert table.value_counts(["part", "label"]).tolist() == [25] * 4


@pytest.mark.parametrize("name", ["train", "test/pos"])
def test_a_link_to_a_folder_of_reviews_is_refused(imdb_folder, tmp_path, name):
    """DVC follows no link to a folder, so it would not notice a change of the reviews."""
    folder = imdb_folder / name
    folder.symlink_to(folder.rename(tmp_path / "elsewhere"))
    assert f"{folder}: a link, which DVC does not follow; put the folder itself here" in refusal(
        "aclimdb", imdb_folder
    )


def test_a_link_to_the_whole_folder_is_named_in_data_path(imdb_folder, tmp_path):
    link = tmp_path / "raw" / "aclImdb"
    link.parent.mkdir()
    link.symlink_to(imdb_folder)
    remedy = f"{link}: a link, which DVC does not follow; write {link} in data.path"
    assert remedy in refusal("aclimdb", link.parent)
    assert len(reviews("aclimdb", link)) == 12


@pytest.mark.parametrize("name", ["train/urls_pos.txt", "test/urls_neg.txt"])
def test_missing_film_lists_are_named(imdb_folder, name):
    (imdb_folder / name).unlink()
    assert f"{name}: missing; it must list the film of each review" in refusal(
        "aclimdb", imdb_folder
    )


def test_a_part_without_reviews_of_a_label_is_named(imdb_folder):
    for path in (imdb_folder / "test" / "neg").iterdir():
        path.unlink()
    assert "test/neg: no reviews" in refusal("aclimdb", imdb_folder)


def test_an_empty_review_is_named_by_its_file(imdb_folder):
    (imdb_folder / "test" / "neg" / "1_2.txt").write_text(" \n")
    assert "column 'text': file test/neg/1_2.txt: empty" in refusal("aclimdb", imdb_folder)


@pytest.mark.parametrize(("make", "kind"), SPECIAL_FILES)
def test_a_review_that_is_no_file_is_named(imdb_folder, monkeypatch, make, kind):
    monkeypatch.chdir(imdb_folder)
    make(imdb_folder / "train/pos/5_9.txt")
    assert f": train/pos/5_9.txt: {kind}; remove it" in refusal("aclimdb", imdb_folder)


def test_a_path_that_is_not_there_is_named(tmp_path):
    assert "nowhere: no such file or folder (data.path)" in refusal("aclimdb", tmp_path / "nowhere")


def test_a_film_list_of_aclimdb_has_one_film_per_line(imdb_folder):
    films = imdb_folder / "train" / "urls_pos.txt"
    films.write_text("film\u20281\r\nfilm\x852\nfilm 3\n", encoding="utf-8")
    groups = reviews("aclimdb", imdb_folder).query("part == 'train' and label == 1")
    assert groups["group"].tolist() == ["film\u20281", "film\x852", "film 3"]
