"""`predict` on a small network."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import shlex
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dvc.repo import Repo

from pipeline.__main__ import main
from pipeline.commands import predict
from pipeline.params import Mistake, document
from pipeline.science.networks import architectures
from pipeline.storage import artifacts
from tests.support import trained_run
from tests.support.trained_run import SETTINGS, SIZE

RUN = "vanilla-textbook"
VOCABULARY = "data/prepared/vocabulary.txt"


@pytest.fixture
def network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = architectures.initial_model("vanilla", SETTINGS, SIZE, seed=0)
    trained_run.write(RUN, model)
    return model


def test_every_line_of_a_file_gets_the_probability_of_keras(network, tmp_path, capsys):
    (tmp_path / "reviews.txt").write_text("A FINE film!\nnot dull\n")
    assert main(["predict", "--file", "reviews.txt"]) == 0
    answers = capsys.readouterr().out.splitlines()

    tokens_NT = np.zeros((2, 7), np.int32)
    tokens_NT[0, -3:] = 1, 2, 4
    tokens_NT[1, -2:] = 1, 3
    expected = network.predict(tokens_NT, verbose=0)[:, 0]
    assert [float(answer.split()[1]) for answer in answers] == pytest.approx(expected, abs=1e-4)

    assert main(["predict", "A fine film"]) == 0
    assert capsys.readouterr().out.strip() == answers[0]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            "fine\nunheard\n",
            "reviews.txt: line 2: 'unheard': the vocabulary contains none of its words",
        ),
        ("fine\n\n", "--file reviews.txt: line 2 is empty; write one text per line"),
        ("", "--file reviews.txt: line 1 is empty; write one text per line"),
        ("fine\n?!\n", "reviews.txt: line 2: '?!': it contains no word"),
    ],
)
@pytest.mark.usefixtures("network")
def test_a_line_without_a_known_word_is_named(tmp_path, capsys, content, problem):
    (tmp_path / "reviews.txt").write_text(content)
    assert main(["predict", "--file", "reviews.txt"]) == 2
    printed = capsys.readouterr()
    assert problem in printed.err
    assert printed.out == ""


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("two\nlines", "'two\\nlines'"),
        ("\x1b[31mred", "'\\x1b[31mred'"),
        ("\u202eback", "'\\u202eback'"),
        ("", "''"),
        ("no %s {0} here", "no %s {0} here"),
    ],
)
@pytest.mark.usefixtures("network")
def test_a_file_of_any_name_is_refused_in_one_line(capsys, name, shown):
    assert main(["predict", "--file", name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: --file {shown}: cannot be read: ")


@pytest.mark.usefixtures("network")
def test_no_error_sends_a_command_to_the_terminal(capsys):
    assert main(["predict", "--run", "\x1b[31mred\r\u2028\udcff", "fine"]) == 2
    assert "--run '\\x1b[31mred\\r\\u2028\\udcff': not in " in capsys.readouterr().err


@pytest.mark.usefixtures("network")
def test_a_name_with_a_line_break_stays_in_one_line(tmp_path, capsys):
    (tmp_path / "two\nlines").write_bytes(gzip.compress(b"fine"))
    for option in ("--file=two\nlines", "--run=two\nlines"):
        text = [] if option.startswith("--file") else ["fine"]
        assert main(["predict", option, *text]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "'two\\nlines': " in line


def test_of_equal_accuracies_the_lowest_seed_is_chosen():
    scores = {"b": {"validation/accuracy": {"scores": {"2": 0.8, "10": 0.8, "0": 0.7}}}}
    assert predict.chosen(scores, None, None) == ("b", 2)
    assert predict.chosen({**scores, "a": scores["b"]}, None, None) == ("a", 2)


def test_a_seed_is_chosen_from_the_runs_that_have_it():
    scores = {
        "two": {"validation/accuracy": {"scores": {"0": 0.9, "1": 0.8}}},
        "three": {"validation/accuracy": {"scores": {"0": 0.7, "1": 0.7, "2": 0.6}}},
    }
    assert predict.chosen(scores, None, 2) == ("three", 2)
    assert predict.chosen(scores, None, 1) == ("two", 1)
    with pytest.raises(Mistake, match=r"^--seed 2: not trained; allowed: 0, 1$"):
        predict.chosen(scores, "two", 2)
    with pytest.raises(Mistake, match=r"^--seed 3: not trained; allowed: 0, 1, 2$"):
        predict.chosen(scores, None, 3)


def zipped(member):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(member, "fine")
    return stream.getvalue()


UNREADABLE = {
    "missing": (None, "cannot be read: No such file or directory; --file must name a text file"),
    "Latin-1": (
        b"fine\ncaf\xe9\n",
        "line 2: not UTF-8 (byte 0xe9 at position 8); save the file as UTF-8; `iconv -f WINDOWS-1252 -t",
    ),
    "UTF-16": (
        "fine\n".encode("utf-16"),
        "UTF-16 text, not UTF-8; `iconv -f UTF-16 -t UTF-8 reviews.txt > NEW_FILE` converts it",
    ),
    "UTF-16 without a mark": (
        "fine\n".encode("utf-16-be"),
        "UTF-16BE text, not UTF-8; `iconv -f UTF-16BE",
    ),
    "NUL": (b"fine\rfilm\r\ndull\0", "line 3: a NUL byte, so not plain text; delete it"),
    "gzip": (gzip.compress(b"fine"), "a gzip archive, not plain text; unpack it with `gunzip rev"),
    "bzip2": (bz2.compress(b"fine"), "a bzip2 archive, not plain text; unpack it with `bunzip2 "),
    "xz": (lzma.compress(b"fine"), "an xz archive, not plain text; unpack it with `unxz review"),
    "lzma": (
        lzma.compress(b"fine", lzma.FORMAT_ALONE),
        "an LZMA archive, not plain text; unpack it with `unlzma reviews.txt`",
    ),
    "lz4": (b"\x04\x22\x4d\x18fine", "an LZ4 archive, not plain text; unpack it with `unlz4 "),
    "feather": (b"ARROW1\0\0", "a Feather table, not plain text; save it as plain text"),
    "ORC": (b"ORC\n\x0b", "an ORC table, not plain text; save it as plain text"),
    "NumPy": (b"\x93NUMPY\x01", "a NumPy array, not plain text; save it as plain text"),
    "pickle": (pickle.dumps(["fine"]), "a Python pickle, not plain text; save it as plain text"),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\n",
        "a pointer of Git LFS, not the text; `git lfs pull` fetches it",
    ),
    "DVC": (b"outs:\n- md5: 0a\n", "a pointer of DVC, not the text; `dvc pull` fetches it"),
    "tar": (b"fine".ljust(257, b"\0") + b"ustar", "a tar archive, not plain text; unpack it with"),
    "zip": (
        zipped("fine.txt"),
        "a zip archive, not plain text; unpack it with `unzip reviews.txt`",
    ),
    "half of a zip": (zipped("fine.txt")[:30], "a zip archive, not plain text; unpack it with"),
    "Excel": (
        zipped("xl/workbook.xml"),
        "an Excel file, not plain text; save it as plain text, one text per line",
    ),
    "old Excel": (
        b"\xd0\xcf\x11\xe0\xa1",
        "an Excel or Word file of an old version, not plain text",
    ),
    "Word": (zipped("word/document.xml"), "a Word document, not plain text; save it as plain text"),
    "PDF": (
        b"%PDF-1.7\n\xe2",
        "a PDF document, not plain text; save it as plain text, one text per",
    ),
}


@pytest.mark.parametrize(("content", "problem"), UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_file_of_texts_is_named_once(tmp_path, monkeypatch, capsys, content, problem):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "reviews.txt").write_bytes(content)
    assert main(["predict", "--file", "reviews.txt"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: --file reviews.txt: {problem}")
    assert (printed.err.count("\n"), printed.out) == (1, "")


def test_a_named_pipe_of_texts_is_read_to_its_end(tmp_path):
    """The shell makes one for `--file <(command)`."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=["a fine film\na bad film\n"])
    writer.start()
    assert predict.texts_of(str(path)) == ["a fine film", "a bad film"]
    writer.join()


