"""The source `csv`: a file of the user, read in parts, and every way in which it can be wrong."""

import csv
import gzip
import io
import random
import zipfile

import pandas as pd
import pytest

from pipeline.storage import sources
from pipeline.storage.sources import csv_table
from tests.support import review_sources

SEMICOLON = "columns must be separated by commas; this file seems to use ';'\n"
GOOD = "text,label\na,0\nb,1\n"
ALLOWED = "must be '0' or '1' (data.labels)"


def test_a_file_gives_texts_labels_and_groups_in_its_order(read_csv):
    content = "film,stars,words\nf1,bad,so dull\nf2,good,so fine\n"
    read = read_csv(
        content, text="words", label="stars", group="film", negative="bad", positive="good"
    )
    assert read["text"].tolist() == ["so dull", "so fine"]
    assert read["label"].tolist() == [0, 1]
    assert read["group"].tolist() == ["f1", "f2"]
    assert read["part"].isna().all()
    assert read.index.tolist() == [0, 1]


def test_without_a_group_column_every_group_is_missing(read_csv):
    assert read_csv("text,label\na,0\nb,1\n")["group"].isna().all()


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_line_ends_and_a_byte_order_mark_do_not_matter(read_csv, start, end):
    content = "text,label\ncafé,0\nnaïve,1\n".replace("\n", end)
    reviews = read_csv(start + content.encode())
    assert list(reviews["text"]) == ["café", "naïve"]


def test_a_quoted_text_keeps_its_commas_quotes_and_line_breaks(read_csv):
    content = 'text,label\n"one, ""two""\nthree",0\nfour,1\n'
    reviews = read_csv(content)
    assert list(reviews["text"]) == ['one, "two"\nthree', "four"]


def test_words_that_pandas_reads_as_missing_are_texts(read_csv):
    reviews = read_csv("text,label\nNA,0\nnull,1\n")
    assert list(reviews["text"]) == ["NA", "null"]


def test_empty_rows_are_skipped_and_still_counted(read_csv, csv_refusal):
    content = "text,label\na,0\n\n,\nb,1\n\n"
    assert read_csv(content).index.tolist() == [0, 3]
    assert "row 6: '7'" in csv_refusal("text,label\na,0\n\n,\nb,1\nc,7\n")


def gzipped(text):
    return gzip.compress(text.encode())


def zipped(*names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, GOOD)
    return stream.getvalue()


