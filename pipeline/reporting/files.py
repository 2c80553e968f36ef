"""Which files of `reports/` hold the numbers that a figure draws, for the links below it."""

OF_EVERY_LENGTH = {
    "gradients-by-length": ["gradients"],
    "half-life-by-length": ["decay"],
    "horizons-by-length": ["decay"],
    "memory-deficit": ["probes"],
}
OF_A_LENGTH = {
    "gradients-by-lag": ["gradients", "decay"],
    "memory-by-lag": ["memory"],
    "memory-beside-gradient": ["memory"],
    "changed-reviews": ["probes"],
    "truncation": ["probes"],
}
OF_ALL = {
    "accuracy": ["metrics.json"],
    "differences": ["comparisons.json"],
    "calibration": ["calibration.csv"],
    "accuracy-by-length": ["length_buckets.csv"],
    "retention": ["retention.csv"],
}


def of(figure: str, length: int, lengths: list[int], tuned: list[str]) -> list[str]:
    """Paths from `reports/`; none where they are only in DVC's cache (`artifacts/`).

    >>> of("truncation", 100, [50, 100], []), of("memory-deficit", 100, [50, 100], []), of("bounds", 100, [100], [])
    (['probes/100.csv'], ['probes/50.csv', 'probes/100.csv'], [])
    """
    if figure == "tuning-importances":
        return [f"tuning/{architecture}.json" for architecture in tuned]
    if figure.startswith("tuning-"):
        return [f"tuning/{architecture}.csv" for architecture in tuned]
    if figure.startswith("reading-"):
        return ["examples.json"]
    folders = OF_EVERY_LENGTH.get(figure, []), OF_A_LENGTH.get(figure, [])
    return [
        *OF_ALL.get(figure, []),
        *(f"{folder}/{each}.csv" for folder in folders[0] for each in lengths),
        *(f"{folder}/{length}.csv" for folder in folders[1]),
    ]
