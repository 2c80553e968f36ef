"""Numbers in words: the one place that formats them, so that a table, a sentence and a chart show the same number."""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal

from pipeline.science.gradients import decay

NOT_FINITE = "not finite"
UNREACHED = "not reached"
UNKNOWN = {"tokens": "none (not reached, or not exponential)"}
MOST_NAMED = 3  # seeds in a sentence
UNITS_OF_SIZE = ("bytes", "kB", "MB", "GB")
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, decimals: int) -> str:
    """
    >>> number(-1.25, 1), number(float("nan"), 1)
    ('−1.2', 'not finite')
    """
    if not math.isfinite(value):
        return NOT_FINITE
    return f"{value:z.{decimals}f}".replace("-", "−")


def cell(value: str | bool | float) -> str:
    """A value of a setting or a count.

    >>> cell("cosine"), cell(True), cell(0.00078166), cell(326273), cell(64.0)
    ('cosine', 'yes', '0.0007817', '326,273', '64')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


def percent(share: float) -> str:
    return f"{number(share * 100, 1)} %" if math.isfinite(share) else NOT_FINITE


def points(difference: float) -> str:
    """Signed percentage points of a difference of shares, without the unit.

    >>> points(0.0312), points(-0.0004), points(math.nan)
    ('+3.1', '0.0', 'not finite')
    """
    text = number(difference * 100, 1)
    return f"+{text}" if difference > 0 and text not in ("0.0", NOT_FINITE) else text


def interval(low: float, high: float, scale: float = 100, decimals: int = 1) -> str:
    """An interval without its unit, by default of shares in percent.

    >>> interval(0.036, 0.22), interval(0.6, 0.9, scale=1, decimals=2), interval(math.nan, 0.2)
    ('3.6 to 22.0', '0.60 to 0.90', 'none')
    """
    if not math.isfinite(low + high):
        return "none"
    return f"{number(low * scale, decimals)} to {number(high * scale, decimals)}"


def within_limits(low: float, high: float) -> str:
    """The interval of a share, cut where a share ends: a t interval does not know.

    >>> within_limits(0.809, 1.042), within_limits(math.nan, math.nan)
    ('80.9 to 100.0', 'none')
    """
    return interval(max(low, 0.0), min(high, 1.0))


def share_of(log10_norm: float) -> str:
    """A log10 ratio in percent, with a power of ten where a reader would have to count zeros.

    >>> share_of(-1.0), share_of(-4.8), share_of(-7.25), share_of(0.3), share_of(4.0)
    ('10 %', '0.0016 %', '5.6·10⁻⁶ %', '200 %', '1.0·10⁶ %')
    """
    if math.isnan(log10_norm):
        return NOT_FINITE
    if math.isinf(log10_norm):
        return "0" if log10_norm < 0 else NOT_FINITE
    if not -6 <= log10_norm <= 3:
        return f"{power_of_ten(log10_norm + 2)} %"
    return f"{float(f'{100 * 10.0**log10_norm:.2g}'):.10g} %"


def power_of_ten(log10: float) -> str:
    """Two digits, also of a number too small for a float.

    >>> power_of_ten(-7.25), power_of_ten(-400), power_of_ten(2)
    ('5.6·10⁻⁸', '1.0·10⁻⁴⁰⁰', '1.0·10²')
    """
    digits, power = f"{Decimal(10) ** Decimal(log10):.1e}".split("e")
    return f"{digits}·10{str(int(power)).translate(SUPERSCRIPTS)}"


def within(tokens: float, last_lag: int) -> str:
    """A lag from which on a curve stays low; censored where it does not within the measured lags.

    >>> within(57.0, 99), within(math.inf, 99)
    ('57', '> 99')
    """
    if math.isnan(tokens):
        return NOT_FINITE
    return f"> {last_lag:,}" if math.isinf(tokens) else f"{tokens:,.0f}"


def with_interval(
    value: float,
    low: float | None,
    high: float | None,
    text: Callable[[float], str] = percent,
) -> str:
    """A number in the words of `text`, and its interval in parentheses if it has both ends.

    >>> with_interval(0.1, 0.036, 0.22), with_interval(0.1, math.nan, 0.2), with_interval(0.1, None, None)
    ('10.0 % (3.6 to 22.0 %)', '10.0 %', '10.0 %')
    >>> with_interval(math.inf, math.inf, math.inf, "{:g}".format)
    'inf'
    """
    if low is None or high is None or math.isnan(low + high) or low == high == math.inf:
        return text(value)
    return f"{text(value)} ({_between(text(low), text(high))})"


def half_life(row) -> str:
    """Tokens with an interval, or why there are none.

    >>> import pandas as pd
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
    return with_interval(row.half_life_tokens, low, high, tokens)