def test_a_folder_of_texts_is_named(capsys):
    assert main(["predict", "--file", "."]) == 2
    assert "error: --file .: cannot be read: Is a directory; --file must" in capsys.readouterr().err


@pytest.mark.parametrize("sign", "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029", ids=ascii)
def test_other_signs_do_not_end_a_line(tmp_path, sign):
    file = tmp_path / "reviews.txt"
    file.write_text(f"fine{sign}film\nnot dull", encoding="utf-8")
    assert predict.texts_of(str(file)) == [f"fine{sign}film", "not dull"]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_three_line_ends_separate_texts(tmp_path, start, end):
    file = tmp_path / "reviews.txt"
    file.write_bytes(start + f"fine{end}dull{end}film".encode())
    assert predict.texts_of(str(file)) == ["fine", "dull", "film"]


@pytest.mark.usefixtures("network")
def test_standard_input_is_read_as_utf_8(monkeypatch, capsys):
    stream = io.TextIOWrapper(io.BytesIO("na\u00efve fine\nfilm".encode()), encoding="ascii")
    monkeypatch.setattr("sys.stdin", stream)
    assert main(["predict", "--file", "-"]) == 0
    assert capsys.readouterr().out.count("\n") == 2


STANDARD_INPUT = {
    "nothing": (b"", "line 1 is empty; write one text per line"),
    "empty line": (b"fine\n \n", "line 2 is empty; write one text per line"),
    "gzip": (
        gzip.compress(b"fine"),
        "a gzip archive, not plain text; unpack it with `gunzip FILE`",
    ),
}


