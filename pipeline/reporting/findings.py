"""Numbers in, sentences out: each verdict is computed from its interval, also where it contradicts the textbook.

Numbers are formatted here alone, so that a table and a sentence show the same number in the same way.
"""

import math
from decimal import Decimal

import numpy as np
import pandas as pd

from pipeline.params import subjects
from pipeline.params.subjects import Subject
from pipeline.reporting import tables
from pipeline.science.gradients import decay

NOT_FINITE = "not finite"
LABELS = ("negative", "positive")
VERDICTS = {  # next to the word, never instead of it
    "holds": "✓",
    "partly": "◐",
    "does not hold": "✗",
    "not shown": "?",
    "unstable": "≠",
}
UNREACHED = "not reached"
UNKNOWN = {"tokens": "none (not reached, or not exponential)"}
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
ENOUGH_SEEDS = 10  # with fewer, a sentence says that intervals are wide


def number(value: float, decimals: int) -> str:
    """
    >>> number(-1.25, 1), number(float("nan"), 1)
    ('−1.2', 'not finite')
    """
    if not math.isfinite(value):
        return NOT_FINITE
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def percent(share: float) -> str:
    return f"{number(share * 100, 1)} %" if math.isfinite(share) else NOT_FINITE


def points(difference: float) -> str:
    """Signed percentage points of a difference of shares, without the unit."""
    if not math.isfinite(difference):
        return NOT_FINITE
    text = number(difference * 100, 1)
    return f"+{text}" if difference > 0 and float(text.replace("−", "-")) != 0 else text


def interval(low: float, high: float) -> str:
    return (
        f"{number(low * 100, 1)} to {number(high * 100, 1)}"
        if math.isfinite(low) and math.isfinite(high)
        else "none"
    )


def within_limits(low: float, high: float) -> str:
    """The interval of a share, cut where a share ends: a t interval does not know.

    >>> within_limits(0.809, 1.042), within_limits(math.nan, math.nan)
    ('80.9 to 100.0', 'none')
    """
    return interval(max(low, 0.0), min(high, 1.0))


def share_of(log10_norm: float) -> str:
    """A log10 ratio as a share: percent where percent can be read, else a power of ten.

    >>> share_of(-1.0), share_of(-7.25), share_of(0.3)
    ('10 %', '5.6·10⁻⁸', '200 %')
    """
    if math.isnan(log10_norm):
        return NOT_FINITE
    if math.isinf(log10_norm):
        return "0" if log10_norm < 0 else NOT_FINITE
    if not -4 <= log10_norm <= 3:
        return power_of_ten(log10_norm)
    return f"{float(f'{100 * 10.0**log10_norm:.2g}'):.10g} %"


def power_of_ten(log10: float) -> str:
    """Two digits, also of what is no float.

    >>> power_of_ten(-7.25), power_of_ten(-400), power_of_ten(2)
    ('5.6·10⁻⁸', '1.0·10⁻⁴⁰⁰', '1.0·10²')
    """
    digits, power = f"{Decimal(10) ** Decimal(log10):.1e}".split("e")
    return f"{digits}·10{str(int(power)).translate(SUPERSCRIPTS)}"


def horizon(tokens: float, largest_lag: int) -> str:
    """A lag in tokens; where the curve never stays below, how far that was looked for."""
    if math.isnan(tokens):
        return NOT_FINITE
    return f"not within {largest_lag}" if math.isinf(tokens) else f"{tokens:.0f}"


def within(tokens: float, last_lag: int) -> str:
    """A lag from which on a curve stays low; censored where it does not within the measured lags.

    >>> within(57.0, 99), within(math.inf, 99)
    ('57', '> 99')
    """
    if math.isnan(tokens):
        return NOT_FINITE
    return f"> {last_lag:,}" if math.isinf(tokens) else f"{tokens:,.0f}"


def ends(low: float, high: float, shown) -> str:
    """An interval in parentheses, its ends in the words of `shown`; nothing where there is none."""
    return "" if math.isnan(low) or math.isnan(high) else f" ({shown(low)} to {shown(high)})"


