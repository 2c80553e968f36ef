"""The tutorial's sentences, each with its test, its measures and a verdict that the measures decide.

A deciding measure has a threshold from params.yaml, and the sentence places the number above or below it. The measure
`holds` if its whole interval lies on that side, and it `does not hold` if the whole interval lies on the other side. It
is `not shown` if the interval contains the threshold or is missing. A measure without a threshold decides nothing.

A sentence `holds` if all its deciding measures hold, and `partly` if only some of them hold. If none of them holds, the
sentence `does not hold` if at least one measure does not hold, and it is `not shown` otherwise.

A replication is the same study with other rounding. A verdict that a replication contradicts is `unstable`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from operator import gt, lt
from typing import Any

import numpy as np
import pandas as pd

from pipeline.params import DEFAULT_INITIALISER, Claims
from pipeline.science.statistics import intervals
from pipeline.science.statistics.lags import effect_shares, longest_lag_learned, reach_of_memory

HOLDS = "holds"
PARTLY = "partly"
FAILS = "does not hold"
NOT_SHOWN = "not shown"
UNSTABLE = "unstable"

SIDES = {"above": gt, "below": lt}

NUMBERS: dict[str, tuple[str, ...]] = {  # the columns of numbers that each kind of table must have
    "decay": (
        "sequence_length",
        "trained_length",
        "r2",
        "log10_at_last_lag",
        "rate",
        "half_life_tokens",
        "horizon_1e-3",
    ),
    "memory": (
        "sequence_length",
        "trained_length",
        "seed",
        "lag_tokens",
        "contrast",
        "sign_accuracy",
    ),
    "probes": ("sequence_length", "trained_length", "seed", "tokens", "accuracy", "logit_change"),
    "retention": ("lag_tokens", "seed", "solved"),
}

DECAY_WORDS = {  # a column of the decay tables: its name in words and its unit
    "rate": ("factor a token", "share"),
    "r2": ("R² of that exponential", "share"),
    "half_life_tokens": ("half-life", "tokens"),
    "horizon_1e-3": ("distance from which the gradient stays below 0.001", "tokens"),
    "log10_at_last_lag": ("gradient at the first token relative to the last", "log10"),
}


@dataclass(frozen=True)
class Study:
    """The measurements of the networks with textbook settings, at every sequence length."""

    length: int  # the textbook's sequence length, or the nearest one that was measured
    # of the gradient in a long text, in tokens; predicted by theory
    half_life_at_initialisation: float
    comparisons: list[dict[str, Any]]  # of reports/comparisons.json
    decay: pd.DataFrame
    memory: pd.DataFrame
    probes: pd.DataFrame
    retention: pd.DataFrame


@dataclass(frozen=True)
class Measure:
    """A number with its interval. A deciding measure has a threshold and the side on which the sentence places it."""

    what: str
    value: float
    low: float | None
    high: float | None
    unit: str  # share, points, log10, logits, tokens
    source: str
    side: str | None = None  # above, below
    threshold: float | None = None

    @property
    def verdict(self) -> str | None:
        """HOLDS, FAILS or NOT_SHOWN; None without a threshold."""
        if self.side is None or self.threshold is None:
            return None
        if self.low is None or self.high is None or np.isnan([self.low, self.high]).any():
            return NOT_SHOWN

        is_on_side = SIDES[self.side]
        ends_on_side = sum(is_on_side(end, self.threshold) for end in (self.low, self.high))
        return (FAILS, NOT_SHOWN, HOLDS)[ends_on_side]

    def row(self) -> dict[str, Any]:
        """Returns the measure for JSON, which has neither NaN nor infinity: both become null."""
        finite = {name: _finite(getattr(self, name)) for name in ("value", "low", "high")}
        return {**asdict(self), **finite, "verdict": self.verdict}


@dataclass(frozen=True)
class Claim:
    """A sentence with its measures. None replaces a measure that the study cannot provide."""

    name: str
    sentence: str  # the tutorial's
    test: str
    deciding: list[Measure | None]
    caveat: str
    informing: list[Measure | None] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """HOLDS, PARTLY, FAILS or NOT_SHOWN."""
        verdicts = {measure.verdict for measure in self.deciding if measure is not None}
        if HOLDS in verdicts:
            return HOLDS if verdicts == {HOLDS} else PARTLY
        return FAILS if FAILS in verdicts else NOT_SHOWN

    def row(self) -> dict[str, Any]:
        """Returns the claim for JSON, without measures that are None or that an earlier measure repeats."""
        measures = [*self.deciding, *self.informing]
        by_number = {}
        for measure in measures:
            if measure is not None:
                by_number.setdefault((measure.what, measure.source), measure)

        return {
            "name": self.name,
            "sentence": self.sentence,
            "test": self.test,
            "verdict": self.verdict,
            "caveat": self.caveat,
            "measures": [measure.row() for measure in by_number.values()],
        }


@dataclass(frozen=True)
class Replication:
    """The claims of one replication. `obstacle` is the reason why it does not count, or empty if it counts."""

    name: str
    obstacle: str
    claims: list[dict[str, Any]]


def table(study: Study, thresholds: Claims) -> list[dict[str, Any]]:
    """Returns all claims as rows for JSON, in the order of the tutorial."""
    claims = (no_order, state, full_context, multiplied, vanish, forgets, led_to_lstms)
    return [claim(study, thresholds).row() for claim in claims]


def deciding(row: dict[str, Any]) -> list[Any]:
    """Returns the measures of a row that decide its verdict."""
    return [measure for measure in row["measures"] if measure["threshold"] is not None]


def with_replications(
    rows: list[dict[str, Any]], replications: list[Replication]
) -> list[dict[str, Any]]:
    """Returns the rows of `table`, each with its `replications` and with the verdict of this study as `verdict_here`.

    The new `verdict` is UNSTABLE if a replication without an obstacle has another one. Without replications, the rows
    stay as they are.
    """
    if not replications:
        return rows

    compared = []
    for row in rows:
        items = [_replicated(row["name"], replication) for replication in replications]
        is_stable = all(item["obstacle"] or item["verdict"] == row["verdict"] for item in items)
        compared.append(
            {
                **row,
                "verdict": row["verdict"] if is_stable else UNSTABLE,
                "verdict_here": row["verdict"],
                "replications": items,
            }
        )
    return compared


def _replicated(claim: str, replication: Replication) -> dict[str, Any]:
    """Returns the verdict and the deciding measures of this claim in a replication."""
    absent = {"verdict": None, "measures": []}
    row = next((row for row in replication.claims if row["name"] == claim), absent)
    return {
        "name": replication.name,
        "verdict": row["verdict"],
        "measures": deciding(row),
        "obstacle": replication.obstacle or ("it has no such sentence" if row is absent else ""),
    }


def no_order(study: Study, thresholds: Claims) -> Claim:
    return Claim(
        name="feed-forward without order",
        sentence="A feed-forward network takes a fixed-size input at once, without memory or order.",
        test="The words of each review are put in random order; by how much does the network's logit change?",
        deciding=[_expected(_logit_change(study, "feedforward"), "below", thresholds.same_logit)],
        caveat="The feed-forward network here averages its words, so it has no order by construction; one that "
        "flattens its input would know places, but not that the same word elsewhere is the same word.",
        informing=[_comparison(study, "vanilla-textbook", "feedforward-textbook")],
    )


def state(study: Study, thresholds: Claims) -> Claim:
    return Claim(
        name="a state word by word",
        sentence="An RNN keeps a hidden state, updated word by word.",
        test="If it does, the order of the words matters: they are put in random order, and the logit must change.",
        deciding=[_expected(_logit_change(study, "vanilla"), "above", thresholds.same_logit)],
        caveat="That the answer changes does not say that order is made good use of: the accuracy with shuffled words "
        "does.",
        informing=[
            _accuracy_lost(study, architecture, "shuffled", study.length, "words are shuffled")
            for architecture in ("vanilla", "bidirectional", "lstm")
        ],
    )


def full_context(study: Study, thresholds: Claims) -> Claim:
    middle = study.length // 2
    first = study.length - 1
    gain = _comparison(study, "vanilla-textbook", "bidirectional-textbook")

    return Claim(
        name="bidirectional sees all",
        sentence="A bidirectional RNN has the full context of the whole sentence.",
        test="How much less does a strong word move the logit in the middle of a review than at its end? And does "
        "reading in both directions make the network more accurate?",
        deciding=[
            _expected(
                _effect(study, "bidirectional", middle), "above", thresholds.remembered_share
            ),
            _expected(gain, "above", 0.0),
        ],
        caveat="From the middle either end is half as far: the distance is halved, not gone.",
        informing=[
            _effect(study, "bidirectional", first),
            _effect(study, "vanilla", middle),
            _effect(study, "vanilla", first),
        ],
    )


def multiplied(study: Study, thresholds: Claims) -> Claim:
    return Claim(
        name="a factor below 1",
        sentence="Over long sequences gradients are multiplied many times, by values below 1.",
        test="An exponential is fitted to the trained vanilla network's gradient by distance: is its factor below 1?",
        deciding=[_expected(_decay(study, "vanilla", "rate", study.length), "below", 1.0)],
        caveat="The factor is not the largest eigenvalue or singular value of the recurrent weights: those are above 1 "
        "in trained networks. The slope of tanh and the direction of the gradient make up for it.",
        informing=[
            _decay(study, "vanilla", "rate", study.length, weights="initial"),
            _decay(study, "vanilla", "r2", study.length),
            _decay(study, "vanilla", "half_life_tokens", study.length),
        ],
    )


def vanish(study: Study, thresholds: Claims) -> Claim:
    length = study.length
    longest = max(study.decay["sequence_length"])
    vanished = np.log10(thresholds.vanished)
    test = (
        f"Is the trained vanilla network's gradient at the first of {length} tokens below {thresholds.vanished:g} of "
        "the one at the last?"
    )
    if longest != length:
        test += f" And in reviews of {longest} tokens?"
    half_life = Measure(
        what="half-life of that start in theory: tanh damps what the words drive, U itself keeps norms",
        value=study.half_life_at_initialisation,
        low=None,
        high=None,
        unit="tokens",
        source="params.yaml",
    )

    return Claim(
        name="gradients quickly vanish",
        sentence="Values below 1 quickly disappear to 0.",
        test=test,
        deciding=[
            _expected(_decay(study, "vanilla", "log10_at_last_lag", length), "below", vanished),
            _expected(_decay(study, "vanilla", "log10_at_last_lag", longest), "below", vanished),
        ],
        caveat="Keras starts recurrent weights orthogonal, which keeps gradients long; another start changes the "
        "answer by orders of magnitude. Gradients are of the logit: that of the loss also shrinks where the network is "
        "sure of itself, which has nothing to do with recurrence.",
        informing=[
            _decay(study, "vanilla", "log10_at_last_lag", length, weights="initial"),
            _decay(study, "vanilla", "log10_at_last_lag", longest, weights="initial"),
            _decay(study, "vanilla", "half_life_tokens", longest, weights="initial"),
            half_life,
            _decay(study, "vanilla", "horizon_1e-3", longest, weights="initial"),
            _decay(
                study,
                "vanilla",
                "log10_at_last_lag",
                length,
                weights="initial",
                initialiser="0.9 orthogonal",
            ),
            _decay(study, "lstm", "log10_at_last_lag", length, weights="initial"),
            _decay(study, "lstm", "log10_at_last_lag", length),
        ],
    )


def forgets(study: Study, thresholds: Claims) -> Claim:
    first = study.length - 1
    usable = thresholds.usable_sign_accuracy
    deciding = [
        _expected(_effect(study, "vanilla", first), "below", thresholds.remembered_share),
        _expected(_sign_accuracy(study, "vanilla", first), "below", usable),
    ]
    memory = _memory(study, "vanilla", usable)
    if memory is None or np.isnan(memory.value):
        # it cannot use even the last word, so there is nothing that it could forget
        deciding = [_undecided(measure) for measure in deciding]

    return Claim(
        name="forgets the beginning",
        sentence="A vanilla RNN forgets the beginning of a sequence by the time it reaches the end.",
        test=f"How much does a strong word at the first of {study.length} tokens move the logit, as a share of what it "
        "does at the last? And is the direction in which it moves still right?",
        deciding=deciding,
        caveat="Reviews say a thing more than once, and their ends often say it best: a network that is trained on "
        "them may have no reason to remember their beginnings. What it could learn, the synthetic task says.",
        informing=[
            memory,
            _accuracy_of_quarter(study, "vanilla", "prefix"),
            _accuracy_of_quarter(study, "vanilla", "suffix"),
            _deficit(study, "vanilla", min),
            _deficit(study, "vanilla", max),
            _learned(study, "vanilla"),
        ],
    )


def led_to_lstms(study: Study, thresholds: Claims) -> Claim:
    first = study.length - 1
    gain = _comparison(study, "vanilla-textbook", "lstm-textbook")

    return Claim(
        name="LSTMs remember",
        sentence="This led to LSTMs.",
        test="That is history; what can be tested is whether an LSTM keeps more of the first word than a vanilla RNN "
        "does, and whether it is more accurate.",
        deciding=[
            _expected(_effect_gained(study, "vanilla", "lstm", first), "above", 0.0),
            _expected(gain, "above", 0.0),
        ],
        caveat="One recipe, made for the vanilla RNN and not tuned for the LSTM; one cell size. How far either can "
        "learn to look back where nothing else is asked for is another matter: see the synthetic task.",
        informing=[
            _effect(study, "lstm", first),
            _accuracy_of_quarter(study, "lstm", "prefix"),
            _learned(study, "lstm"),
        ],
    )


def _expected(measure: Measure | None, side: str, threshold: float) -> Measure | None:
    """Returns the measure with the side of the threshold on which the sentence places it."""
    return None if measure is None else replace(measure, side=side, threshold=threshold)


def _undecided(measure: Measure | None) -> Measure | None:
    """Returns the measure without its threshold, so that it decides nothing."""
    return None if measure is None else replace(measure, side=None, threshold=None)


def _over_seeds(
    words: str,
    value_by_seed: pd.Series,
    unit: str,
    source: str,
    limits: intervals.Limits = intervals.ANY,
) -> Measure | None:
    """Returns the mean over seeds (the index) with its t interval, or None without a value."""
    value_by_seed = value_by_seed.dropna()
    if value_by_seed.empty:
        return None

    mean, low, high = _interval(value_by_seed, limits)
    return Measure(words, mean, low, high, unit, source)


def _interval(
    value_by_seed: pd.Series, limits: intervals.Limits
) -> tuple[float, float | None, float | None]:
    """Returns the mean over seeds and the ends of its t interval.

    Each value is a mean over many reviews. If it is the same on all seeds, such as a sign that is right in every
    review, both ends are this value.
    """
    summary = intervals.over_seeds(value_by_seed.to_dict(), limits)
    if summary["sd"] == 0:
        return summary["mean"], summary["mean"], summary["mean"]
    return summary["mean"], summary["low"], summary["high"]


def _trained_at(frame: pd.DataFrame, architecture: str, length: int) -> pd.DataFrame:
    """Returns the rows of networks of this architecture that were trained at the length at which they are measured."""
    return frame.query(
        "architecture == @architecture and sequence_length == @length and trained_length == @length"
    )


def _probe(study: Study, architecture: str, probe: str, length: int) -> pd.DataFrame:
    """Returns the rows of one probe, with seeds as the index."""
    rows = _trained_at(study.probes, architecture, length)
    return rows[rows["probe"] == probe].set_index("seed")


def _logit_change(study: Study, architecture: str) -> Measure | None:
    change = _probe(study, architecture, "shuffled", study.length)["logit_change"]
    words = (
        f"change of the {architecture} network's logit where words are shuffled (mean over reviews)"
    )
    return _over_seeds(words, change, "logits", f"reports/probes/{study.length}.csv")


def _accuracy_of_quarter(study: Study, architecture: str, probe: str) -> Measure | None:
    """Returns the accuracy that the first quarter (`prefix`) or last quarter (`suffix`) of the tokens contributes."""
    quarter = max(study.length // 4, 1)
    end = {"prefix": "first", "suffix": "last"}[probe]
    change = f"its {end} {quarter} tokens are another review's"
    return _accuracy_lost(study, architecture, probe, quarter, change)


def _accuracy_lost(
    study: Study, architecture: str, probe: str, tokens: int, change: str
) -> Measure | None:
    """Returns the accuracy that a probe of this many tokens costs a network. `change` describes the probe."""
    plain = _probe(study, architecture, "plain", study.length)["accuracy"]
    changed = _probe(study, architecture, probe, study.length).query("tokens == @tokens")[
        "accuracy"
    ]
    words = f"accuracy that {architecture} loses where {change}"
    source = f"reports/probes/{study.length}.csv"
    return _over_seeds(words, plain - changed, "points", source, intervals.DIFFERENCE_OF_SHARES)


def _deficit(study: Study, architecture: str, pick: Callable) -> Measure | None:
    """Returns the accuracy of a bag of words minus the accuracy of a network. `pick` chooses the length: min or max."""
    trained = study.probes.query(
        "architecture == @architecture and sequence_length == trained_length"
    )
    if trained.empty:
        return None

    length = pick(trained["sequence_length"])
    bag = _probe(study, architecture, "bag_of_words", length)["accuracy"]
    plain = _probe(study, architecture, "plain", length)["accuracy"]
    words = f"accuracy of a bag of the same words minus that of {architecture}, at {length} tokens"
    source = f"reports/probes/{length}.csv"
    return _over_seeds(words, bag - plain, "points", source, intervals.DIFFERENCE_OF_SHARES)


def _measured_lag(study: Study, lag: int) -> int:
    """Returns the lag nearest to this one at which words were replaced in reviews of the study's length."""
    lags = study.memory.query("sequence_length == @study.length")["lag_tokens"]
    return min(lags, key=lambda measured: (abs(measured - lag), measured), default=lag)


