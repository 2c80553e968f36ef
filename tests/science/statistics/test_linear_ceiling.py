"""TF-IDF of tokens against scikit-learn's own TF-IDF of texts."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from pipeline.science.statistics import linear_ceiling


def test_the_linear_ceiling_is_scikit_learns_and_does_not_see_padding():
    random = np.random.default_rng(0)
    tokens_NT = random.integers(1, 30, (60, 8)).astype(np.int32)
    tokens_NT[::2, :3] = 0
    labels_N = random.integers(0, 2, 60)

    texts = []
    for tokens_T in tokens_NT:
        texts.append(" ".join(f"w{token}" for token in tokens_T if token))
    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\S+").fit(texts)  # noqa: S106
    vectors = vectorizer.transform(texts)
    reference = LogisticRegression(max_iter=1000).fit(vectors, labels_N)

    model = linear_ceiling.tfidf(tokens_NT, labels_N, 30)
    probability_N = linear_ceiling.tfidf_probabilities(model, tokens_NT)
    np.testing.assert_allclose(probability_N, reference.predict_proba(vectors)[:, 1], atol=1e-4)

    weight_of_word = dict(zip(vectorizer.get_feature_names_out(), reference.coef_[0], strict=True))
    expected_V = [weight_of_word.get(f"w{token}", 0) for token in range(30)]
    np.testing.assert_allclose(linear_ceiling.tfidf_weights(model), expected_V, atol=1e-3)


def test_pairs_are_scikit_learns_and_do_not_cross_padding():
    random = np.random.default_rng(0)
    tokens_NT = random.integers(1, 12, (60, 9))
    tokens_NT[::3, :4] = 0
    labels_N = (tokens_NT == 3).any(axis=1).astype(int)
    texts = [" ".join(f"w{token}" for token in row if token) for row in tokens_NT]

    vectorizer = TfidfVectorizer(
        sublinear_tf=True,
        token_pattern=r"\S+",  # noqa: S106
        ngram_range=(1, 2),
    )
    features = vectorizer.fit_transform(texts)
    expected = LogisticRegression(C=4.0, max_iter=1000).fit(features, labels_N)
    model = linear_ceiling.tfidf_bigrams(tokens_NT, labels_N, 12)
    assert model.probabilities(tokens_NT) == pytest.approx(
        expected.predict_proba(features)[:, 1], abs=1e-4
    )
    pairs = [name for name in vectorizer.get_feature_names_out() if " " in name]
    assert len(model.pairs_P) == len(pairs)
    assert linear_ceiling.tfidf_parameters(model.pipeline) == 12 + len(pairs) + 1


def test_the_most_frequent_pairs_are_chosen_and_the_lowest_of_equals():
    tokens_NT = np.array([[0, 5, 3, 4, 3, 4], [0, 0, 0, 0, 2, 2]])
    codes = linear_ceiling.frequent_pairs(tokens_NT, 10, most=2)
    assert codes.tolist() == [22, 34]  # 3 4 occurs twice; 2 2, 4 3 and 5 3 once


def test_pairs_that_training_lacks_do_not_count():
    tokens_NT = np.array([[1, 2, 3], [3, 2, 1], [1, 2, 1], [3, 2, 3]])
    labels_N = np.array([0, 1, 0, 1])
    model = linear_ceiling.tfidf_bigrams(tokens_NT, labels_N, 5)
    unseen, words_alone = np.array([[1, 1, 0]]), np.array([[1, 0, 1]])
    assert model.probabilities(unseen) == pytest.approx(model.probabilities(words_alone))


def test_texts_of_one_token_have_no_pairs():
    tokens_NT = np.array([[1], [2], [1], [2]])
    model = linear_ceiling.tfidf_bigrams(tokens_NT, np.array([0, 1, 0, 1]), 5)
    assert len(model.pairs_P) == 0
    assert (model.probabilities(tokens_NT) > 0.5).tolist() == [False, True, False, True]
