"""Frames of `distance` in, sentences out; numbers are formatted by `findings`."""

import math

import pandas as pd

from pipeline.params import DEFAULT_INITIALISER, STATELESS
from pipeline.reporting import distance, findings, tables
from pipeline.reporting.findings import (
    count,
    ends,
    half_life,
    interval,
    listed,
    number,
    percent,
    points,
    power_of_ten,
    share_of,
    who,
    within,
)
from pipeline.science.gradients import decay as decay_measures
from pipeline.science.statistics.lags import longest_lag_learned

FATES = ("vanishes", "does not vanish", "is not shown to vanish")
AS_GOOD = 0.005  # accuracy: a window that loses less than this reads as well as the whole


def fades(decay: pd.DataFrame, length: int, vanished: float) -> list[str]:
    """What each trained network has left of its gradient at the largest lag of this length, and whether it vanishes.

    By the whole interval, as in the claims: it does where all of it lies below the share `vanished`.
    """
    trained = _read_out(decay, length, "trained")
    if trained.empty:
        return [
            f"No gradient of a trained recurrent network was measured at {count(length, 'token')}."
        ]
    vanilla = trained[trained["architecture"] == "vanilla"]
    chosen, *others = [*vanilla.itertuples(), *trained.drop(vanilla.index).itertuples()]
    before = _read_out(decay, length, "initial")
    before = before[
        (before["architecture"] == chosen.architecture) & (before["direction"] == chosen.direction)
    ]
    shares = [f"{who(row)} {_left(row)}, {_fate(row, vanished)}" for row in others]
    return [
        f"In the trained {who(chosen)} network the gradient {_fate(chosen, vanished)}: "
        f"{count(chosen.last_lag_tokens, 'token')} back, {_left(chosen)} is left of the gradient at the state that is "
        f"read out (median of {count(chosen.seeds, 'seed')}{_of_interval(chosen)}). Vanished is "
        f"what has all of its interval below {share_of(math.log10(vanished))}.",
        *([f"The other trained networks: {'; '.join(shares)}."] if shares else []),
        f"The gradient of {who(chosen)} stays {_below_from(distance.FADED, chosen)}.",
        *(
            f"Before training, {_left(row)} was left at the largest lag."
            for row in before.itertuples()
        ),
    ]


def fades_with_length(decay: pd.DataFrame, lengths: list[int], vanished: float) -> list[str]:
    """The vanilla network, trained and measured at each length, from the last token to the first."""
    rows = pd.concat([_read_out(decay, length, "trained") for length in lengths])
    rows = rows[
        (rows["architecture"] == "vanilla") & (rows["trained_length"] == rows["sequence_length"])
    ]
    if len(rows) < 2:
        return []
    shares = [f"{_left(row)} at {row.sequence_length}" for row in rows.itertuples()]
    at = {
        fate: [
            f"{row.sequence_length}" for row in rows.itertuples() if _fate(row, vanished) == fate
        ]
        for fate in FATES
    }
    fates = "; ".join(
        f"it {fate} at {listed(lengths)} tokens" for fate, lengths in at.items() if lengths
    )
    return [
        f"In vanilla networks trained and measured at each length, what is left of the gradient at the first token is "
        f"{listed(shares)} tokens: {fates}."
    ]


def _read_out(decay: pd.DataFrame, length: int, weights: str) -> pd.DataFrame:
    """Of the state that is read out."""
    ours = _of_states(decay, length, weights)
    return _named(ours[ours["quantity"] == "dz/dh"])


def _fate(row, vanished: float) -> str:
    if row.log10_at_last_lag_high < math.log10(vanished):
        return FATES[0]
    return FATES[1 if row.log10_at_last_lag_low >= math.log10(vanished) else 2]


def _of_interval(row) -> str:
    has_interval = not math.isnan(row.log10_at_last_lag_low)
    return (
        " and its 95 % interval for other seeds and reviews"
        if has_interval
        else ", too few for an interval"
    )


