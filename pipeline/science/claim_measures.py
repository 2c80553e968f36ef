"""The numbers behind the claims. Each comes from one table of the study and has an interval.

The interval covers other seeds and other reviews (`statistics.intervals`). `low` and `high` are its ends at 95 %. The
verdicts use `decided_low` and `decided_high`: with many deciding measures, each gets a wider interval (Bonferroni), so
that all of them are right together with the declared probability.

An exact measure is a fact about every network that we trained, such as a number of parameters or a derivative that is
zero. Its ends are the least and the largest value over these networks.

A lag counts tokens before the last one. The first token is a special case: it meets an empty state, where tanh is
steepest, so it can have a larger gradient and a larger effect than the tokens after it.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from operator import eq, gt, lt
from typing import Any

import numpy as np
import pandas as pd

from pipeline.params import DEFAULT_INITIALISER
from pipeline.params.subjects import Subject
from pipeline.science.statistics import intervals
from pipeline.science.statistics.intervals import CONFIDENCE, Estimate, ReviewError
from pipeline.science.statistics.lags import longest_lag_learned, reach_of_memory

HOLDS = "holds"
PARTLY = "partly"
FAILS = "does not hold"
NOT_SHOWN = "not shown"

# `within` compares sizes: the number is closer to 0 than the threshold, on either side.
SIDES = {"above": gt, "below": lt, "exactly": eq, "within": lt}
OPPOSITE = {"above": lt, "below": gt, "within": gt}

NUMBERS: dict[str, tuple[str, ...]] = {  # the columns of numbers that each kind of table must have
    "decay": (
        "sequence_length",
        "trained_length",
        "seeds",
        "exponential_seeds",
        "rate",
        "half_life_tokens",
        "horizon_1e-3",
    ),
    "distances": (
        "sequence_length",
        "trained_length",
        "seed",
        "lag_tokens",
        "log10_relative_norm",
        "review_error",
        "blocks",
    ),
    "memory": (
        "sequence_length",
        "trained_length",
        "seed",
        "lag_tokens",
        "share",
        "share_review_error",
        "sign_accuracy",
        "sign_accuracy_review_error",
        "stored",
        "stored_review_error",
        "used",
        "used_review_error",
        "blocks",
    ),
    "probes": (
        "sequence_length",
        "trained_length",
        "seed",
        "tokens",
        "lost",
        "lost_review_error",
        "logit_change",
        "logit_change_review_error",
        "blocks",
    ),
    "states": ("sequence_length", "trained_length", "seed", "value"),
    "retention": ("lag_tokens", "seed", "solved"),
}

CURVE = ("architecture", "direction", "weights", "initialiser", "quantity")
TEXTS: dict[str, tuple[str, ...]] = {  # and its columns of text
    "decay": CURVE,
    "distances": CURVE,
    "memory": ("architecture",),
    "probes": ("architecture", "probe"),
    "states": ("architecture", "direction", "measure"),
    "retention": ("architecture", "signal"),
}

DECAY_WORDS = {  # a column of the decay tables: its name in words and its unit
    "rate": ("factor per token of the fitted exponential", "share"),
    "half_life_tokens": ("half-life of the fitted exponential", "tokens"),
    "horizon_1e-3": ("distance from which the gradient stays below 0.001", "tokens"),
}
STATE_WORDS = {  # a measure of the tables of states: its name in words and its unit
    "streaming_difference": (
        "largest relative difference between the state read at once and the state read word by word",
        "share",
    ),
    "state_change": ("median change of the state at a word, relative to the state", "share"),
    "sensitivity_to_later_words": ("largest derivative of a state by a later word", "per unit"),
    "sensitivity_to_earlier_words": (
        "largest derivative of a state by an earlier word",
        "per unit",
    ),
    "parameters_per_position": ("parameters that one more word of input adds", "parameters"),
}
MEMORY_WORDS = {  # a column of the memory tables: its name in words
    "share": "effect of a word {lag} tokens before the last on {architecture}, relative to its effect as the last",
    "sign_accuracy": "used with the right sign: share of {nouns} in which a word {lag} tokens before the last moves "
    "{architecture} the right way",
    "used": "used with either sign: share of {nouns} in which a word {lag} tokens before the last moves {architecture} "
    "the way it does in training {nouns}",
    "stored": "stored: share of {nouns} in which a linear probe of the last state of {architecture} tells a positive "
    "from a negative word {lag} tokens before the last",
}


@dataclass(frozen=True)
class Study:
    """The measurements of the networks with textbook settings, at every sequence length."""

    length: int  # the textbook's sequence length, or the nearest one that was measured
    half_life_at_initialisation: (
        float  # of the gradient in a long text, in tokens; predicted by theory
    )
    subject: Subject  # the words for the texts
    updates: int  # of the synthetic task, at most
    scores: Mapping[str, list[float]]  # run -> test accuracy of each seed
    comparisons: list[dict[str, Any]]  # of reports/comparisons.json
    decay: pd.DataFrame
    distances: pd.DataFrame
    memory: pd.DataFrame
    probes: pd.DataFrame
    states: pd.DataFrame
    retention: pd.DataFrame

    @property
    def nouns(self) -> str:
        return f"{self.subject.noun}s"


@dataclass(frozen=True)
class Measure:
    """A number with its interval at 95 %. A deciding measure has a threshold and the side on which it is expected.

    With a second threshold, `fails_beyond`, the measure does not hold only on the other side of that one. `estimate`
    gives the interval at another confidence; `decided` stores it.
    """

    what: str
    value: float
    low: float | None
    high: float | None
    unit: str  # share, points, log10, logits, tokens, parameters, per unit
    source: str
    estimate: Callable[[float], Estimate] | None = None
    decided_low: float | None = None
    decided_high: float | None = None
    confidence: float | None = None  # of the interval that decides
    exact: bool = False
    tokens: int | None = None  # the lag to which it belongs
    sequence_length: int | None = None  # of the texts in which this lag was measured
    side: str | None = None  # a key of SIDES
    threshold: float | None = None
    fails_beyond: float | None = None

    @property
    def number(self) -> tuple[str, str]:
        """Identifies the number, which several claims may use."""
        return self.what, self.source

    @property
    def verdict(self) -> str | None:
        """HOLDS, PARTLY, FAILS or NOT_SHOWN; None without a threshold."""
        if self.side is None or self.threshold is None:
            return None
        if self.decided_low is None or self.decided_high is None:
            return NOT_SHOWN

        ends = (self.decided_low, self.decided_high)
        if np.isnan(ends).any():
            return NOT_SHOWN
        if self.side == "within":
            ends = _sizes(ends)
        holding_ends = sum(bool(SIDES[self.side](end, self.threshold)) for end in ends)
        if holding_ends == 2:
            return HOLDS
        if self.fails_beyond is None:
            return FAILS if holding_ends == 0 else NOT_SHOWN
        return self._between_two_thresholds(ends, holding_ends, self.fails_beyond)

    def is_at(self, place: "Place") -> bool:
        """Returns whether this measure belongs to a distance."""
        return self.sequence_length == place.length and self.tokens in place.lags

    def _between_two_thresholds(
        self, ends: tuple[float, float], holding_ends: int, fails_beyond: float
    ) -> str:
        """Returns the verdict of a measure that does not hold on the far side of `fails_beyond`."""
        fails = OPPOSITE[self.side or ""]
        failing_ends = sum(bool(fails(end, fails_beyond)) for end in ends)
        if failing_ends == 2:
            return FAILS
        contains_both = holding_ends == failing_ends == 1
        return NOT_SHOWN if contains_both else PARTLY

    def expected(self, side: str, threshold: float, fails_beyond: float | None = None) -> "Measure":
        """Returns the measure with the side of the threshold on which the sentence places it."""
        return replace(self, side=side, threshold=threshold, fails_beyond=fails_beyond)

    def decided(self, confidence: float) -> "Measure":
        """Returns the measure with the interval that decides. Nothing can change the ends of an exact measure."""
        if self.exact:
            return replace(self, decided_low=self.low, decided_high=self.high)
        if self.estimate is None:
            return self

        ends = self.estimate(confidence)
        if ends.low is None:
            return self
        return replace(self, decided_low=ends.low, decided_high=ends.high, confidence=confidence)

    def row(self) -> dict[str, Any]:
        """Returns the measure for JSON, which has neither NaN nor infinity: both become null."""
        values = asdict(replace(self, estimate=None))
        del values["estimate"]
        for name in ("value", "low", "high", "decided_low", "decided_high"):
            values[name] = intervals.finite(values[name])
        return {**values, "verdict": self.verdict}


def _sizes(ends: tuple[float, float]) -> tuple[float, float]:
    """Returns the least and the largest absolute value of an interval.

    >>> _sizes((-0.6, -0.2)), _sizes((-0.3, 0.1))
    ((0.2, 0.6), (0.0, 0.3))
    """
    low, high = ends
    contains_zero = low <= 0 <= high
    least = 0.0 if contains_zero else min(abs(low), abs(high))
    return least, max(abs(low), abs(high))


@dataclass(frozen=True)
class Place:
    """A distance of the declared ones and where the study measured it.

    words: the name of the distance.
    tokens: the measured lag.
    length: the sequence length of the table.
    lags: the lags that decide. A first token does not decide alone: the measured lag before it decides too.
    """

    words: str
    tokens: int
    length: int
    lags: tuple[int, ...]

    @property
    def is_first_token(self) -> bool:
        return self.tokens == self.length - 1


LONGEST_MEASURED = "longest measured distance"
NEARLY = 0.85  # a distance has its name if the study measured at least this share of it


def places(table: pd.DataFrame, distances: Mapping[str, int], textbook_length: int) -> list[Place]:
    """Returns where `table` has each distance: at the textbook's length, or else at the shortest longer one.

    A distance beyond all lengths is measured at the longest lag of the longest texts.
    """
    lags_by_length: dict[int, list[int]] = {
        int(length): sorted(set(rows["lag_tokens"]))
        for length, rows in table.groupby("sequence_length")
    }
    lengths = sorted(lags_by_length)
    lengths = [length for length in lengths if length >= textbook_length] or lengths

    place_by_lag: dict[tuple[int, int], Place] = {}
    for name, tokens in sorted(distances.items(), key=lambda item: item[1]):
        fitting = [
            length
            for length in lengths
            if tokens < length and lags_by_length[length][-1] >= NEARLY * tokens
        ]
        length = next(iter(fitting or lengths[-1:]), None)
        if length is None:
            return []

        lags = lags_by_length[length]
        is_measured = lags[-1] >= NEARLY * tokens
        words = name.replace("_", " ") if is_measured else LONGEST_MEASURED
        place = _place(words, tokens, length, lags)
        place_by_lag.setdefault((length, place.tokens), place)

    return list(place_by_lag.values())


def without_first_tokens(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of a table by lag without those of first tokens. Texts of two tokens keep theirs."""
    is_first = table["lag_tokens"] == table["sequence_length"] - 1
    later = table[~is_first]
    return later if (later["lag_tokens"] > 0).any() else table