UNUSABLE = {
    "a column twice": ("text,label,text\na,0,b\nc,1,d\n", "2 columns are named 'text'"),
    "semicolons": ("text;label\na;0\nb;1\n", SEMICOLON),
    "semicolons after a quoted comma": ('"text, all";"label"\n"a, b";0\n', SEMICOLON),
    "semicolons between quotes": ('"text";"label"\n"a, b";0\nc;1\n', SEMICOLON),
    "semicolons below the header": (
        "text,label\na,0\nb;1\n",
        "row 3: not 2 fields as in the header; it seems to use ';'; columns must be separated by commas",
    ),
    "tabs": (
        "text\tlabel\na\t0\nb\t1\n",
        "must be separated by commas; this file seems to use '\\t'\n",
    ),
    "missing and blank texts": (
        'text,label\na,0\n,1\n" \n",0\nb,1\n',
        "mine.csv: column 'text': rows 3, 4: empty\n",
    ),
    "rows of a spreadsheet after a quoted line break": (
        'text,label\n"a\nb\nc",0\n,1\nd,1\n',
        "row 3: empty",
    ),
    "unknown labels": (
        "text,label\na,0\nb,pos\nc,1\nd,x\n",
        f"column 'label': rows 3, 5: 'pos', 'x': {ALLOWED}\n",
    ),
    "a blank before a label": (
        "text,label\na,0\nb, 1\n",
        f"column 'label': row 3: ' 1': {ALLOWED}; blanks, quotes and upper case count: write '1'\n",
    ),
    "a blank before a quoted label": (
        'text,label\na,0\nb, "1"\n',
        f"column 'label': row 3: ' \"1\"': {ALLOWED}; blanks, quotes and upper case count: write '1'\n",
    ),
    "labels with decimals": (
        "text,label\na,0.0\nb,1.0\n",
        f"'0.0', '1.0': {ALLOWED}; if these two are the classes, name them in data.labels; write '0' for",
    ),
    "two other labels": (
        "text,label\na,neg\nb,pos\n",
        f"column 'label': rows 2, 3: 'neg', 'pos': {ALLOWED}; if these two are the classes, name them in data.labels\n",
    ),
    "truth values": (
        "text,label\na,False\nb,True\n",
        f"column 'label': rows 2, 3: 'False', 'True': {ALLOWED}; if these two are the classes",
    ),
    "missing label": ("text,label\na,0\nb,\nc,1\n", "column 'label': row 3: ''"),
    "many bad rows": ("text,label\n" + "a,x\n" * 9, "rows 2, 3, 4, 5, 6 and 4 more"),
    "one class": (
        "text,label\na,1\nb,1\n",
        "no row has the label '0'; both classes are needed",
    ),
    "other numbers of fields": (
        "text,label\na,0\nb, and more,1\nc\nd,1\n",
        "rows 3, 4: not 2 fields",
    ),
    "surplus commas in rows": (
        "text,label\na,0,,\nb,1,,\n",
        "rows 2, 3: not 2 fields as in the header; surplus commas at the end of the row; delete",
    ),
    "surplus commas in the header": (
        "text,label,,\na,0\nb,1\n",
        "rows 2, 3: not 4 fields as in the header; surplus commas at the end of row 1; delete",
    ),
    "a blank before a quoted text": (
        'label,text\n0, "so, so"\n1,fine\n',
        "row 2: not 2 fields as in the header; a blank before a quote; remove blanks next to commas",
    ),
    "typographic quotes": (
        "text,label\n“so, so”,0\nb,1\n",
        'row 2: not 2 fields as in the header; it seems to use the quote “; only " is a quote in CSV',
    ),
    "single quotes": (
        "text,label\n'so, so',0\nb,1\n",
        "row 2: not 2 fields as in the header; it seems to use the quote '; only \" is a quote in CSV",
    ),
    "a blank after a quote": (
        'text,label\n"so, so" ,0\nfine,1\n',
        "row 2: not CSV: ',' expected after '\"'; is a quote never closed or not doubled, or is a blank between",
    ),
    "a line for Excel": (
        "sep=,\ntext,label\na,0\nb,1\n",
        "row 1: 'sep=,' tells Excel the separator and names no column; delete this row",
    ),
    "a line for Excel with a semicolon": (
        "sep=;\ntext;label\na;0\n",
        "row 1: 'sep=;' tells Excel the separator and names no column; delete this row",
    ),
    "a header with blanks": (
        "label, text\n0,a\n1,b\n",
        "no column 'text' (data.columns.text); row 1 spells it ' text': blanks, quotes and upper case count",
    ),
    "a header with a blank and quotes": (
        'label, "text"\n0,a\n1,b\n',
        "row 1 spells it ' \"text\"': blanks, quotes and upper case count. Columns here: 'label', ' \"text\"'",
    ),
    "a header in upper case": (
        "TEXT,label\na,0\nb,1\n",
        "row 1 spells it 'TEXT': blanks, quotes and upper",
    ),
    "two byte order marks": (
        "\ufeff\ufefftext,label\na,0\nb,1\n".encode(),
        "row 1 spells it '\\ufefftext': delete the characters that nobody sees there",
    ),
    "a sign of no width in a name": (
        "te\u200bxt,label\na,0\nb,1\n",
        "row 1 spells it 'te\\u200bxt': delete the characters that nobody sees there",
    ),
    "no header": (
        "0,so fine\n1,so dull\n",
        "row 1 holds '0', so it is not a header; insert a row with the names of the columns (text, label) above it",
    ),
    "quote never closed": ('text,label\na,0\n"b,1\nc,0\n', "row 3: not CSV"),
    "no content": ("", "empty; its first row must name the columns"),
    "empty rows": ("\n\n", "empty; its first row must name the columns"),
    "only a byte order mark": (b"\xef\xbb\xbf", "empty; its first row must name the columns"),
    "only column names": ("text,label\n", "no rows with a text and a label"),
    "no column names": (
        "word " * 999 + ",label\nb,1\n",
        f"Columns here: '{'word ' * 7}word…', 'label'\n",
    ),
    "Latin-1": (
        "text,label\na,0\ncafé,1\n".encode("latin-1"),
        "line 3: not UTF-8 (byte 0xe9 at position 18); save the file as UTF-8; `iconv -f WINDOWS-1252",
    ),
    "Latin-1 with old line ends": (
        "text,label\ra,0\rcafé,1\r".encode("latin-1"),
        "line 3: not UTF-8 (byte 0xe9 at position 18)",
    ),
    "a NUL byte": (
        b"text,label\na,0\nb\0,1\n",
        "row 3: column 'text': a NUL byte, so not plain text",
    ),
    "UTF-16": (GOOD.encode("utf-16"), "UTF-16 text, not UTF-8; `iconv -f UTF-16 -t UTF-8 "),
    "UTF-16 without a mark": (GOOD.encode("utf-16-le"), "UTF-16LE text, not UTF-8; `iconv"),
    "UTF-32": (GOOD.encode("utf-32"), "UTF-32 text, not UTF-8"),
    "picture": (b"\x89PNG\r\n\x1a\n\0\0", "a picture, not plain text; save it as CSV (UTF-8)"),
    "gzip": (gzipped(GOOD), "a gzip archive, not plain text; unpack it with `gunzip "),
    "zip": (zipped("reviews.csv"), "a zip archive, not plain text; unpack it with `unzip "),
    "Excel": (zipped("xl/workbook.xml"), "an Excel file, not plain text; save it as CSV (UTF-8)"),
    "OpenDocument": (zipped("content.xml"), "an OpenDocument file, not plain text; save it as CSV"),
    "PDF": (b"%PDF-1.7\n", "a PDF document, not plain text; save it as CSV (UTF-8)"),
    "web page": (
        "<!DOCTYPE html>\n<p>,</p>\n",
        "a web page or XML, not plain text; save it as CSV (UTF-8)",
    ),
    "indented JSON": ('{\n  "text": 1\n}', "row 1: this file seems to be JSON; save it as CSV"),
    "JSON": ('[{"text": "a", "label": 0}]\n', "row 1: this file seems to be JSON; save it as CSV"),
}