def _left(row) -> str:
    """
    >>> _left(pd.Series({"log10_at_last_lag": -1.0, "log10_at_last_lag_low": -1.5, "log10_at_last_lag_high": -0.5}))
    '10 % (3.2 % to 32 %)'
    """
    return share_of(row.log10_at_last_lag) + ends(
        row.log10_at_last_lag_low, row.log10_at_last_lag_high, share_of
    )


def below(name: str) -> str:
    """
    >>> below("1e-3")
    '0.1 %'
    """
    return share_of(tables.HORIZONS[name])


def horizon(name: str, row) -> str:
    """A lag, with its interval where that is more than the lag."""
    lag, low, high = (
        getattr(row, f"horizon_{name}{end}".replace("-", "_")) for end in ("", "_low", "_high")
    )
    shown = within(lag, row.last_lag_tokens)
    between = ends(low, high, lambda end: within(end, row.last_lag_tokens))
    return shown if between == f" ({shown} to {shown})" else shown + between


def _below_from(name: str, row) -> str:
    """
    >>> row = {"horizon_1e_1": 57.0, "horizon_1e_1_low": 49.0, "horizon_1e_1_high": math.inf, "last_lag_tokens": 99}
    >>> _below_from("1e-1", pd.Series(row, dtype=object))
    'below 10 % from lag 57 (49 to > 99) on'
    """
    lag = horizon(name, row)
    if lag.startswith(">"):
        return f"below {below(name)} nowhere within {count(row.last_lag_tokens, 'token')}"
    return f"below {below(name)} from lag {lag} on"


def decays(decay: pd.DataFrame, length: int) -> list[str]:
    """Half-life and horizons of every trained recurrent network at this length."""
    ours = _of_states(decay, length, "trained")
    return [
        f"{name_of(row)}, trained at {count(row.trained_length, 'token')}: half-life {_in_tokens(half_life(row))}; the "
        f"gradient stays {_below_from(distance.FADED, row)}{_sooner(row)}, {_below_from(distance.GONE, row)}."
        f"{_collapsed(row)}"
        for row in _named(ours).itertuples()
    ]


def _collapsed(row) -> str:
    """Names the seeds whose gradient is far below the median seed's.

    >>> _collapsed(pd.Series({"collapsed_seeds": "3 7", "seeds": 10}, dtype=object))
    ' It collapsed in 2 of 10 seeds (3 and 7), more than 3 powers of ten per 100 tokens below the median seed.'
    """
    seeds = decay_measures.collapsed_seeds(row.collapsed_seeds)
    if not seeds:
        return ""
    return (
        f" It collapsed in {len(seeds)} of {count(row.seeds, 'seed')} ({listed(map(str, seeds))}), more than "
        f"{decay_measures.COLLAPSE} powers of ten per {decay_measures.COLLAPSE_TOKENS} tokens below the median seed."
    )


def _sooner(row) -> str:
    """Why a horizon may lie nearer than the half-life says, where it does so by the whole interval."""
    expected = row.half_life_tokens_low * math.log2(10) * -tables.HORIZONS[distance.FADED]
    if getattr(row, f"horizon_{distance.FADED}".replace("-", "_")) < expected:
        return " (sooner than by its half-life: near lag 0, which the fit of the half-life leaves out, it falls faster)"
    return ""


def cell_state(decay: pd.DataFrame, length: int) -> list[str]:
    """The other state of a trained LSTM, which is read out through a gate, at the largest lag."""
    ours = _of_states(decay, length, "trained")
    return [
        f"Of the LSTM that is its hidden state, which is read out; over its cell state {_left(row)} is left."
        for row in _named(ours[ours["quantity"] == "dz/dc"]).itertuples()
    ]


def _in_tokens(text: str) -> str:
    return f"{text} tokens" if text[0].isdigit() else text


def _named(decay: pd.DataFrame) -> pd.DataFrame:
    """With columns whose names can be attributes."""
    return decay.rename(columns=lambda name: name.replace("-", "_"))


