"""TF-IDF of tokens against scikit-learn's own TF-IDF of texts."""

import numpy as np
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