@pytest.mark.parametrize(("content", "problem"), UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_file_is_refused_with_its_problem_and_place(csv_refusal, content, problem):
    message = csv_refusal(content)
    assert problem in f"{message}\n"
    assert len(message.split("\n")) == 1


def test_a_missing_column_is_named_with_a_similar_one_and_all_others(csv_refusal):
    message = csv_refusal("txt,label\na,0\nb,1\n")
    assert (
        "mine.csv: no column 'text' (data.columns.text); did you mean 'txt'? Columns here: 'txt', 'label'"
        in message
    )
    message = csv_refusal("text,label\na,0\nb,1\n", group="film")
    assert "no column 'film' (data.columns.group); Columns here: 'text', 'label'" in message


def test_each_missing_column_gets_a_line(csv_refusal):
    assert len(csv_refusal("x,y\na,0\nb,1\n").splitlines()) == 2


def test_one_column_cannot_be_text_and_label(csv_refusal):
    assert "must be different columns" in csv_refusal("text,label\na,0\nb,1\n", label="text")


def test_both_classes_cannot_be_spelt_alike(csv_refusal):
    assert "both '1'; they must differ" in csv_refusal("text,label\na,0\nb,1\n", negative="1")


def test_a_message_names_the_column_as_the_file_does(csv_refusal):
    content = "words,stars\na,0\nb,5\n"
    assert "column 'stars': row 3: '5'" in csv_refusal(content, text="words", label="stars")


def test_a_missing_group_is_named_by_row(csv_refusal):
    assert "column 'film': row 3: empty" in csv_refusal(
        "text,label,film\na,0,f\nb,1,\n", group="film"
    )


def test_every_kind_of_bad_row_gets_its_line(csv_refusal):
    assert len(csv_refusal("text,label\n,0\nb,x\nc,1\n").splitlines()) == 2


def test_the_line_of_an_invalid_byte_is_found_far_into_a_file(csv_refusal):
    content = "text,label\n".encode("utf-8-sig") + "caf\u00e9,1\n".encode() * 300_000
    message = csv_refusal(content + b"caf\xe9,1\n" + b"tea,0\n" * 9)
    assert f"line 300002: not UTF-8 (byte 0xe9 at position {len(content) + 3})" in message


def test_a_text_of_a_million_characters_is_read(read_csv):
    content = "text,label\n" + "ab " * 350_000 + ",0\nb,1\n"
    texts = read_csv(content)["text"]
    assert list(map(len, texts)) == [1_050_000, 1]


def test_a_field_above_the_bound_is_named_by_its_row(read_csv, csv_refusal, monkeypatch):
    monkeypatch.setattr(csv_table, "FIELD_CHARACTERS", 1000)
    message = csv_refusal("text,label\na,0\n" + "b" * 1001 + ",1\n")
    assert (
        "row 3: not CSV: a field of more than 1,000 characters; is a quote never closed" in message
    )
    assert len(read_csv("text,label\na,0\n" + "b" * 1000 + ",1\n")) == 2


@pytest.mark.parametrize(("make", "kind"), review_sources.SPECIAL_FILES)
def test_a_source_that_is_neither_file_nor_folder_is_named(tmp_path, monkeypatch, make, kind):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "in")
    csv_remedy = "data.path must name the CSV file itself"
    assert review_sources.refusal("csv", "in") == f"in: cannot be read: {kind}; {csv_remedy}"
    archive_remedy = "aclimdb needs aclImdb or aclImdb_v1.tar.gz"
    assert review_sources.refusal("aclimdb", "in") == f"in: {kind} (data.path); {archive_remedy}"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.csv", "No such file or directory"),
        ("", "Is a directory"),
    ],
)
def test_a_missing_file_and_a_folder_are_named(tmp_path, name, reason):
    path = tmp_path / name
    remedy = "data.path must name the CSV file itself"
    message = review_sources.refusal("csv", path)
    assert message == f"{path}: cannot be read: {reason}; {remedy}"