def _place(words: str, tokens: int, length: int, lags: list[int]) -> Place:
    lag = min(lags, key=lambda measured: (abs(measured - tokens), measured))
    is_first_token = lag == length - 1
    earlier_lags = [other for other in lags if 0 < other < lag]
    deciding = (earlier_lags[-1], lag) if is_first_token and earlier_lags else (lag,)
    return Place(words, int(lag), length, tuple(map(int, deciding)))


def parameters_per_position(study: Study, architecture: str) -> Measure | None:
    return state(study, architecture, "none", "parameters_per_position")


def state(study: Study, architecture: str, direction: str, measure: str) -> Measure | None:
    """Returns a measure of the hidden states, which must be true of every network."""
    rows = _trained(study, study.states, architecture, study.length)
    rows = _where(rows, direction=direction, measure=measure)
    quantity, unit = STATE_WORDS[measure]
    network = architecture if direction == "none" else f"{architecture}, {direction}"
    source = f"reports/states/{study.length}.csv"
    return _of_every_network(f"{quantity}, {network}", rows["value"], unit, source)


def logit_change(study: Study, architecture: str) -> Measure | None:
    """Returns by how much the logit changes where words are shuffled, which must be true of every network."""
    rows = _probe(study, architecture, "shuffled", study.length)
    words = f"mean change of the logit of {architecture} where words are shuffled"
    source = f"reports/probes/{study.length}.csv"
    return _of_every_network(words, rows["logit_change"], "logits", source)


