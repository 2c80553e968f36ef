"""Checks that the prepared reviews meet the needs of every later stage, before any stage trains a network."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from pipeline.params import SHORTEST_LENGTH, Mistake
from pipeline.science.behaviour import strong_words

FEW_TOKENS = (
    4  # in half of the texts: perhaps no blanks separate the words, as in Japanese and Thai
)
SEPARATE = "if no blanks are between their words, insert blanks first"


def require(
    splits: Mapping[str, pd.DataFrame],
    sequence_lengths: Sequence[int],
    words: int,
    calibration_bins: int,
) -> None:
    """Raises Mistake, with one line per problem, if a later stage could not measure these splits.

    `splits` have the columns of `tokenizer.encode_split`, and both labels. The other arguments are values of
    params.yaml.
    """
    problems = [
        *_length_problems(splits["validation"], sequence_lengths),
        *_word_problems(splits["train"], words),
        *_bin_problems(splits["test"], calibration_bins),
    ]
    if problems:
        raise Mistake("\n".join(problems))


def require_length(validation: pd.DataFrame, sequence_length: int) -> None:
    """Raises Mistake if no validation review of one of the labels has `sequence_length` tokens."""
    for problem in _length_problems(validation, [sequence_length]):
        raise Mistake(problem)


def _length_problems(validation: pd.DataFrame, sequence_lengths: Sequence[int]) -> Iterator[str]:
    length_of_review = validation["tokens"].map(len)
    longest = length_of_review.groupby(validation["label"]).max().min()
    too_long = [str(length) for length in sequence_lengths if length > longest]

    cause = ""
    median = length_of_review.median()
    if median <= FEW_TOKENS:
        tokens = "1 token" if median == 1 else f"{median:g} tokens"
        cause = f"; half of the texts have at most {tokens}: {SEPARATE}"

    if longest < SHORTEST_LENGTH:
        yield (
            f"data: the longest length with validation texts of both labels is {longest}; to measure gradients, it "
            f"must be at least {SHORTEST_LENGTH} tokens: use a source with longer texts{cause}"
        )
    elif too_long:
        yield (
            f"params.yaml: gradients.sequence_lengths: {', '.join(too_long)}: too long: the longest length with "
            f"validation texts of both labels is {longest}{cause}"
        )


def _word_problems(train: pd.DataFrame, words: int) -> Iterator[str]:
    frequent = len(strong_words.frequent_words(train["tokens"], train["label"]))
    most = frequent // 2
    share = f"{100 * strong_words.LEAST_SHARE:g} %"

    if not most:
        yield (
            f"data: {frequent} words of the vocabulary are in at least {share} of the training texts; the word "
            "effect needs 2 or more: use a source with more text, or raise data.vocabulary_size; "
            f"{SEPARATE}"
        )
    elif words > most:
        yield (
            f"params.yaml: gradients.words: {words}: must be at most {most}, half of the {frequent} words of the "
            f"vocabulary that are in at least {share} of the training texts"
        )


def _bin_problems(test: pd.DataFrame, calibration_bins: int) -> Iterator[str]:
    if calibration_bins > len(test):
        yield (
            f"params.yaml: evaluate.calibration_bins: {calibration_bins}: must be at most {len(test)}, the number of "
            "test texts"
        )