def half_life(row) -> str:
    """Tokens with an interval, or why there are none.

    >>> row = pd.Series({"half_life_tokens": math.nan, "r2": 0.374, "last_lag_tokens": 99})
    >>> half_life(row)
    'not exponential (R² 0.37)'
    >>> half_life(pd.Series({**row, "r2": 0.98}))
    'none within the 85 fitted tokens'
    """
    if math.isnan(row.r2):
        return "none (flat, or too few lags)"
    if not row.r2 >= decay.LEAST_R2:
        return f"not exponential (R² {number(row.r2, 2)})"

    most = decay.fitted_range(row.last_lag_tokens)
    if math.isnan(row.half_life_tokens):
        return f"none within the {most} fitted tokens"

    def tokens(value: float) -> str:
        return f"> {most}" if math.isinf(value) else number(value, 1)

    low, high = row.half_life_tokens_low, row.half_life_tokens_high
    return tokens(row.half_life_tokens) + ends(low, high, tokens)


def measured(measure: dict) -> dict[str, str]:
    """A number of the claims table in words: `value`, `between` (its interval), `decided` (the wider interval that
    decides) and `asked` (side and threshold).

    As many decimals as it takes for no number to look like the threshold that it is not. A unit that both ends of an
    interval have stands once.
    """
    names = ("value", "low", "high", "decided_low", "decided_high", "threshold")
    known = {measure[name] for name in names if measure[name] is not None}
    for decimals in range(1, 7):
        shown = {value: _in_unit(value, measure["unit"], decimals) for value in known}
        if len(set(shown.values())) == len(shown) or measure["threshold"] is None:
            break
    return {
        "value": shown.get(measure["value"]) or UNKNOWN.get(measure["unit"], "not measured"),
        "between": _ends(measure["low"], measure["high"], shown),
        "decided": _ends(measure["decided_low"], measure["decided_high"], shown),
        "asked": "" if measure["threshold"] is None else _expected(measure),
    }


def _ends(low: float | None, high: float | None, shown: dict[float | None, str]) -> str:
    """An interval whose ends `shown` has in words, or nothing without one."""
    if low is None and high is None:
        return ""
    return _between(shown.get(low, UNREACHED), shown.get(high, UNREACHED))


def _expected(measure: dict) -> str:
    """What a sentence says of its number.

    >>> _expected({"side": "below", "threshold": -3.0, "fails_beyond": -1.0, "unit": "log10"})
    'below 0.1 %, and it does not hold above 10 %'
    """
    side = measure["side"]
    text = f"{side} {_asked(measure['threshold'], measure['unit'])}"
    if measure["fails_beyond"] is None:
        return text
    opposite = {"above": "below", "below": "above"}[side]
    return f"{text}, and it does not hold {opposite} {_asked(measure['fails_beyond'], measure['unit'])}"


def _between(low: str, high: str) -> str:
    """
    >>> _between("3.6 %", "22 %"), _between("12 tokens", UNREACHED)
    ('3.6 to 22 %', '12 tokens to not reached')
    """
    return f"{low.removesuffix(''.join(high.partition(' ')[1:]))} to {high}"


def _asked(threshold: float, unit: str) -> str:
    """A threshold was written by hand, so it has few digits.

    >>> _asked(0.5, "share"), _asked(0.0, "points"), _asked(-3.0, "log10")
    ('50 %', '0 points', '0.1 %')
    """
    match unit:
        case "share":
            return f"{threshold * 100:.10g} %".replace("-", "−")
        case "points":
            return f"{threshold * 100:.10g} points".replace("-", "−")
        case "log10" | "tokens":
            return _in_unit(threshold, unit, 1)
    return f"{threshold:.10g} {unit}".replace("-", "−")


