"""Two measures by lag: the reach of memory and the longest lag learned.

The claims, the report and MLflow share these definitions. A lag counts tokens before the last one.
"""

from collections.abc import Mapping

LEARNED_BY = 0.5  # the share of seeds that must learn a lag


def reach_of_memory(low_by_lag: Mapping[int, float | None], usable: float) -> int | None:
    """Returns the longest lag up to which every lower bound of the sign accuracy is above `usable`, or None.

    `low_by_lag` holds the lower end of the interval over seeds, or None or NaN without an interval.
    """
    reach = None
    for lag, low in sorted(low_by_lag.items()):
        if low is None or not low > usable:
            break
        reach = lag
    return reach


def longest_lag_learned(share_by_lag: Mapping[int, float]) -> int:
    """Returns the longest lag that at least half of the seeds learned, or 0 if they learned none.

    `share_by_lag` holds the share of seeds that solved the task with one token to keep.
    """
    learned_lags = [lag for lag, share in share_by_lag.items() if share >= LEARNED_BY]
    return int(max(learned_lags, default=0))