@pytest.mark.parametrize("seed", range(5))
def test_rows_that_the_csv_module_writes_are_read_back(read_csv, seed):
    draw = random.Random(seed)
    texts = ["".join(draw.choices('a,"\n\r;é\tx', k=9)) + "x" for _ in range(50)]
    labels = [0, 1] * 25

    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(["text", "label"])
    writer.writerows(zip(texts, labels, strict=True))

    reviews = read_csv(stream.getvalue())
    assert reviews["text"].tolist() == texts
    assert reviews["label"].tolist() == labels


@pytest.fixture
def in_small_parts(monkeypatch):
    monkeypatch.setattr(csv_table, "PART_CHARACTERS", 9)


def test_parts_make_up_the_whole_source(write_csv, in_small_parts):
    rows = [f"text {number},{number % 2},film {number}\n\n" for number in range(40)]
    path = write_csv("text,label,film\n" + "".join(rows))

    section = review_sources.data_section("csv", path, group="film")
    parts = list(sources.read(section))
    reviews = pd.concat(parts)

    assert len(parts) > 9
    assert list(reviews["text"]) == [f"text {number}" for number in range(40)]
    assert list(reviews["group"]) == [f"film {number}" for number in range(40)]
    assert list(reviews.index) == list(range(0, 80, 2))


def test_bad_rows_of_all_parts_are_in_one_message(csv_refusal, in_small_parts):
    ten_rows = "text,0\ntext,1\n" * 4 + "text,0\ntext,7\n"
    content = "text,label\n" + ten_rows * 4
    assert csv_refusal(content).endswith(
        "rows 11, 21, 31, 41: '7': must be '0' or '1' (data.labels)"
    )


def test_uneven_rows_are_counted_over_all_parts(csv_refusal, in_small_parts):
    content = "text,label\n" + "a long text,0\nhalf\n" * 7
    assert "rows 3, 5, 7, 9, 11 and 2 more: not 2 fields" in csv_refusal(content)