def measured(measure: dict) -> dict[str, str]:
    """A number of the claims table in words: `value`, `between` (its interval), `decided` (the wider interval that
    decides) and `asked` (side and threshold).

    As many decimals as it takes for no number to look like the threshold that it is not, and for no value to look like
    0. A unit that both ends of an interval have stands once.
    """
    unit, threshold = measure["unit"], measure["threshold"]
    names = (
        "value",
        "low",
        "high",
        "decided_low",
        "decided_high",
        "threshold",
    )
    numbers = {measure[name] for name in names} - {None}
    size = abs(measure["value"] or 0.0)
    for decimals in range(1, 7):
        texts = {value: _in_unit(value, unit, decimals) for value in numbers}
        if threshold is None:
            break
        looks_like_0 = size and _in_unit(size, unit, decimals) == _in_unit(0.0, unit, decimals)
        if list(texts.values()).count(texts[threshold]) == 1 and not looks_like_0:
            break

    def between(low: float | None, high: float | None) -> str:
        if low is None and high is None:
            return ""
        return _between(texts.get(low, UNREACHED), texts.get(high, UNREACHED))

    return {
        "value": texts.get(measure["value"]) or UNKNOWN.get(unit, "not measured"),
        "between": between(measure["low"], measure["high"]),
        "decided": between(measure["decided_low"], measure["decided_high"]),
        "asked": "" if threshold is None else _expected(measure),
    }


def _expected(measure: dict) -> str:
    """The condition that a sentence sets for its number.

    >>> _expected({"side": "below", "threshold": -3.0, "fails_beyond": -1.0, "unit": "log10"})
    'below 0.1 % (does not hold above 10 %)'
    >>> _expected({"side": "within", "threshold": 0.1, "fails_beyond": 0.5, "unit": "share"})
    'within ±10 % (does not hold beyond ±50 %)'
    """
    side, unit = measure["side"], measure["unit"]
    sign = "±" if side == "within" else ""
    text = f"{side} {sign}{_asked(measure['threshold'], unit)}"
    if measure["fails_beyond"] is None:
        return text
    opposite = {"above": "below", "below": "above", "within": "beyond"}[side]
    return f"{text} (does not hold {opposite} {sign}{_asked(measure['fails_beyond'], unit)})"


def _between(low: str, high: str) -> str:
    """
    >>> _between("3.6 %", "22 %"), _between("12 tokens", UNREACHED), _between("2", "> 99")
    ('3.6 to 22 %', '12 tokens to not reached', '2 to > 99')
    """
    unit = "".join(high.partition(" ")[1:])
    return f"{low.removesuffix(unit)} to {high}"


def _asked(threshold: float, unit: str) -> str:
    """A threshold was written by hand, so it has few digits.

    >>> _asked(0.5, "share"), _asked(0.0, "points"), _asked(-3.0, "log10")
    ('50 %', '0 points', '0.1 %')
    """
    if unit in ("log10", "tokens"):
        return _in_unit(threshold, unit, 1)
    scale, name = {"share": (100, "%"), "points": (100, "points")}.get(unit, (1, unit))
    return f"{threshold * scale:.10g} {name}".replace("-", "−")


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
    power = int(f"{value:.1e}".partition("e")[2])
    if power < -3:
        return ("−" if value < 0 else "") + power_of_ten(math.log10(abs(value)))
    return number(value, max(1 - power, 0))


def count(number_of: int, one: str) -> str:
    return f"{number_of:,} {one if number_of == 1 else one + 's'}"


def in_tokens(number_of: float) -> str:
    return count(int(number_of), "token")


def listed(names) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def named_seeds(seeds: Sequence[object]) -> str:
    """At most MOST_NAMED seeds one by one, else their number.

    >>> named_seeds([4]), named_seeds(["0", "2"]), named_seeds(range(4))
    ('seed 4', 'seeds 0 and 2', '4 seeds')
    """
    if len(seeds) > MOST_NAMED:
        return count(len(seeds), "seed")
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {listed(map(str, seeds))}"


def counts(numbers, one: str) -> str:
    """Different numbers of the same thing.

    >>> counts([20, 10, 10], "seed"), counts([3], "seed")
    ('10 or 20 seeds', '3 seeds')
    """
    *fewer, most = sorted(set(numbers))
    alternatives = ", ".join(f"{number_of:,}" for number_of in fewer)
    return f"{alternatives} or {count(most, one)}" if fewer else count(most, one)


def size(number_of_bytes: int | None) -> str:
    """
    >>> size(950), size(31_627), size(4_682_191), size(None)
    ('950 bytes', '32 kB', '4.7 MB', 'unknown')
    """
    if number_of_bytes is None:
        return "unknown"
    value, *units = float(number_of_bytes), *UNITS_OF_SIZE
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    decimals = 1 if units[0] != "bytes" and value < 10 else 0
    return f"{value:.{decimals}f} {units[0]}"