def _effect_share(study: Study, architecture: str, lag: int) -> pd.Series:
    """Returns the effect of a strong word at a measured lag, as a share of its effect at lag 0, by seed.

    It is empty if the word has no effect at lag 0 on one of the seeds: a mean over the others would be a choice.
    """
    rows = _trained_at(study.memory, architecture, study.length)
    shares = effect_shares(rows)
    if shares["share"].isna().any():
        return pd.Series(dtype=float)
    return shares[shares["lag_tokens"] == lag].set_index("seed")["share"].sort_index()


def _effect(study: Study, architecture: str, lag: int) -> Measure | None:
    lag = _measured_lag(study, lag)
    words = f"effect of a word {lag} tokens before the last on {architecture}, as a share of its effect as the last"
    share = _effect_share(study, architecture, lag)
    return _over_seeds(words, share, "share", f"reports/memory/{study.length}.csv")


def _effect_gained(study: Study, baseline: str, architecture: str, lag: int) -> Measure | None:
    baseline_share = _effect_share(study, baseline, lag)
    share = _effect_share(study, architecture, lag)
    if baseline_share.empty or share.empty:
        return None

    gain = intervals.difference(baseline_share, share)
    words = f"share that a word {lag} tokens before the last keeps of its effect: {architecture} minus {baseline}"
    source = f"reports/memory/{study.length}.csv"
    return Measure(words, gain["difference"], gain["low"], gain["high"], "points", source)


