"""The tutorial's sentences, each with its test, its numbers and a verdict that the numbers decide.

A measure has a threshold that was declared in params.yaml and a side of it on which the sentence says the number lies.
It `holds` where its whole interval lies there, `does not hold` where the whole interval lies on the other side, and is
`not shown` where the interval contains the threshold, or where there is none. A measure without a threshold informs and
decides nothing. A sentence holds where all its deciding measures do, `partly` where some do; where none does, it `does
not hold` if one lies on the other side.

A replication is the same study under other rounding. A verdict that a replication contradicts is `unstable`.
"""

from dataclasses import asdict, dataclass, field
from operator import gt, lt

import numpy as np
import pandas as pd

from pipeline.params import DEFAULT_INITIALISER, Claims
from pipeline.science.statistics import scoring

HOLDS, PARTLY, FAILS, NOT_SHOWN = "holds", "partly", "does not hold", "not shown"
UNSTABLE = "unstable"
SIDES = {"above": gt, "below": lt}


NUMBERS = {  # the columns without which a table is damaged
    "decay": (
        "sequence_length",
        "trained_length",
        "r2",
        "log10_at_last_lag",
        "rate",
        "half_life_tokens",
        "horizon_1e-3",
    ),
    "memory": ("sequence_length", "trained_length", "seed", "lag_tokens", "contrast", "sign_accuracy"),
    "probes": ("sequence_length", "trained_length", "seed", "tokens", "accuracy", "logit_change"),
    "retention": ("lag_tokens", "seed", "solved"),
}


@dataclass(frozen=True)
class Found:
    """What a study has measured of its textbook networks, at every sequence length."""

    length: int  # the textbook's
    half_life_at_start: float  # in theory, of a long text
    comparisons: list[dict]
    decay: pd.DataFrame
    memory: pd.DataFrame
    probes: pd.DataFrame
    retention: pd.DataFrame


@dataclass(frozen=True)
class Measure:
    """A number with its interval; `side` of `threshold`: where the sentence says it lies."""

    what: str
    value: float
    low: float | None
    high: float | None
    unit: str  # share, points, log10, logits, tokens
    source: str
    side: str | None = None
    threshold: float | None = None

    @property
    def verdict(self) -> str | None:
        if self.threshold is None:
            return None
        ends = [end for end in (self.low, self.high) if end is not None and not np.isnan(end)]
        sides = {SIDES[self.side](end, self.threshold) for end in ends}
        if len(ends) < 2 or len(sides) == 2:
            return NOT_SHOWN
        return HOLDS if sides == {True} else FAILS

    def row(self) -> dict:
        """For JSON, which has neither nan nor infinity: both are null, and an infinite end is one not reached."""
        numbers = {name: _finite(getattr(self, name)) for name in ("value", "low", "high")}
        return {**asdict(self), **numbers, "verdict": self.verdict}


@dataclass(frozen=True)
class Claim:
    name: str
    sentence: str  # the tutorial's
    test: str
    deciding: list[Measure]
    caveat: str
    informing: list[Measure] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        verdicts = {measure.verdict for measure in self.deciding}
        if HOLDS in verdicts:
            return HOLDS if verdicts == {HOLDS} else PARTLY
        return FAILS if FAILS in verdicts else NOT_SHOWN

    def row(self) -> dict:
        measures = [measure.row() for measure in [*self.deciding, *self.informing]]
        return {
            "name": self.name,
            "sentence": self.sentence,
            "test": self.test,
            "verdict": self.verdict,
            "caveat": self.caveat,
            "measures": measures,
        }


@dataclass(frozen=True)
class Replication:
    """The claims of one replication; `obstacle` says why it does not count, and is empty where it does."""

    name: str
    obstacle: str
    claims: list[dict]


def table(found: Found, thresholds: Claims) -> list[dict]:
    """Every sentence as a row of plain values; what was not measured is left out of its measures."""
    made = (no_order, state, full_context, multiplied, vanish, forgets, led_to_lstms)
    return [make(found, thresholds).row() for make in made]