def _of_states(decay: pd.DataFrame, length: int, weights: str) -> pd.DataFrame:
    ours = decay[(decay["sequence_length"] == length) & (decay["weights"] == weights)]
    ours = ours[(ours["initialiser"] == DEFAULT_INITIALISER) & (ours["quantity"] != "dz/dx")]
    return tables.in_order(distance.one_design(ours), ["architecture", "direction"])


def name_of(row) -> str:
    """A network, with its direction or its state where it has two."""
    quantity: str = getattr(row, "quantity", "")
    name = {"dz/dc": " (cell state)", "dz/dh": " (hidden state)"}.get(quantity, "")
    return f"lstm{name}" if row.architecture == "lstm" else who(row)


def starts(found: pd.DataFrame) -> list[str]:
    """What the initialiser of the recurrent weights alone makes of the gradient, at the longest length."""
    last = found[found["lag_tokens"] == found["sequence_length"] - 1]
    last = last[last["sequence_length"] == last["sequence_length"].max()].sort_values(
        "mean", ascending=False
    )
    if len(last) < 2:
        return []
    length = int(last["sequence_length"].iloc[0])
    shares = listed(f"{share_of(row.mean)} with {row.initialiser}" for row in last.itertuples())
    apart = number(last["mean"].max() - last["mean"].min(), 1)
    return [
        f"Before any training, the draw of the recurrent weights alone decides how far a gradient reaches: of {length} "
        f"tokens, the gradient of the {last['architecture'].iloc[0]} network at the first is {shares} of that at the "
        f"last. That is {apart} powers of ten apart. Keras' default is {DEFAULT_INITIALISER}."
    ]


def places(positions: pd.DataFrame, length: int) -> list[str]:
    """Where in the text the gradient of a word is smallest, and what is left of it at the first word."""
    sentences = []
    for name, curve in distance.whole(positions).groupby("architecture", sort=False):
        first = curve[curve["position"] == 1]
        if name in STATELESS or first.empty or curve["mean"].isna().any():
            continue
        least = curve.loc[curve["mean"].idxmin()]
        sentences.append(
            f"{name}: of {length} words the one with the smallest gradient is number {int(least['position'])}, with "
            f"{share_of(least['mean'])} of the last word's; the first has {share_of(first['mean'].iloc[0])}."
        )
    return sentences


def mechanism(found: pd.DataFrame, length: int) -> list[str]:
    """Whether what the textbook blames, values below 1, is what makes a gradient fade."""
    rows = distance.one_design(
        found[(found["sequence_length"] == length) & (found["weights"] == "trained")]
    )
    sentences = []
    for row in rows.itertuples():
        above = [
            name
            for name, value in (
                ("largest singular value", row.largest_singular_value),
                ("largest eigenvalue (in size)", row.spectral_radius),
            )
            if value > 1
        ]
        blamed = (
            f"The {listed(above)} of U {'is' if len(above) == 1 else 'are'} above 1"
            if above
            else ("Neither the largest singular value nor the largest eigenvalue of U is above 1")
        )
        fate = "shrinks" if row.lyapunov_1 < 0 else "does not shrink"
        sentences.append(
            f"{who(row)}, trained ({count(row.seeds, 'seed')}): the largest singular value of U is "
            f"{number(row.largest_singular_value, 2)}, its largest eigenvalue {number(row.spectral_radius, 2)}, the "
            f"mean slope of tanh {number(row.mean_slope, 2)}; "
            f"the largest Lyapunov exponent is {number(row.lyapunov_1, 3)} nats a token. {blamed}, and on "
            f"average over seeds the most persistent direction {fate}."
        )
    return sentences


