"""`data.limit`: fewer reviews, evenly from the whole source."""

import pytest

from pipeline.storage.sources import csv_table

THIRD_POSITIVE = "text,label\n" + "t,1\nt,0\nt,0\n" * 167


def test_a_limit_samples_the_whole_source_and_keeps_the_balance(read_csv):
    content = "text,label\n" + "t,0\n" * 300 + "t,1\n" * 100
    reviews = read_csv(content, limit=100)
    assert len(reviews) == 100
    assert reviews["label"].sum() == 25
    assert reviews.index.tolist() == list(range(0, 400, 4))


@pytest.mark.parametrize(("rare", "usual"), [(0, 1), (1, 0)])
def test_a_limit_keeps_a_review_of_a_rare_label(read_csv, rare, usual):
    content = "text,label\n" + f"t,{usual}\n" * 600 + f"t,{rare}\n"
    labels = read_csv(content, limit=100)["label"].tolist()
    assert labels == [usual] * 99 + [rare]


def test_a_limit_above_the_size_takes_all(read_csv):
    assert len(read_csv("text,label\na,0\nb,1\n", limit=100)) == 2


def test_a_limit_is_met_exactly_where_shares_do_not_divide(read_csv):
    assert len(read_csv(THIRD_POSITIVE, limit=101)) == 101


def test_a_limit_takes_the_same_reviews_for_parts_of_any_size(read_csv, monkeypatch):
    in_one_part = read_csv(THIRD_POSITIVE, limit=101)
    monkeypatch.setattr(csv_table, "PART_CHARACTERS", 9)
    assert read_csv(THIRD_POSITIVE, limit=101).equals(in_one_part)