def deciding(row: dict) -> list[dict]:
    """The measures of a row that decide its verdict."""
    return [measure for measure in row["measures"] if measure["threshold"] is not None]


def with_replications(rows: list[dict], replications: list[Replication]) -> list[dict]:
    """The rows of `table` with `verdict_here`, `replications`, and the verdict `unstable` where one contradicts.

    Each item of `replications` has a name, the replication's verdict and deciding measures, and an `obstacle`. Without
    replications the rows stay as they are.
    """
    if not replications:
        return rows

    return [_with_replications(row, replications) for row in rows]


def _with_replications(row: dict, replications: list[Replication]) -> dict:
    items = [_replicated(row["name"], replication) for replication in replications]
    verdicts = {item["verdict"] for item in items if not item["obstacle"]}

    stable = verdicts <= {row["verdict"]}
    verdict = row["verdict"] if stable else UNSTABLE

    return {**row, "verdict": verdict, "verdict_here": row["verdict"], "replications": items}


def _replicated(claim: str, replication: Replication) -> dict:
    row = next((row for row in replication.claims if row["name"] == claim), None)
    if row is None:
        obstacle = replication.obstacle or "it has no such sentence"
        return {"name": replication.name, "verdict": None, "measures": [], "obstacle": obstacle}

    return {
        "name": replication.name,
        "verdict": row["verdict"],
        "measures": deciding(row),
        "obstacle": replication.obstacle,
    }


def no_order(found: Found, thresholds: Claims) -> Claim:
    return Claim(
        "feed-forward without order",
        "A feed-forward network takes a fixed-size input at once, without memory or order.",
        "The words of each review are put in random order; by how much does the network's logit change?",
        _known([_shuffled(found, "feedforward", "below", thresholds.same_logit)]),
        "The feed-forward network here averages its words, so it has no order by construction; one that flattens its "
        "input would know places, but not that the same word elsewhere is the same word.",
        _known([_comparison(found, "vanilla-textbook", "feedforward-textbook")]),
    )


def state(found: Found, thresholds: Claims) -> Claim:
    return Claim(
        "a state word by word",
        "An RNN keeps a hidden state, updated word by word.",
        "If it does, the order of the words matters: they are put in random order, and the logit must change.",
        _known([_shuffled(found, "vanilla", "above", thresholds.same_logit)]),
        "That the answer changes does not say that order is made good use of: the accuracy with shuffled words does.",
        _known([_order_is_worth(found, name) for name in ("vanilla", "bidirectional", "lstm")]),
    )