def bound(found: pd.DataFrame, length: int) -> list[str]:
    """How much the upper bound of Pascanu et al. says, and that it was never exceeded."""
    rows = distance.one_design(found[found["sequence_length"] == length])
    if rows.empty:
        return []
    violations = int(rows["bound_violations"].sum())
    trained = rows[rows["weights"] == "trained"]
    loose = listed(
        f"{power_of_ten(row.bound_slack / math.log(10))} in {who(row)}"
        for row in trained.itertuples()
    )
    said = (
        f" At the first token the bound lies above the trained gradient by a factor of {loose} (median)."
        if len(trained)
        else ""
    )
    exceeded = (
        f"{count(violations, 'time')}, which no gradient can"
        if violations
        else "at no lag of any review"
    )
    return [f"The gradient exceeded its upper bound {exceeded}.{said}"]


def norms(found: pd.DataFrame) -> list[str]:
    """The largest gradient of a batch while training, beside the median one."""
    if found.empty:
        return []
    parts = []
    for name, rows in found.groupby("architecture", sort=False):
        largest = rows[rows["measure"] == "gradient_norm_largest"]["value"]
        median = rows[rows["measure"] == "gradient_norm_median"]["value"]
        usual = f"{number(median.min(), 2)} to {number(median.max(), 2)}"
        parts.append(f"{number(largest.max(), 1)} in {name} (median batches {usual})")
    length, seeds = int(found["sequence_length"].iloc[0]), found["seed"].nunique()
    return [
        f"Trained at {count(length, 'token')} on {count(seeds, 'seed')}, the largest gradient of a batch over all "
        f"weights had the norm {listed(parts)}."
    ]


def reach(found: pd.DataFrame, length: int, usable: float) -> list[str]:
    """The memory horizon beside the horizon of the gradient."""
    rows = _named(distance.one_design(found[found["sequence_length"] == length]))
    sentences = []
    for name, ours in tables.in_order(rows, ["architecture", "direction"]).groupby(
        "architecture", sort=False
    ):
        halves = len(ours) > 1
        gradients = [
            f"the gradient {f'of its {row.direction} half ' if halves else ''}stays {_below_from(distance.FADED, row)}"
            for row in ours.itertuples()
        ]
        sentences.append(
            f"{name}: a word moves the answer the right way in more than {percent(usable)} of reviews "
            f"{remembered(next(ours.itertuples()))}; {listed(gradients)}."
        )
    return sentences


def remembered(row) -> str:
    if row.remembered_tokens < 0:
        return "at no lag from the start on"
    if row.remembered_tokens >= row.last_lag_tokens:
        return f"at every measured lag, up to {row.remembered_tokens}"
    return f"up to lag {row.remembered_tokens}"


def deficits(found: pd.DataFrame) -> list[str]:
    """By length, by how much a bag of the same words beats each recurrent network."""
    sentences = []
    for name, rows in found.groupby("architecture", sort=False):
        parts = [
            f"{points(row.mean)} at {row.sequence_length} ({interval(row.low, row.high)})"
            for row in rows.itertuples()
        ]
        ahead = [str(row.sequence_length) for row in rows.itertuples() if row.low > 0]
        behind = [str(row.sequence_length) for row in rows.itertuples() if row.high < 0]
        shown = f"ahead at {listed(ahead)} tokens" if ahead else "ahead at no length"
        shown += f" and behind at {listed(behind)}" if behind else ""
        sentences.append(
            f"Bag of the same words minus {name}, in points with 95 % intervals over seeds: {listed(parts)} tokens. By "
            f"these intervals the bag is {shown}."
        )
    return sentences


