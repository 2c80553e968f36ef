"""Two linear baselines, TF-IDF with logistic regression on the tokens that the networks read.

One counts words, so it has no word order. The other one also counts pairs of neighbouring words.

Axes: N reviews, T tokens, P pairs.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from pipeline.params import SPECIAL_TOKENS

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

PADDING = SPECIAL_TOKENS.index("<pad>")
MOST_PAIRS = 50_000
INVERSE_PENALTY = 1.0  # scikit-learn's C, and its default
# As good as the best of a few others on IMDB's validation reviews. Words alone lose with it.
INVERSE_PENALTY_OF_PAIRS = 4.0


def tfidf(tokens_NT: np.ndarray, labels_N: np.ndarray, vocabulary_size: int) -> "Pipeline":
    """Returns the fitted model of words."""
    return _fitted(counts(tokens_NT, vocabulary_size), labels_N, INVERSE_PENALTY)


def tfidf_probabilities(model: "Pipeline", tokens_NT: np.ndarray) -> np.ndarray:
    """Returns the probability that each review is positive."""
    return model.predict_proba(counts(tokens_NT, model.n_features_in_))[:, 1]


def tfidf_weights(model: "Pipeline") -> np.ndarray:
    """Returns the weight of each word of the vocabulary."""
    _, regression = model.steps[-1]
    return regression.coef_[0]


def tfidf_parameters(model: "Pipeline") -> int:
    """Returns the number of fitted weights."""
    _, regression = model.steps[-1]
    return int(regression.coef_.size + regression.intercept_.size)


def counts(tokens_NT: np.ndarray, vocabulary_size: int) -> sparse.csr_matrix:
    """Returns one row per review with the count of each word of the vocabulary. Padding does not count."""
    rows, columns = np.nonzero(tokens_NT)
    return _table(len(tokens_NT), rows, tokens_NT[rows, columns], vocabulary_size)


@dataclass(frozen=True)
class PairModel:
    """A fitted model of words and of the pairs of neighbours in `pairs_P` (ascending codes of `_pairs`)."""

    pipeline: "Pipeline"
    vocabulary_size: int
    pairs_P: np.ndarray

    def probabilities(self, tokens_NT: np.ndarray) -> np.ndarray:
        """Returns the probability that each review is positive."""
        features = _words_and_pairs(tokens_NT, self.vocabulary_size, self.pairs_P)
        return self.pipeline.predict_proba(features)[:, 1]


def tfidf_bigrams(tokens_NT: np.ndarray, labels_N: np.ndarray, vocabulary_size: int) -> PairModel:
    """Returns the fitted model of words and of the MOST_PAIRS most frequent pairs of these reviews."""
    pairs_P = frequent_pairs(tokens_NT, vocabulary_size, MOST_PAIRS)
    features = _words_and_pairs(tokens_NT, vocabulary_size, pairs_P)
    pipeline = _fitted(features, labels_N, INVERSE_PENALTY_OF_PAIRS)
    return PairModel(pipeline, vocabulary_size, pairs_P)


def frequent_pairs(tokens_NT: np.ndarray, vocabulary_size: int, most: int) -> np.ndarray:
    """Returns the codes of the most frequent pairs, in ascending order. Of equally frequent ones, the lowest win."""
    _, code_K = _pairs(tokens_NT, vocabulary_size)
    code_P, count_P = np.unique(code_K, return_counts=True)
    most_frequent = np.lexsort((code_P, -count_P))[:most]
    return np.sort(code_P[most_frequent])


def _words_and_pairs(
    tokens_NT: np.ndarray, vocabulary_size: int, pairs_P: np.ndarray
) -> sparse.csr_matrix:
    """Returns `counts` with one more column for each of these pairs. Other pairs do not count."""
    row_K, code_K = _pairs(tokens_NT, vocabulary_size)
    is_listed_K = np.isin(code_K, pairs_P)
    column_K = np.searchsorted(pairs_P, code_K[is_listed_K])

    pair_counts = _table(len(tokens_NT), row_K[is_listed_K], column_K, len(pairs_P))
    both = sparse.hstack([counts(tokens_NT, vocabulary_size), pair_counts])
    return sparse.csr_matrix(both)


def _pairs(tokens_NT: np.ndarray, vocabulary_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the row and the code of each pair of neighbours without padding, a number made of both tokens."""
    first_NT, second_NT = tokens_NT[:, :-1], tokens_NT[:, 1:]
    rows, columns = np.nonzero((first_NT != PADDING) & (second_NT != PADDING))
    first_K = first_NT[rows, columns].astype(np.int64)
    return rows, first_K * vocabulary_size + second_NT[rows, columns]


def _table(reviews: int, rows: np.ndarray, columns: np.ndarray, width: int) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(reviews, width))


def _fitted(features: sparse.csr_matrix, labels_N: np.ndarray, inverse_penalty: float):
    # Workers of the gradient study import this module without fitting, and scikit-learn is slow to import.
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    regression = LogisticRegression(C=inverse_penalty, max_iter=1000)
    return make_pipeline(TfidfTransformer(sublinear_tf=True), regression).fit(features, labels_N)