def accuracy_lost(
    study: Study, architecture: str, probe: str, tokens: int, change: str
) -> Measure | None:
    """Returns the accuracy that a probe of this many tokens costs a network. `change` describes the probe."""
    rows = _where(_probe(study, architecture, probe, study.length), tokens=tokens)
    words = f"accuracy that {architecture} loses where {change}"
    source = f"reports/probes/{study.length}.csv"
    return _mean(rows, "lost", words, "points", source, intervals.DIFFERENCE_OF_SHARES)


def accuracy_of_quarter(study: Study, architecture: str, probe: str) -> Measure | None:
    """Returns the accuracy that the first quarter (`prefix`) or last quarter (`suffix`) of the tokens contributes."""
    quarter = max(study.length // 4, 1)
    end = {"prefix": "first", "suffix": "last"}[probe]
    change = f"its {end} {quarter} tokens are another {study.subject.noun}'s"
    return accuracy_lost(study, architecture, probe, quarter, change)


def deficit(study: Study, architecture: str, pick: Callable) -> Measure | None:
    """Returns the accuracy of a bag of words minus the accuracy of a network. `pick` chooses the length: min or max."""
    bags = _where(study.probes, architecture=architecture, probe="bag_of_words")
    trained = bags[bags["sequence_length"] == bags["trained_length"]]
    if trained.empty:
        return None

    length = pick(trained["sequence_length"])
    rows = _probe(study, architecture, "bag_of_words", length)
    rows = rows.assign(gained=-rows["lost"], gained_review_error=rows["lost_review_error"])
    words = f"accuracy of a bag of the same words minus that of {architecture}, at {length} tokens"
    source = f"reports/probes/{length}.csv"
    return _mean(rows, "gained", words, "points", source, intervals.DIFFERENCE_OF_SHARES)


def memory(study: Study, architecture: str, column: str, length: int, lag: int) -> Measure | None:
    """Returns a column of the memory tables at one lag: a key of MEMORY_WORDS."""
    rows = _at_lag(study, study.memory, architecture, length, lag)
    words = MEMORY_WORDS[column].format(lag=lag, architecture=architecture, nouns=study.nouns)
    words += f", {_trained_words(rows, length)}"
    source = f"reports/memory/{length}.csv"
    limits = intervals.ANY if column == "share" else intervals.SHARE
    measure = _mean(rows, column, words, "share", source, limits)
    return None if measure is None else replace(measure, tokens=lag, sequence_length=length)


def effect_gained(
    study: Study, baseline: str, architecture: str, length: int, lag: int
) -> Measure | None:
    """Returns the share of a word's effect that is left on a network minus the share that is left on its baseline."""
    sides = [_at_lag(study, study.memory, name, length, lag) for name in (baseline, architecture)]
    if any(side.empty or side["share"].isna().any() for side in sides):
        return None

    errors = [_review_error(side, "share") for side in sides]
    reviews = ReviewError(
        float(np.hypot(errors[0].standard_error, errors[1].standard_error)),
        min(error.blocks for error in errors),
    )
    baseline_R, run_S = (side["share"].tolist() for side in sides)
    words = (
        f"share of its effect that a word keeps {lag} tokens before the last: {architecture} minus {baseline}, "
        f"{_trained_words(sides[1], length)}"
    )
    source = f"reports/memory/{length}.csv"

    def estimate(confidence: float) -> Estimate:
        return intervals.crossed_difference(
            baseline_R, run_S, reviews, intervals.ANY, confidence=confidence
        )

    return _measure(words, "points", source, estimate)


def usable_memory(study: Study, architecture: str, usable: float) -> Measure | None:
    """Returns the reach of memory (see `memory_horizon`), or None if it is unknown."""
    rows = _trained(study, study.memory, architecture, study.length)
    reach = memory_horizon(rows, usable)
    if reach is None:
        return None
    words = (
        f"longest lag up to which a word moves {architecture} the right way in more than {100 * usable:g} % of "
        f"{study.nouns}, {study.length} tokens"
    )
    if reach == study.length - 1:
        words += ", the first token of the text"
    return Measure(words, reach, None, None, "tokens", f"reports/memory/{study.length}.csv")


def memory_horizon(effects: pd.DataFrame, usable: float) -> float | None:
    """Returns the reach of memory in tokens (see `lags.reach_of_memory`).

    `effects` has one row per seed and lag, with `sign_accuracy` and its error over reviews. The reach is NaN if not
    even the last word is usable. None means unknown: the interval at lag 0 contains `usable` or is missing.
    """
    low_by_lag: dict[int, float | None] = {}
    high_by_lag: dict[int, float | None] = {}
    for lag, rows in effects.groupby("lag_tokens"):
        reviews = _review_error(rows, "sign_accuracy")
        estimate = intervals.crossed_share(rows["sign_accuracy"], reviews)
        low_by_lag[int(lag)] = estimate.low
        high_by_lag[int(lag)] = estimate.high

    reach = reach_of_memory(low_by_lag, usable)
    if reach is not None:
        return float(reach)
    high = high_by_lag.get(0)
    return None if high is None or high > usable else np.nan


def gradient(
    study: Study,
    architecture: str,
    quantity: str,
    weights: str,
    length: int,
    lag: int,
) -> Measure | None:
    """Returns the gradient of the median seed at a lag, relative to the one at the last token, as log10."""
    rows = _gradient_rows(study, architecture, quantity, weights, length, lag)
    if rows.empty:
        return None

    value_S = rows["log10_relative_norm"].to_numpy()
    reviews = _review_error(rows, "")
    words = (
        f"{quantity} {lag} tokens before the last relative to the last, {architecture}, "
        f"{_weights_words(weights, rows, length)}"
    )
    if np.isneginf(np.median(value_S)):  # which JSON cannot hold
        words += ", exactly 0"

    measure = _measure(
        words,
        "log10",
        f"reports/distances/{length}.csv",
        lambda confidence: intervals.crossed_median(value_S, reviews, confidence),
    )
    return replace(measure, tokens=lag, sequence_length=length)


def factor_per_token(study: Study, architecture: str, weights: str, place: Place) -> Measure | None:
    """Returns the mean factor by which one step multiplies the gradient, up to a distance."""
    left = gradient(study, architecture, "dz/dh", weights, place.length, place.tokens)
    if left is None or left.estimate is None:
        return None

    estimate_left = left.estimate

    def factor(log10_left: float | None) -> float | None:
        return None if log10_left is None else float(10 ** (log10_left / place.tokens))

    def estimate(confidence: float) -> Estimate:
        ends = estimate_left(confidence)
        return Estimate(
            float(10 ** (ends.value / place.tokens)), factor(ends.low), factor(ends.high)
        )

    return _measure(f"mean factor per token, from {left.what}", "share", left.source, estimate)


def gradient_gained(
    study: Study, baseline: str, architecture: str, quantity: str, weights: str, place: Place
) -> Measure | None:
    """Returns the gradient of a network at a distance relative to its baseline, as log10, by median seeds."""
    sides = [
        _gradient_rows(study, name, quantity, weights, place.length, place.tokens)
        for name in (baseline, architecture)
    ]
    if any(side.empty for side in sides):
        return None

    value_by_side = [side["log10_relative_norm"].to_numpy() for side in sides]
    errors = [_review_error(side, "") for side in sides]
    words = (
        f"{quantity} left {place.tokens} tokens before the last: {architecture} relative to {baseline}, "
        f"{_weights_words(weights, sides[1], place.length)}"
    )

    def estimate(confidence: float) -> Estimate:
        medians = [
            intervals.crossed_median(value_S, error, confidence)
            for value_S, error in zip(value_by_side, errors, strict=True)
        ]
        return intervals.estimates_difference(*medians)

    return _measure(words, "log10", f"reports/distances/{place.length}.csv", estimate)


def decay(
    study: Study,
    architecture: str,
    column: str,
    length: int,
    weights: str = "trained",
    initialiser: str = DEFAULT_INITIALISER,
) -> Measure | None:
    """Returns a number of the decay curve at this length: that of the median seed, or `exponential_seeds`."""
    kind = {"weights": weights, "initialiser": initialiser}
    curves = _where(study.decay, quantity="dz/dh", direction="forward", **kind)
    curves = _trained(study, curves, architecture, length)
    if curves.empty:
        return None

    row = curves.iloc[0]
    network = _weights_words(weights, curves, length, initialiser)
    source = f"reports/decay/{length}.csv"
    if column == "exponential_seeds":
        words = f"share of seeds whose decay is exponential, {architecture}, {network}"
        return Measure(words, row[column] / row["seeds"], None, None, "share", source)

    quantity, unit = DECAY_WORDS[column]
    words = f"{quantity}, {architecture}, {network}"
    low = row.get(f"{column}_low")
    high = row.get(f"{column}_high")
    return Measure(words, row[column], low, high, unit, source)


def accuracy_gained(study: Study, baseline: str, run: str) -> Measure | None:
    """Returns the difference in test accuracy, or None if `evaluate.comparisons` does not declare this pair."""
    row = _comparison(study, baseline, run)
    if row is None:
        return None

    error = row["review_error"]
    reviews = ReviewError(np.nan if error is None else error, row["blocks"])

    def estimate(confidence: float) -> Estimate:
        return intervals.crossed_difference(
            study.scores[baseline],
            study.scores[run],
            reviews,
            intervals.DIFFERENCE_OF_SHARES,
            confidence=confidence,
        )

    words = f"test accuracy of {run} minus that of {baseline}"
    return _measure(words, "points", "reports/comparisons.json", estimate)


def answers_architecture(study: Study, baseline: str, run: str) -> bool:
    """Returns whether this pair is compared within one recipe, so that the architecture alone makes the difference."""
    row = _comparison(study, baseline, run)
    return row is not None and row["answers"] == "architecture"


def _comparison(study: Study, baseline: str, run: str) -> dict[str, Any] | None:
    """Returns the comparison of a declared pair."""
    for row in study.comparisons:
        if (row["baseline"], row["run"]) == (baseline, run):
            return row
    return None


def learned(study: Study, architecture: str, signal: str) -> Measure | None:
    """Returns the longest lag over which at least half of the seeds learned to keep a token."""
    lag = largest_lag_solved(study.retention, architecture, signal)
    if lag is None:
        return None

    token = {"first": "the first token", "middle": "a token with noise on both sides"}[signal]
    words = (
        f"longest lag over which {architecture} learned to keep {token} within {study.updates} updates, by at least "
        f"half of its seeds{_longest_tested(study.retention)}"
    )
    return Measure(words, lag, None, None, "tokens", "reports/retention.csv")


def _longest_tested(retention: pd.DataFrame) -> str:
    """Returns the words that limit the task: a network that learned its longest lag could learn longer ones."""
    return f"; no lag above {retention['lag_tokens'].max()} was tested"


def largest_lag_solved(
    retention: pd.DataFrame, architecture: str, signal: str = "first"
) -> float | None:
    """Returns the longest lag over which at least half of the seeds learned to keep the token.

    It is 0 if they learned none, and None if this network has no such task.
    """
    tasks = _tasks(retention, architecture, signal)
    if tasks.empty:
        return None
    share_by_lag = tasks.groupby("lag_tokens")["solved"].mean()
    return float(longest_lag_learned(share_by_lag.to_dict()))


def learned_further(study: Study, baseline: str, architecture: str) -> Measure | None:
    """Returns by how many tokens a network learned to look back further than its baseline.

    The ends are the least and the largest difference between a seed of the one and a seed of the other. One seed does
    not show how the next one would learn, so it has no ends. Where both networks learned the longest lag, either could
    learn longer ones, so the difference has no ends either.
    """
    value, baseline_value = (
        largest_lag_solved(study.retention, name) for name in (architecture, baseline)
    )
    if value is None or baseline_value is None:
        return None

    reach_S, reach_R = (_reach_by_seed(study.retention, name) for name in (architecture, baseline))
    low = high = None
    is_longest = min(reach_S.max(), reach_R.min()) == study.retention["lag_tokens"].max()
    if min(len(reach_S), len(reach_R)) > 1 and not is_longest:
        low = float(reach_S.min() - reach_R.max())
        high = float(reach_S.max() - reach_R.min())

    words = (
        f"longest lag over which a network learned to keep the first token within {study.updates} updates: "
        f"{architecture} minus {baseline}{_longest_tested(study.retention)}"
    )
    difference = value - baseline_value
    source = "reports/retention.csv"
    return Measure(words, difference, low, high, "tokens", source, exact=True)


def _reach_by_seed(retention: pd.DataFrame, architecture: str) -> pd.Series:
    """Returns the longest lag that each seed learned, or 0."""
    tasks = _tasks(retention, architecture, "first")
    solved_lags = tasks["lag_tokens"].where(tasks["solved"].astype(bool), 0)
    return solved_lags.groupby(tasks["seed"]).max()


def _tasks(retention: pd.DataFrame, architecture: str, signal: str) -> pd.DataFrame:
    return retention[(retention["architecture"] == architecture) & (retention["signal"] == signal)]


def _measure(what: str, unit: str, source: str, estimate: Callable[[float], Estimate]) -> Measure:
    usual = estimate(CONFIDENCE)
    return Measure(what, usual.value, usual.low, usual.high, unit, source, estimate)


def _mean(
    rows: pd.DataFrame,
    column: str,
    words: str,
    unit: str,
    source: str,
    limits: intervals.Limits,
) -> Measure | None:
    """Returns the mean of a column over seeds, or None if a seed has no value: a mean of the others is a choice."""
    if rows.empty or rows[column].isna().any():
        return None

    reviews = _review_error(rows, column)

    def estimate(confidence: float) -> Estimate:
        if limits == intervals.SHARE:
            return intervals.crossed_share(rows[column], reviews, confidence)
        return intervals.crossed_mean(rows[column], reviews, limits, confidence)

    return _measure(words, unit, source, estimate)


def _of_every_network(words: str, value_S: pd.Series, unit: str, source: str) -> Measure | None:
    """Returns the median over seeds with the least and the largest value, as a fact about every network."""
    if value_S.empty or value_S.isna().any():
        return None
    value = float(value_S.median())
    low = float(value_S.min())
    high = float(value_S.max())
    return Measure(words, value, low, high, unit, source, exact=True)


def _review_error(rows: pd.DataFrame, column: str) -> ReviewError:
    """Returns the error over reviews of the statistic of a column, which its rows repeat for every seed."""
    name = f"{column}_review_error" if column else "review_error"
    return ReviewError(float(rows[name].iloc[0]), int(rows["blocks"].iloc[0]))


def _probe(study: Study, architecture: str, probe: str, length: int) -> pd.DataFrame:
    rows = _trained(study, study.probes, architecture, length)
    return _where(rows, probe=probe)


def _at_lag(
    study: Study, table: pd.DataFrame, architecture: str, length: int, lag: int
) -> pd.DataFrame:
    rows = _trained(study, table, architecture, length)
    return _where(rows, lag_tokens=lag)


def _gradient_rows(
    study: Study, architecture: str, quantity: str, weights: str, length: int, lag: int
) -> pd.DataFrame:
    kind = {"weights": weights, "initialiser": DEFAULT_INITIALISER}
    curves = _where(study.distances, quantity=quantity, direction="forward", **kind)
    return _at_lag(study, curves, architecture, length, lag)


def _where(table: pd.DataFrame, **values: Any) -> pd.DataFrame:
    """Returns the rows with these values in the columns of these names."""
    is_wanted = np.ones(len(table), dtype=bool)
    for column, value in values.items():
        is_wanted &= (table[column] == value).to_numpy(dtype=bool)
    return table[is_wanted]


def _trained(study: Study, table: pd.DataFrame, architecture: str, length: int) -> pd.DataFrame:
    """Returns the rows of the networks that are measured at this length.

    They were trained at this length, or at the textbook's length if none was trained at this length.
    """
    rows = _where(table, architecture=architecture, sequence_length=length)
    trained_here = rows["trained_length"] == length
    trained_length = length if trained_here.any() else study.length
    return _where(rows, trained_length=trained_length)


def _trained_words(rows: pd.DataFrame, length: int) -> str:
    """Returns the length at which the networks of these rows read, and the one at which they were trained."""
    trained_length = length if rows.empty else rows["trained_length"].iloc[0]
    if trained_length == length:
        return f"{length} tokens"
    return f"{length} tokens, trained at {trained_length}"


def _weights_words(
    weights: str, rows: pd.DataFrame, length: int, initialiser: str = DEFAULT_INITIALISER
) -> str:
    if weights == "trained":
        return f"{length} tokens, trained at {rows['trained_length'].iloc[0]}"
    suffix = "" if initialiser == DEFAULT_INITIALISER else f" ({initialiser})"
    return f"{length} tokens, at initialisation{suffix}"