def changed(found: pd.DataFrame, length: int) -> list[str]:
    """What each network loses where words are shuffled, or another review's; and who decides a spliced one."""
    sentences = []
    quarter = max(length // 4, 1)
    for name, rows in found.groupby("architecture", sort=False):
        value_of = {(row.probe, row.tokens): row.mean for row in rows.itertuples()}
        plain = value_of.get(("plain", 0))
        if (
            plain is None
            or ("prefix", quarter) not in value_of
            or ("suffix", quarter) not in value_of
        ):
            continue
        halves = [value for (probe, _), value in value_of.items() if probe == "splice"]
        decided = (
            f"; of two halves of unlike reviews the second decides {percent(halves[0])}"
            if halves
            else ""
        )
        sentences.append(
            f"{name}: {percent(plain)} right, {percent(value_of['shuffled', length])} with all words shuffled, "
            f"{percent(value_of['prefix', quarter])} where the first {quarter} are another review's, "
            f"{percent(value_of['suffix', quarter])} where the last {quarter} are{decided}."
        )
    return sentences


def truncated(found: pd.DataFrame, length: int) -> list[str]:
    """How few of the last tokens do as well as the whole."""
    fewest = {}
    for name, rows in found.groupby("architecture", sort=False):
        whole = rows[rows["probe"] == "plain"]["mean"]
        enough = rows[rows["mean"] > whole.iloc[0] - AS_GOOD]["tokens"] if len(whole) else []
        if len(enough):
            fewest[name] = int(min(enough))
    lost = f"{number(AS_GOOD * 100, 1)} points"
    said = [
        f"{name} loses less than {lost} with only the last {tokens} of {count(length, 'token')}."
        for name, tokens in fewest.items()
        if tokens < length
    ]
    shorter = found["tokens"][found["tokens"] < length]
    if (others := [name for name, tokens in fewest.items() if tokens >= length]) and len(shorter):
        lose = "loses" if len(others) == 1 else "lose"
        said.append(
            f"{listed(others)} {lose} {lost} or more already with the last {int(shorter.max())} of {length}."
        )
    return said


def learned(found: pd.DataFrame) -> list[str]:
    """Over how long a lag each network learned to keep one token."""
    sentences = []
    for (name, signal), rows in found.groupby(["architecture", "signal"], sort=False):
        farthest = longest_lag_learned(dict(zip(rows["lag_tokens"], rows["solved"], strict=True)))
        longest = int(rows["lag_tokens"].max())
        where = {"first": "the first token", "middle": "the middle"}[signal]
        if not farthest:
            said = "over none of the lags that were tried"
        elif farthest == longest:
            said = f"over {longest} tokens, the longest lag that was tried"
        else:
            said = f"over {farthest} tokens, and over no longer lag that was tried"
        sentences.append(
            f"{name}, signal in {where}: at least half of its seeds learned it {said}."
        )
    return sentences


def unequal_seeds(decay: pd.DataFrame) -> list[str]:
    """Where networks of different architectures have different numbers of seeds."""
    lengths_of_seeds = {}
    for length, found in distance.seeds_by_architecture(decay).groupby("sequence_length"):
        if found["seeds"].nunique() > 1:
            seeds = tuple(zip(found["architecture"], found["seeds"], strict=True))
            lengths_of_seeds.setdefault(seeds, []).append(str(length))

    sentences = []
    for seeds, lengths in lengths_of_seeds.items():
        parts = []
        for number_of in sorted({each for _, each in seeds}, reverse=True):
            names = [architecture for architecture, each in seeds if each == number_of]
            parts.append(f"{number_of} for {listed(names)}")
        sentences.append(
            f"Numbers of seeds at {listed(lengths)} tokens: {', '.join(parts)}. With more seeds a band from the lowest "
            "to the highest is wider, and an interval is narrower."
        )
    return sentences


def few_seeds(decay: pd.DataFrame) -> list[str]:
    """How far the intervals of curves can be trusted."""
    here = decay[
        (decay["weights"] == "trained") & (decay["trained_length"] == decay["sequence_length"])
    ]
    if here.empty:
        return []
    least, most = int(here["seeds"].min()), int(here["seeds"].max())
    if least >= findings.ENOUGH_SEEDS:
        return []
    at = listed(
        str(length) for length in sorted(here[here["seeds"] == least]["sequence_length"].unique())
    )
    more = f", others on up to {most}" if most > least else ""
    return [
        f"Curves of networks that were trained at {at} tokens rest on as few as {count(least, 'seed')}{more}. "
        "Half-lives, horizons and what is left of a gradient are the median seed's. Fewer than six seeds have no "
        "interval: look at the points of these seeds."
    ]