def _sign_accuracy(study: Study, architecture: str, lag: int) -> Measure | None:
    rows = _trained_at(study.memory, architecture, study.length)
    accuracy = rows[rows["lag_tokens"] == lag].set_index("seed")["sign_accuracy"]
    words = f"share of reviews in which a word {lag} tokens before the last moves {architecture} the right way"
    source = f"reports/memory/{study.length}.csv"
    return _over_seeds(words, accuracy, "share", source, intervals.SHARE)


def _memory(study: Study, architecture: str, usable: float) -> Measure | None:
    rows = _trained_at(study.memory, architecture, study.length)
    if rows.empty:
        return None

    lag = memory_horizon(rows, usable)
    words = f"largest lag at which a word moves {architecture} the right way in more than {100 * usable:g} % of reviews"
    return Measure(words, lag, None, None, "tokens", f"reports/memory/{study.length}.csv")


def memory_horizon(effects: pd.DataFrame, usable: float) -> float:
    """Returns the reach of memory in tokens (see `lags.reach_of_memory`), or NaN if no lag is usable.

    `effects` has one row per seed and lag, with `sign_accuracy`.
    """
    low_by_lag = {}
    for lag, rows in effects.groupby("lag_tokens"):
        _, low_by_lag[lag], _ = _interval(rows.set_index("seed")["sign_accuracy"], intervals.SHARE)

    reach = reach_of_memory(low_by_lag, usable)
    return np.nan if reach is None else float(reach)