def full_context(found: Found, thresholds: Claims) -> Claim:
    return Claim(
        "bidirectional sees all",
        "A bidirectional RNN has the full context of the whole sentence.",
        "How much less does a strong word move the logit in the middle of a review than at its end? And does reading "
        "in both directions make the network more accurate?",
        _known(
            [
                _effect(found, "bidirectional", found.length // 2, "above", thresholds.remembered_share),
                _comparison(found, "vanilla-textbook", "bidirectional-textbook", "above"),
            ]
        ),
        "From the middle either end is half as far: the distance is halved, not gone.",
        _known(
            [
                _effect(found, "bidirectional", found.length - 1),
                _effect(found, "vanilla", found.length // 2),
                _effect(found, "vanilla", found.length - 1),
            ]
        ),
    )


def multiplied(found: Found, thresholds: Claims) -> Claim:
    return Claim(
        "a factor below 1",
        "Over long sequences gradients are multiplied many times, by values below 1.",
        "An exponential is fitted to the trained vanilla network's gradient by distance: is its factor below 1?",
        _known([_decay(found, "vanilla", "rate", found.length, "below", 1.0)]),
        "The factor is not the largest eigenvalue or singular value of the recurrent weights: those are above 1 in "
        "trained networks. The slope of tanh and the direction of the gradient make up for it.",
        _known(
            [
                _decay(found, "vanilla", "rate", found.length, weights="initial"),
                _decay(found, "vanilla", "r2", found.length),
                _decay(found, "vanilla", "half_life_tokens", found.length),
            ]
        ),
    )


def vanish(found: Found, thresholds: Claims) -> Claim:
    longest = max(found.decay["sequence_length"])
    return Claim(
        "gradients quickly vanish",
        "Values below 1 quickly disappear to 0.",
        f"Is the trained vanilla network's gradient at the first of {found.length} tokens below "
        f"{thresholds.vanished:g} of the one at the last? And in reviews of {longest} tokens?",
        _known(
            [
                _decay(found, "vanilla", "log10_at_last_lag", found.length, "below", np.log10(thresholds.vanished)),
                _decay(found, "vanilla", "log10_at_last_lag", longest, "below", np.log10(thresholds.vanished)),
            ]
        ),
        "Keras starts recurrent weights orthogonal, which keeps gradients long; another start changes the answer by "
        "orders of magnitude. Gradients are of the logit: that of the loss also shrinks where the network is sure of "
        "itself, which has nothing to do with recurrence.",
        _known(
            [
                _decay(found, "vanilla", "log10_at_last_lag", found.length, weights="initial"),
                _decay(found, "vanilla", "log10_at_last_lag", longest, weights="initial"),
                _decay(found, "vanilla", "half_life_tokens", longest, weights="initial"),
                Measure(
                    "half-life of that start in theory: tanh damps what the words drive, U itself keeps norms",
                    *(found.half_life_at_start, None, None, "tokens", "params.yaml"),
                ),
                _decay(found, "vanilla", "horizon_1e-3", longest, weights="initial"),
                _decay(found, "vanilla", "log10_at_last_lag", found.length, weights="initial", start="0.9 orthogonal"),
                _decay(found, "lstm", "log10_at_last_lag", found.length, weights="initial"),
                _decay(found, "lstm", "log10_at_last_lag", found.length),
            ]
        ),
    )


def forgets(found: Found, thresholds: Claims) -> Claim:
    first = found.length - 1
    return Claim(
        "forgets the beginning",
        "A vanilla RNN forgets the beginning of a sequence by the time it reaches the end.",
        f"How much does a strong word at the first of {found.length} tokens move the logit, as a share of what it does "
        "at the last? And is the direction in which it moves still right?",
        _known(
            [
                _effect(found, "vanilla", first, "below", thresholds.remembered_share),
                _sign(found, "vanilla", first, "below", thresholds.usable_sign_accuracy),
            ]
        ),
        "Reviews say a thing more than once, and their ends often say it best: a network that is trained on them may "
        "have no reason to remember their beginnings. What it could learn, the synthetic task says.",
        _known(
            [
                _memory_horizon(found, "vanilla", thresholds.usable_sign_accuracy),
                _lost(found, "vanilla", "prefix"),
                _lost(found, "vanilla", "suffix"),
                _deficit(found, "vanilla", min),
                _deficit(found, "vanilla", max),
                _solved(found, "vanilla"),
            ]
        ),
    )


def led_to_lstms(found: Found, thresholds: Claims) -> Claim:
    first = found.length - 1
    return Claim(
        "LSTMs remember",
        "This led to LSTMs.",
        "That is history; what can be tested is whether an LSTM keeps more of the first word than a vanilla RNN does, "
        "and whether it is more accurate.",
        _known(
            [
                _effect_gained(found, "vanilla", "lstm", first),
                _comparison(found, "vanilla-textbook", "lstm-textbook", "above"),
            ]
        ),
        "One recipe, made for the vanilla RNN and not tuned for the LSTM; one cell size. How far either can learn to "
        "look back where nothing else is asked for is another matter: see the synthetic task.",
        _known([_effect(found, "lstm", first), _lost(found, "lstm", "prefix"), _solved(found, "lstm")]),
    )


def _known(measures: list[Measure | None]) -> list[Measure]:
    return [measure for measure in measures if measure is not None]


def _over_seeds(what: str, value_of: pd.Series, unit: str, source: str, side=None, threshold=None) -> Measure | None:
    """The mean over seeds (the index) with its t interval."""
    value_of = value_of.dropna()
    if value_of.empty:
        return None
    found = scoring.over_seeds(value_of.to_dict())
    return Measure(what, found["mean"], found["low"], found["high"], unit, source, side, threshold)


def _trained_there(frame: pd.DataFrame, architecture: str, length: int, trained_length: int) -> pd.DataFrame:
    return frame.query(
        "architecture == @architecture and sequence_length == @length and trained_length == @trained_length"
    )


def _probe(found: Found, architecture: str, probe: str, length: int | None = None) -> pd.DataFrame:
    """Of the networks trained at this length, by default the textbook's: rows of this probe, a seed and token count."""
    length = length or found.length
    rows = _trained_there(found.probes, architecture, length, length)
    return rows[rows["probe"] == probe].set_index("seed")


def _shuffled(found: Found, architecture: str, side: str, threshold: float) -> Measure | None:
    what = f"change of the {architecture} network's logit where words are shuffled (mean over reviews)"
    change = _probe(found, architecture, "shuffled")["logit_change"]
    return _over_seeds(what, change, "logits", f"reports/probes/{found.length}.csv", side, threshold)


def _order_is_worth(found: Found, architecture: str) -> Measure | None:
    lost = _probe(found, architecture, "plain")["accuracy"] - _probe(found, architecture, "shuffled")["accuracy"]
    what = f"accuracy that {architecture} loses where words are shuffled"
    return _over_seeds(what, lost, "points", f"reports/probes/{found.length}.csv")


def _lost(found: Found, architecture: str, probe: str) -> Measure | None:
    quarter = max(found.length // 4, 1)
    changed = _probe(found, architecture, probe).query("tokens == @quarter")["accuracy"]
    which = {"prefix": "first", "suffix": "last"}[probe]
    what = f"accuracy that {architecture} loses where its {which} {quarter} tokens are another review's"
    lost = _probe(found, architecture, "plain")["accuracy"] - changed
    return _over_seeds(what, lost, "points", f"reports/probes/{found.length}.csv")


def _deficit(found: Found, architecture: str, which) -> Measure | None:
    """Accuracy of a bag of words minus that of the networks trained at the shortest or longest length."""
    ours = found.probes.query("architecture == @architecture and sequence_length == trained_length")
    if ours.empty:
        return None
    length = which(ours["sequence_length"])
    bag, plain = (_probe(found, architecture, probe, length)["accuracy"] for probe in ("bag_of_words", "plain"))
    what = f"accuracy of a bag of the same words minus that of {architecture}, at {length} tokens"
    return _over_seeds(what, bag - plain, "points", f"reports/probes/{length}.csv")


def _contrast(found: Found, architecture: str, lag: int) -> pd.Series:
    """By seed: what a strong word at this lag, or the nearest that was measured, does, as a share of lag 0."""
    rows = _trained_there(found.memory, architecture, found.length, found.length)
    by_lag = rows.pivot(index="seed", columns="lag_tokens", values="contrast")
    if by_lag.empty:
        return pd.Series(dtype=float)
    return by_lag[_nearest(by_lag.columns, lag)] / by_lag[0]


def _nearest(lags, lag: int) -> int:
    return min(lags, key=lambda each: (abs(each - lag), each))


def _effect(found: Found, architecture: str, lag: int, side=None, threshold=None) -> Measure | None:
    what = f"effect of a word {lag} tokens before the last on {architecture}, as a share of its effect as the last"
    source = f"reports/memory/{found.length}.csv"
    return _over_seeds(what, _contrast(found, architecture, lag), "share", source, side, threshold)


def _effect_gained(found: Found, baseline: str, architecture: str, lag: int) -> Measure | None:
    ours, theirs = (_contrast(found, name, lag) for name in (architecture, baseline))
    if ours.empty or theirs.empty:
        return None
    gained = scoring.difference(theirs, ours)
    kept = f"share that a word {lag} tokens before the last keeps of its effect"
    what = f"{kept}: {architecture} minus {baseline}"
    source = f"reports/memory/{found.length}.csv"
    return Measure(what, gained["difference"], gained["low"], gained["high"], "points", source, "above", 0.0)


def _sign(found: Found, architecture: str, lag: int, side=None, threshold=None) -> Measure | None:
    rows = _trained_there(found.memory, architecture, found.length, found.length)
    right = rows[rows["lag_tokens"] == lag].set_index("seed")["sign_accuracy"]
    what = f"share of reviews in which a word {lag} tokens before the last moves {architecture} the right way"
    return _over_seeds(what, right, "share", f"reports/memory/{found.length}.csv", side, threshold)


def _memory_horizon(found: Found, architecture: str, usable: float) -> Measure | None:
    rows = _trained_there(found.memory, architecture, found.length, found.length)
    if rows.empty:
        return None
    lag = memory_horizon(rows, usable)
    what = f"largest lag at which a word moves {architecture} the right way in more than {100 * usable:g} % of reviews"
    return Measure(what, lag, None, None, "tokens", f"reports/memory/{found.length}.csv")


def memory_horizon(effects: pd.DataFrame, usable: float) -> float:
    """The last lag up to which the lower bound of `sign_accuracy` over seeds stays above `usable`; nan: at none."""
    horizon = np.nan
    for lag, rows in effects.groupby("lag_tokens"):
        low = scoring.over_seeds(rows.set_index("seed")["sign_accuracy"].to_dict())["low"]
        if low is None or low <= usable:
            break
        horizon = float(lag)
    return horizon


def _solved(found: Found, architecture: str) -> Measure | None:
    solved = largest_lag_solved(found.retention, architecture)
    if solved is None:
        return None
    what = f"largest lag over which {architecture} learned to keep the first token, by at least half of its seeds"
    return Measure(what, solved, None, None, "tokens", "reports/retention.csv")


def largest_lag_solved(retention: pd.DataFrame, architecture: str) -> float | None:
    """0 where none was; None where it was not tried. Of the tasks in which the signal is as far as can be."""
    ours = retention[(retention["architecture"] == architecture) & (retention["signal"] == "first")]
    if ours.empty:
        return None
    share = ours.groupby("lag_tokens")["solved"].mean()
    return float(share.index[share >= 0.5].max()) if (share >= 0.5).any() else 0.0


DECAY_WORDS = {
    "rate": ("factor a token", "share"),
    "r2": ("R² of that exponential", "share"),
    "half_life_tokens": ("half-life", "tokens"),
    "horizon_1e-3": ("distance from which the gradient stays below 0.001", "tokens"),
    "log10_at_last_lag": ("gradient at the first token relative to the last", "log10"),
}


def _decay(
    found: Found,
    architecture: str,
    measure: str,
    length: int,
    side=None,
    threshold=None,
    weights: str = "trained",
    start: str = DEFAULT_INITIALISER,
) -> Measure | None:
    """Of the curve at this length of networks trained there, or else of those trained at the textbook's length."""
    rows = found.decay.query(
        "architecture == @architecture and sequence_length == @length and weights == @weights "
        "and initialiser == @start and quantity == 'dz/dh'"
    )
    for trained_length in (length, found.length):
        chosen = rows[rows["trained_length"] == trained_length]
        if len(chosen):
            break
    else:
        return None
    row, (words, unit) = chosen.iloc[0], DECAY_WORDS[measure]
    low, high = row.get(f"{measure}_low"), row.get(f"{measure}_high")
    which = f"{weights}" + (f" at {trained_length} tokens" if weights == "trained" else f" ({start} start)")
    what = f"{words}, {length} tokens, {architecture}, {which}"
    return Measure(what, row[measure], low, high, unit, f"reports/decay/{length}.csv", side, threshold)


def _comparison(found: Found, baseline: str, run: str, side=None) -> Measure | None:
    for row in found.comparisons:
        if (row["baseline"], row["run"]) == (baseline, run):
            threshold = None if side is None else 0.0
            what = f"test accuracy of {run} minus that of {baseline}"
            numbers = row["difference"], row["low"], row["high"]
            return Measure(what, *numbers, "points", "reports/comparisons.json", side, threshold)
    return None


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