@pytest.mark.parametrize(("content", "problem"), STANDARD_INPUT.values(), ids=STANDARD_INPUT)
def test_unusable_standard_input_is_named(monkeypatch, capsys, content, problem):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="ascii"))
    assert main(["predict", "--file", "-"]) == 2
    assert capsys.readouterr() == ("", f"error: --file -: {problem}\n")


def test_a_closed_standard_input_is_named(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", None)
    assert main(["predict", "--file", "-"]) == 2
    assert "error: --file -: standard input is closed; write `--file" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["predict", "read"])
@pytest.mark.parametrize("text", ["-awful", "-horrible film", "--run=amok was great"])
def test_a_text_that_starts_with_a_hyphen_gets_a_hint(capsys, command, text):
    with pytest.raises(SystemExit) as ended:
        main([command, text])
    hint = f"such as `python -m pipeline {command} -- {shlex.quote(text)}`\n"
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(hint)


@pytest.mark.parametrize("command", ["predict", "read"])
def test_a_text_without_quotes_gets_a_hint(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main([command, "a", "fine", "film"])
    assert ended.value.code == 2
    hint = f"put the text in quotes, such as `python -m pipeline {command} 'a fine film'`\n"
    assert capsys.readouterr().err.endswith(hint)


@pytest.mark.usefixtures("network")
def test_two_hyphens_before_a_text_end_the_options(capsys):
    assert main(["predict", "--seed", "0", "--", "-fine"]) == 0
    assert capsys.readouterr().out.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["predict"],
        ["predict", "--seed", "x", "fine"],
        ["predict", "--file", "-awful.txt"],
        ["train", "-x"],
    ],
)
def test_other_errors_in_arguments_get_no_hint_about_hyphens(capsys, words):
    with pytest.raises(SystemExit):
        main(words)
    assert " -- " not in capsys.readouterr().err


@pytest.mark.usefixtures("network")
def test_metrics_that_are_empty_or_damaged_are_named(capsys):
    artifacts.write_json(artifacts.METRICS, {})
    trained_run.record(RUN)
    assert main(["predict", "fine"]) == 2
    assert (
        "error: reports/metrics.json: contains no trained network; run `dvc repro`"
        in capsys.readouterr().err
    )
    artifacts.METRICS.write_text('{"vanilla')
    trained_run.record(RUN)
    assert main(["predict", "fine"]) == 2
    assert "error: reports/metrics.json: damaged (Unterminated string" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["predict", "read"])