def _in_unit(value: float, unit: str, decimals: int) -> str:
    match unit:
        case "share":
            return f"{number(value * 100, decimals)} %"
        case "points":
            sign = "+" if value > 0 else ""
            return f"{sign}{number(value * 100, decimals)} points"
        case "log10":
            return share_of(value)
        case "tokens":
            return f"{number(value, 0 if value == round(value) else decimals)} tokens"
        case "parameters":
            return f"{value:,.0f} parameters"
    return f"{_significant(value)} {unit}"


def _significant(value: float) -> str:
    """Two digits, and a power of ten where they would stand far behind the point.

    >>> _significant(1.254), _significant(0.996), _significant(-1.03e-7)
    ('1.3', '1.0', '−1.0·10⁻⁷')
    """
    if value == 0:
        return "0"
    if 0 < abs(value) < 1e-3:
        return ("−" if value < 0 else "") + power_of_ten(math.log10(abs(value)))
    digits = 1 - math.floor(math.log10(abs(float(f"{value:.1e}"))))
    return number(value, max(digits, 0))


def count(number_of: int, one: str, many: str | None = None) -> str:
    return f"{number_of:,} {one if number_of == 1 else many or one + 's'}"


def listed(names) -> str:
    names = list(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def counts(numbers, one: str) -> str:
    """Different numbers of the same thing.

    >>> counts([20, 10, 10], "seed"), counts([3], "seed")
    ('10 or 20 seeds', '3 seeds')
    """
    *fewer, most = sorted(set(numbers))
    return "".join(
        [
            ", ".join(f"{number_of:,}" for number_of in fewer),
            " or " if fewer else "",
            count(most, one),
        ]
    )


def seeds_in_words(seed_counts) -> str:
    """What intervals over this many seeds can show; the numbers may differ from run to run."""
    fewest, *more = sorted(set(seed_counts))
    reach = {seeds: number(tables.reach_in_sd(seeds), 2) for seeds in (fewest, *more, ENOUGH_SEEDS)}
    text = f"reaches {reach[fewest]} standard deviations to either side of its mean"
    if more:
        text += ", " + listed(f"with {seeds} seeds {reach[seeds]}" for seeds in more)

    if fewest >= ENOUGH_SEEDS:
        return f"With {fewest} seeds each interval {text}."
    if not more or more[-1] < ENOUGH_SEEDS:
        text += f"; with {ENOUGH_SEEDS} seeds it would reach {reach[ENOUGH_SEEDS]}"
    return f"With {count(fewest, 'seed')} the intervals are wide: each {text}."


def seeds_of_runs(seeds_by_run: dict[str, int], found: pd.DataFrame) -> str:
    """How many seeds each run was trained on; `found` as of `tables.results`.

    Why some have more is said only where the scores agree: theirs scatter most.
    """
    fewest = min(seeds_by_run.values())
    usual = [run for run, seeds in seeds_by_run.items() if seeds == fewest]
    if len(usual) == len(seeds_by_run):
        return f"Every run was trained on {count(fewest, 'seed')}."

    parts = []
    for seeds in sorted(set(seeds_by_run.values()) - {fewest}, reverse=True):
        runs = [run for run in seeds_by_run if seeds_by_run[run] == seeds]
        verb = "" if parts else " was trained" if len(runs) == 1 else " were trained"
        parts.append(f"{listed(runs)}{verb} on {seeds}" + ("" if parts else " seeds"))
    others = usual[0] if len(usual) == 1 else "every other run"
    sentence = f"{', '.join(parts)}, {others} on {fewest}."

    is_usual = found.run.isin(usual)
    is_longer = found.run.isin(seeds_by_run) & ~is_usual
    least, most = found.sd[is_longer].min(skipna=False), found.sd[is_usual].max(skipna=False)
    if least > most > 0:
        sentence += (
            f" More seeds went to the scores that scatter most: their standard deviation is {number(least * 100, 2)} "
            f"points or more, elsewhere {number(most * 100, 2)} or less."
        )
    return sentence


def word_by_word(words: pd.DataFrame) -> str:
    """What one run makes of one review: the end, the largest step, the gradient at the first word."""
    step = words.probability.diff().fillna(0)
    at = words.loc[step.abs().idxmax()]
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = np.log10(words.gradient.iloc[0]) - np.log10(words.gradient.iloc[-1])
    return (
        f"{at.run} ends at {number(words.probability.iloc[-1], 2)}; its largest step is from "
        f"{number(at.probability - step[at.name], 2)} to {number(at.probability, 2)}, after “{at.word}” (word "
        f"{at.place}); the gradient at the first word is "
        f"{share_of(kept)} of that at the last."
    )


def texts(card: dict, subject: Subject, source: str) -> str:
    """What the texts are, and by which word this report calls them."""
    if subject.noun == "review":
        return f"The reviews come from {source}."
    plural = f"{subject.noun}s"
    are = "" if subject.name.startswith(plural) else f"are {subject.name} and "
    calls = f"The {plural} {are}come from {source}. This report calls each of them a review."
    return f"{calls} {subjects.labels(card)}".strip()


def data(card: dict, subject: Subject, source: str) -> str:
    """How many texts of what there are, and what each part of them is for."""
    parts = {
        "train": "to train on",
        "validation": "to choose by (validation)",
        "test": "to test on",
    }
    split = ", ".join(
        f"{count(card['splits'][name]['reviews'], subject.noun)} {what}"
        for name, what in parts.items()
    )
    return (
        f"{card['reviews']:,} {subject.counted} ({source}), "
        f"{percent(card['positive_share'])} positive: {split}."
    )


def best(found: pd.DataFrame) -> list[str]:
    """Which network has the highest mean, by how much, and where words without order lie."""
    ranked = tables.networks(found)
    if ranked.empty:
        return ["No network has a finite mean test accuracy, so none wins."]
    first = ranked.iloc[0]
    leaders = ranked[ranked["mean"] == first["mean"]].run
    runs = count(len(ranked), "network run")
    if len(leaders) > 1:
        sentences = [
            f"{listed(leaders)} share the highest mean test accuracy of {runs}, {percent(first['mean'])}: none wins."
        ]
    else:
        sentences = [
            f"{first.run} has the highest mean test accuracy of {runs}: "
            f"{percent(first['mean'])} ({_interval_over_seeds(first.low, first.high, first.seeds)})."
        ]
    if len(ranked) > 1 == len(leaders):
        second = ranked.iloc[1]
        gap, low, high = tables.welch(list(second.scores.values()), list(first.scores.values()))
        lead = f"The next, {second.run}, is {number(gap * 100, 1)} points behind"
        match tables.verdict(low, high):
            case "higher":
                sentences.append(
                    f"{lead}; the 95 % interval of that difference over seeds, {interval(low, high)}, excludes 0."
                )
            case "undefined":
                sentences.append(f"{lead}; this difference has no interval.")
            case _:
                sentences.append(
                    f"{lead}, but the 95 % interval of that difference over seeds, {interval(low, high)}, includes 0: "
                    "these seeds do not show which of the two is better."
                )
    return [
        *sentences,
        *_tuned_alone(ranked),
        *_against_ceiling(found, first),
        *_without_mean(found),
    ]


def _tuned_alone(ranked: pd.DataFrame) -> list[str]:
    """That some networks were tuned and others not, where one ranking holds both."""
    tuned = ranked[ranked.run.str.endswith("-tuned")].architecture.drop_duplicates()
    others = ranked[~ranked.architecture.isin(tuned)].architecture.drop_duplicates()
    if tuned.empty or others.empty:
        return []
    return [
        f"Of these networks {listed(tuned)} {'was' if len(tuned) == 1 else 'were'} tuned, and {listed(others)} not. So "
        "this ranking does not show which architecture is best; the comparisons within one recipe do."
    ]


def _against_ceiling(found: pd.DataFrame, first: pd.Series) -> list[str]:
    ceiling = found[found.architecture == tables.CEILING]
    if ceiling.empty or not math.isfinite(ceiling["mean"].iloc[0]):
        return []
    value = float(ceiling["mean"].iloc[0])
    if not math.isfinite(first.low):
        place = "that run has no interval to compare it with"
    elif value > first.high:
        place = "above the whole interval of that run"
    elif value < first.low:
        place = "below the whole interval of that run"
    else:
        place = "inside the interval of that run"
    return [
        f"TF-IDF with logistic regression, one fit without word order, reaches {percent(value)}: {place}."
    ]


def word_order(gains: pd.DataFrame) -> list[str]:
    """How many points pairs of words add to a linear model, and which networks exceed it, on the test split.

    `gains` as of `baselines.against_baselines`.
    """
    of_test = gains[gains.split == "test"]
    added = of_test[(of_test.baseline == tables.CEILING) & (of_test.run == tables.PAIRS)].iloc[0]
    networks = of_test[of_test.baseline == tables.PAIRS]
    sentences = [
        f"A linear model of words gains {points(added.difference)} points from pairs of words, the order of neighbours "
        f"({_interval_over_reviews(added.low, added.high)})."
    ]
    if networks.empty:
        return sentences

    above = networks[networks.low > 0].run
    below = networks[networks.high < 0].run
    gap = networks.difference.max()
    if above.empty:
        exceeds = "No network is shown to exceed the linear model with pairs of words"
    else:
        exceeds = f"The linear model with pairs of words is exceeded by {listed(above)}"
    if len(below) == len(networks):
        exceeds += ", and every one is shown to stay below it"
    elif len(below):
        exceeds += (
            f", and {listed(below)} {'is' if len(below) == 1 else 'are'} shown to stay below it"
        )
    return [*sentences, f"{exceeds}: the best mean is {points(gap)} points from it."]


def _interval_over_reviews(low: float, high: float) -> str:
    ends = interval(low, high)
    return "no interval over reviews" if ends == "none" else f"95 % interval over reviews {ends}"


def _without_mean(found: pd.DataFrame) -> list[str]:
    broken = found[~found.architecture.isin(tables.LINEAR) & ~found["mean"].map(math.isfinite)]
    return (
        [f"Without a finite mean, and so not ranked: {listed(broken.run)}."] if len(broken) else []
    )


ANSWERS = {
    "architecture": "Both runs have one recipe, so this compares architectures.",
    "recipe": "Both runs have one architecture, so this compares recipes.",
    "both": "Architecture and recipe differ, so this does not show which of them makes the difference.",
    "nothing": "Architecture and recipe are the same, so this compares only seeds.",
}


def comparison(row) -> str:
    """One declared comparison in plain language, with the question that it answers."""
    return f"{_difference(row)} {ANSWERS[row.answers]}"


def _difference(row) -> str:
    """A difference is claimed as in `tables.comparisons`."""
    each = row.baseline_seeds == row.run_seeds
    seeds = (
        f"{count(row.run_seeds, 'seed')} each"
        if each
        else f"{row.run_seeds} and {row.baseline_seeds} seeds"
    )
    measured = (
        f"{points(row.difference)} points, 95 % interval {interval(row.low, row.high)}, {seeds}"
    )
    match row.verdict:
        case "higher":
            return (
                f"{row.run} is better than {row.baseline} ({measured}): the interval excludes 0, "
                "and Holm's p agrees."
            )
        case "lower":
            return (
                f"{row.run} is worse than {row.baseline} ({measured}): the interval excludes 0, "
                "and Holm's p agrees."
            )
        case "unclear":
            why = (
                "the interval includes 0"
                if row.low <= 0 <= row.high
                else "not after Holm's correction"
            )
            return (
                f"No difference is shown between {row.run} and {row.baseline} ({measured}): {why}."
            )
    return f"{row.run} and {row.baseline} cannot be compared: the difference or its interval is not finite."


def both_directions(comparisons: pd.DataFrame) -> list[str]:
    """What reading in both directions bought, at textbook settings and tuned, where that was declared."""

    def declared(settings: str) -> pd.DataFrame:
        ours = comparisons[comparisons.baseline == f"vanilla-{settings}"]
        return ours[ours.run == f"bidirectional-{settings}"]

    said = {
        "higher": "Reading in both directions helps here, as the textbook says",
        "lower": "Reading in both directions hurts here, against the textbook",
        "unclear": "That reading in both directions helps is not shown here",
        "undefined": "Whether reading in both directions helps cannot be said here",
    }
    return [
        *(f"{said[row.verdict]}. {comparison(row)}" for row in declared("textbook").itertuples()),
        *(f"Both tuned: {comparison(row)}" for row in declared("tuned").itertuples()),
    ]


def kept_by_both(effects: pd.DataFrame, length: int) -> list[str]:
    """What both networks keep of a word at the largest lag, which a second direction reads last; no verdict on it.

    `effects` as of `distance.effects`.
    """
    rows = effects[
        (effects.sequence_length == length)
        & effects.architecture.isin(["vanilla", "bidirectional"])
    ]
    rows = rows[rows.lag_tokens == rows.lag_tokens.max()]
    if rows.architecture.nunique() < 2 or not rows["mean"].map(math.isfinite).all():
        return []
    kept = listed(
        f"{row.architecture} {percent(row.mean)} ({interval(row.low, row.high)})"
        for row in rows.itertuples()
    )
    lag = count(int(rows.lag_tokens.iloc[0]), "token")
    return [
        f"Of the effect of a word {lag} before the last, where the second direction ends, is kept: {kept}."
    ]


def _recurrent(fading: pd.DataFrame, length: int, weights: str) -> pd.DataFrame:
    return fading[
        (fading.weights == weights)
        & (fading.sequence_length == length)
        & (fading.direction != "none")
    ]


def who(row) -> str:
    """An architecture, with the direction where it has two."""
    return (
        f"{row.architecture} ({row.direction})"
        if row.architecture == "bidirectional"
        else row.architecture
    )


def remembers(
    remembering: pd.DataFrame, effects: pd.DataFrame, fading: pd.DataFrame, length: int
) -> list[str]:
    """What each trained network still makes of a word at the largest lag, beside what its gradient says.

    `effects` as of `distance.effects`: a seed's share is of its own last word, as in the claims.
    """
    rows = remembering[remembering.sequence_length == length]
    if rows.empty:
        return [f"No behavioural memory was measured at {count(length, 'token')}."]
    lag = int(rows.lag_tokens.iloc[0])
    sentences = [
        f"A strong positive word put {count(lag, 'token')} before the end, instead of a strong negative one, moves the "
        f"prediction up in {listed(_remembered(row) for _, row in rows.iterrows())}; 50 % is guessing."
    ]
    forgotten = [
        row.architecture for _, row in rows.iterrows() if row.low <= tables.GUESSING <= row.high
    ]
    kept = [row.architecture for _, row in rows.iterrows() if row.low > tables.GUESSING]
    if forgotten:
        sentences.append(
            f"The interval includes guessing for {listed(forgotten)}: memory of that word is not shown."
        )
    if kept:
        sentences.append(f"It lies above guessing for {listed(kept)}: that word still counts.")
    if lost := [row.architecture for _, row in rows.iterrows() if row.high < tables.GUESSING]:
        sentences.append(
            f"It lies below guessing for {listed(lost)}: that word counts the wrong way round."
        )
    return [*sentences, *_gradient_beside_memory(effects, fading, length)]


def _remembered(row: pd.Series) -> str:
    return (
        f"{percent(row['mean'])} of reviews for {row.architecture} (interval {within_limits(row.low, row.high)}; "
        f"lowest seed {percent(row.lowest)})"
    )


def _gradient_beside_memory(effects: pd.DataFrame, fading: pd.DataFrame, length: int) -> list[str]:
    curve = effects[(effects.sequence_length == length) & (effects.architecture == "vanilla")]
    gradient = _recurrent(fading, length, "trained")
    gradient = gradient[gradient.architecture == "vanilla"]
    if curve.empty or gradient.empty or not math.isfinite(left := curve["mean"].iloc[-1]):
        return []
    return [
        f"Influence is one thing, memory another: over the same {count(int(curve.lag_tokens.iloc[-1]), 'token')} the "
        f"vanilla network keeps {share_of(gradient['mean'].iloc[0])} (median seed) of the gradient at its states, and "
        f"{percent(left)} of the effect of a word."
    ]


def reach_of_memory(remembering: pd.DataFrame, length: int) -> list[str]:
    """How far back each network tells the two words apart, at every measured lag; where it does so least."""
    sentences = []
    for _, row in remembering[remembering.sequence_length == length].iterrows():
        reach = int(row.remembered_tokens)
        if reach < 0:
            text = "at no lag is the interval above guessing from the start"
        elif reach == int(row.lag_tokens):
            text = f"the interval is above guessing at every measured lag, up to {reach} tokens"
        else:
            text = f"the interval is above guessing at every measured lag up to {reach} tokens, and not at the next"
        weakest = (
            f"; weakest at lag {int(row.weakest_lag)} ({percent(row.weakest)})"
            if row.weakest < 1
            else ""
        )
        sentences.append(f"{row.architecture}: {text}{weakest}.")
    return sentences


def tuned(
    trials: pd.DataFrame, study: dict, architecture: str, comparisons: pd.DataFrame, space: dict
) -> str:
    """The choice of one search with its reason, its regret, and the test of the runs that use it."""
    failed, repeated = tables.states(trials)["FAIL"], tables.repeated(trials).sum()
    pair = comparisons[
        (comparisons.baseline == f"{architecture}-textbook")
        & (comparisons.run == f"{architecture}-tuned")
    ]
    settings = study["chosen"]["settings"]
    sentences = [
        f"{architecture}: {_choice(study)}",
        *_regret(study),
        f"The search had {count(len(trials), 'trial')}: {failed or 'none'} diverged, and {repeated or 'none'} repeated "
        f"an earlier one. {_at_the_rung(trials, study)}",
        f"Chosen: hidden size {settings['hidden_size']}, embedding dimension {settings['embedding_dimension']}, "
        f"learning rate {settings['learning_rate']:.2g}, dropout {settings['dropout']:.2g}.",
        *_at_the_ends(tables.ends(pd.Series(settings), space)),
        *("On the seeds of the runs, tested: " + comparison(row) for row in pair.itertuples()),
    ]
    return " ".join(sentences)


def _choice(study: dict) -> str:
    rivals = [row for row in study["race"] if not row["starting_recipe"]]
    if not rivals:
        return "nothing beats the starting recipe: in the search, no trial was ahead of it. So it was kept."
    if not study["chosen"]["starting_recipe"]:
        winner = next(row for row in rivals if row["trial"] == study["chosen"]["trial"])
        return (
            f"trial {winner['trial']} replaces the starting recipe. In the race it {_lead(winner)}."
        )

    described = "; ".join(f"trial {row['trial']} {_lead(row)}" for row in rivals)
    return (
        f"nothing beats the starting recipe beyond noise, so it was kept. In the race {described}."
    )


def _lead(row: dict) -> str:
    """How far a finalist was from the starting recipe."""
    if row["difference"] is None:
        return "diverged"
    difference, seeds = points(row["difference"]), count(len(row["scores"]), "seed")
    if row["standard_error"] is None:
        return f"scored {difference} points against it on {seeds}"
    error = number(row["standard_error"] * 100, 1)
    return f"scored {difference} points against it, with a standard error of {error}, on {seeds}"


def _regret(study: dict) -> list[str]:
    """Where the starting recipe was replaced, the difference on fresh seeds and whether it excludes 0."""
    found = study["regret"]
    if study["chosen"]["starting_recipe"]:
        return ["The regret is 0 by definition."]

    seeds = count(len(found["chosen"]), "fresh seed")
    difference = (
        f"On {seeds} it scores {points(found['difference'])} points against the starting recipe"
    )
    if found["low"] is None:
        return [f"{difference}, without an interval: the seeds do not scatter."]

    text = f"{difference} (95 % interval {interval(found['low'], found['high'])})."
    if found["low"] > 0:
        return [text]
    if found["high"] < 0:
        return [f"{text} So the choice is worse than the starting recipe."]
    return [
        f"{text} The interval includes 0: we found no evidence that anything beats the starting recipe."
    ]


def _at_the_rung(trials: pd.DataFrame, study: dict) -> str:
    """Accuracies of the search itself; they say little about a full training."""
    completed = tables.completed(trials).sort_values("trial")
    best = completed[completed.value == completed.value.max()].trial.astype(int)
    were = "was trial" if len(best) == 1 else "were trials"
    text = f"At the rung, the best {were} {listed(map(str, best))} with {percent(completed.value.max())}"
    own = trials[trials.trial == study["chosen"]["trial"]]
    if own.empty or own.trial.iloc[0] in set(best):
        return f"{text}."
    return f"{text}; the chosen trial {int(own.trial.iloc[0])} had {percent(own.value.iloc[0])}."


def _at_the_ends(ends: list[tuple[str, str, float]]) -> list[str]:
    """A choice at an end of the space suggests that the best may lie beyond it."""
    if not ends:
        return ["It lies at no end of the space."]

    sentences = []
    outside = [name.replace("_", " ") for name, side, _ in ends if side == tables.OUTSIDE]
    if outside:
        sentences.append(f"It lies outside of the range that was searched in {listed(outside)}.")

    places = [
        f"the {side} end of {name.replace('_', ' ')} ({bound:g})"
        for name, side, bound in ends
        if side != tables.OUTSIDE
    ]
    if places:
        sentences.append(
            f"It lies at {listed(places)}: the best may lie beyond, so the space should be widened there."
        )
    return sentences


def importances(architecture: str, found: pd.DataFrame) -> str:
    """Which dimension of the search mattered most in one architecture, with the evaluator named."""
    ranked = found[found.architecture == architecture].sort_values(
        "importance", ascending=False, kind="stable"
    )
    if ranked.empty:
        return (
            f"{architecture}: which dimension mattered cannot be told from so few completed trials."
        )
    if not ranked.importance.map(math.isfinite).all():
        return f"{architecture}: the importances are {NOT_FINITE}."
    first = ranked.iloc[0]
    scientific = ranked[ranked.role == "scientific"]
    sentence = (
        f"{architecture}: by {first.evaluator}, {first['name'].replace('_', ' ')} ({first.role}) mattered most, with "
        f"{percent(first.importance)} of the importance"
    )
    if scientific.empty:
        return f"{sentence}."
    names = listed(name.replace("_", " ") for name in scientific["name"].sort_index())
    return f"{sentence}; what is scientific ({names}) has {percent(scientific.importance.sum())}."


def expected_best(architecture: str, expected: pd.DataFrame) -> str:
    """What one, half and all of the trials of a search are expected to reach when drawn at random."""
    curve = expected[expected.architecture == architecture]
    if curve.empty:
        return f"{architecture}: no best can be expected, for no trial completed."
    value_of = dict(zip(curve.trials, curve.value, strict=True))
    all_of_them = max(value_of)
    several = sorted({all_of_them // 2, all_of_them} - {0, 1})
    best_of = "".join(f", the best of {drawn} {percent(value_of[drawn])}" for drawn in several)
    return f"{architecture}: a trial drawn at random from these is expected to reach {percent(value_of[1])}{best_of}."


def _interval_over_seeds(low: float, high: float, seeds: int) -> str:
    if math.isfinite(low) and math.isfinite(high):
        return f"95 % interval over {count(seeds, 'seed')} {interval(low, high)}"
    return f"{count(seeds, 'seed')}, no interval"
