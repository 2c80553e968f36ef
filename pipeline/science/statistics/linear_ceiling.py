"""TF-IDF with logistic regression on the tokens that the networks read: the accuracy of words without order.

Axes: N reviews, T tokens.
"""

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def tfidf(tokens_NT: np.ndarray, labels_N: np.ndarray, vocabulary_size: int) -> "Pipeline":
    """Returns the fitted model."""
    # Workers of the gradient study import this module without fitting, and scikit-learn takes 0.5 s to import.
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfTransformer(sublinear_tf=True), LogisticRegression(max_iter=1000))
    return model.fit(counts(tokens_NT, vocabulary_size), labels_N)


def tfidf_probabilities(model: "Pipeline", tokens_NT: np.ndarray) -> np.ndarray:
    """Returns the probability that each review is positive."""
    return model.predict_proba(counts(tokens_NT, model.n_features_in_))[:, 1]


def tfidf_parameters(model: "Pipeline") -> int:
    """Returns the number of fitted weights."""
    _, regression = model.steps[-1]
    return int(regression.coef_.size + regression.intercept_.size)


def counts(tokens_NT: np.ndarray, vocabulary_size: int) -> sparse.csr_matrix:
    """Returns one row per review with the count of each word of the vocabulary. Padding does not count."""
    rows, columns = np.nonzero(tokens_NT)
    words = tokens_NT[rows, columns]
    return sparse.csr_matrix(
        (np.ones(len(words)), (rows, words)), shape=(len(tokens_NT), vocabulary_size)
    )