def _learned(study: Study, architecture: str) -> Measure | None:
    lag = largest_lag_solved(study.retention, architecture)
    if lag is None:
        return None

    words = f"largest lag over which {architecture} learned to keep the first token, by at least half of its seeds"
    return Measure(words, lag, None, None, "tokens", "reports/retention.csv")


def largest_lag_solved(retention: pd.DataFrame, architecture: str) -> float | None:
    """Returns the longest lag over which at least half of the seeds learned to keep the first token.

    It is 0 if they learned none, and None if this network has no such task.
    """
    tasks = retention[
        (retention["architecture"] == architecture) & (retention["signal"] == "first")
    ]
    if tasks.empty:
        return None

    share_by_lag = tasks.groupby("lag_tokens")["solved"].mean()
    return float(longest_lag_learned(share_by_lag.to_dict()))


def _decay(
    study: Study,
    architecture: str,
    column: str,
    length: int,
    weights: str = "trained",
    initialiser: str = DEFAULT_INITIALISER,
) -> Measure | None:
    """Returns a number of the decay curve at this length.

    Its networks were trained at this length, or at the textbook's length if none was trained at this length.
    """
    curves = study.decay.query(
        "architecture == @architecture and sequence_length == @length and weights == @weights "
        "and initialiser == @initialiser and quantity == 'dz/dh'"
    )

    trained_length = length if (curves["trained_length"] == length).any() else study.length
    curves = curves[curves["trained_length"] == trained_length]
    if curves.empty:
        return None

    network = (
        f"trained at {trained_length} tokens"
        if weights == "trained"
        else f"{weights} ({initialiser} start)"
    )
    quantity, unit = DECAY_WORDS[column]
    words = f"{quantity}, {length} tokens, {architecture}, {network}"

    row = curves.iloc[0]
    if np.isneginf(row[column]):  # which JSON cannot hold
        words += ", exactly 0"
    low = row.get(f"{column}_low")
    high = row.get(f"{column}_high")
    return Measure(words, row[column], low, high, unit, f"reports/decay/{length}.csv")


def _comparison(study: Study, baseline: str, run: str) -> Measure | None:
    """Returns the difference in test accuracy, or None if `evaluate.comparisons` does not declare this pair."""
    for row in study.comparisons:
        if (row["baseline"], row["run"]) == (baseline, run):
            words = f"test accuracy of {run} minus that of {baseline}"
            source = "reports/comparisons.json"
            return Measure(words, row["difference"], row["low"], row["high"], "points", source)

    return None


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