@pytest.mark.usefixtures("network")
def test_the_labels_of_a_csv_are_named_on_stderr(capsys, command):
    labels = {"negative": "ham", "positive": "spam"}
    artifacts.write_json(artifacts.DATA_CARD, {"source": "csv", "labels": labels})
    trained_run.record(RUN)
    assert main([command, "fine", "--json"]) == 0
    printed = capsys.readouterr()
    assert "Positive is the label 'spam', negative is 'ham'.\n" in printed.err
    assert "spam" not in printed.out


@pytest.fixture
def recorded(network):
    """The network's folder with a dvc.lock, its hashes by DVC itself."""
    artifacts.write_json(artifacts.DATA_CARD, {"source": "imdb"})
    models = f"{artifacts.MODELS}/{RUN}"
    with Repo.init(no_scm=True) as repo:
        for path in (models, VOCABULARY):
            repo.add(path)
    [network_out] = document(Path(f"{models}.dvc"))["outs"]
    [vocabulary_out] = document(Path(f"{VOCABULARY}.dvc"))["outs"]

    stages = trained_run.record(RUN)
    stages[f"train@{RUN}"]["outs"] = [{**network_out, "path": models}]
    stages["prepare"]["outs"][0] = {**vocabulary_out, "path": VOCABULARY}
    artifacts.write_json(Path("dvc.lock"), {"stages": stages})
    return stages


@pytest.mark.parametrize(
    ("changed", "restore"),
    [
        (VOCABULARY, f"`dvc checkout --force {VOCABULARY}`"),
        (f"artifacts/models/{RUN}/seed-0.weights.h5", "`dvc checkout --force artifacts/models"),
        (f"artifacts/models/{RUN}/model.json", "`dvc checkout --force artifacts/models"),
        ("reports/metrics.json", "`git checkout HEAD -- reports/metrics.json`"),
        ("reports/data.json", "`git checkout HEAD -- reports/data.json`"),
    ],
)
def test_a_file_that_differs_from_its_record_is_refused(recorded, capsys, changed, restore):
    assert main(["predict", "fine"]) == 0
    with Path(changed).open("ab") as file:
        file.write(b"\n")
    capsys.readouterr()
    for command in ("predict", "read"):
        assert main([command, "fine"]) == 2
        printed = capsys.readouterr()
        assert f" differs from dvc.lock; {restore}" in printed.err
        assert printed.out == ""


@pytest.mark.parametrize(
    ("stage", "path"),
    [
        ("prepare", VOCABULARY),
        (f"train@{RUN}", f"artifacts/models/{RUN}"),
        ("evaluate", "reports/metrics.json"),
    ],
)
def test_a_file_that_dvc_lock_does_not_record_is_refused(recorded, capsys, stage, path):
    del recorded[stage]
    artifacts.write_json(Path("dvc.lock"), {"stages": recorded})
    for command in ("predict", "read"):
        assert main([command, "fine"]) == 2
        remedy = "`dvc repro` makes it and records it"
        assert capsys.readouterr().err == f"error: {path}: not in dvc.lock; {remedy}\n"


def test_scores_of_other_networks_are_refused(recorded, capsys):
    artifacts.write_text(artifacts.model("another"), "a network that `evaluate` has not scored")
    assert main(["predict", "fine"]) == 2
    problem = "reports/metrics.json: scores of other networks than artifacts/models holds"
    assert problem in capsys.readouterr().err


def test_a_vocabulary_of_other_data_is_refused(recorded, capsys):
    recorded["prepare"]["outs"][-1]["md5"] = "1"
    artifacts.write_json(Path("dvc.lock"), {"stages": recorded})
    assert main(["predict", "fine"]) == 2
    problem = f"artifacts/models/{RUN}: trained on other data than {VOCABULARY} comes from"
    assert problem in capsys.readouterr().err
