"""Two files that should be the same: where they differ first, and by how much where that is a number."""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FRAMES = (".csv", ".parquet")


@dataclass(frozen=True)
class Gap:
    """The first place that differs, if any beyond `tolerance` the first such; `largest` of all, as a share.

    A number is within the tolerance where |recorded - found| <= tolerance * max(1, |recorded|).
    """

    row: str
    column: str
    recorded: str
    found: str
    difference: float | None  # None: not numbers
    largest: float | None
    values: int  # so many differ
    within: bool


def gap(recorded: Path, found: Path, tolerance: float) -> Gap | None:
    """None where both say the same, though in other bytes."""
    if recorded.suffix not in (*FRAMES, ".json", ".h5"):
        return _of_lines(recorded, found)
    try:
        (rows, ours), (_, theirs) = _columns(recorded), _columns(found)
    except (ValueError, OSError, KeyError) as error:  # a damaged file has no rows to name
        return Gap("", "", "a whole file", f"unreadable: {str(error).splitlines()[0]}", None, None, 1, False)
    for name in [*ours, *theirs]:
        if name not in theirs or name not in ours:
            return Gap(
                "", name, *("there" if name in each else "missing" for each in (ours, theirs)), None, None, 1, False
            )
        if len(ours[name]) != len(theirs[name]):
            sizes = f"{len(ours[name])} rows", f"{len(theirs[name])} rows"
            return Gap(f"row {min(len(ours[name]), len(theirs[name])) + 1}", name, *sizes, None, None, 1, False)
    gaps = [(name, *_apart(ours[name], theirs[name])) for name in ours]
    shares = [share for _, _, share in gaps if share.size]
    if not any((share > 0).any() for share in shares):
        return None
    within = all((share <= tolerance).all() for share in shares)
    limit = 0 if within else tolerance
    firsts = [(int(np.argmax(share > limit)), place) for place, (*_, share) in enumerate(gaps) if (share > limit).any()]
    row, place = min(firsts)
    name, apart, _ = gaps[place]
    numbers = [share[np.isfinite(share)] for share in shares]
    return Gap(
        rows(row),
        name,
        _shown(ours[name][row]),
        _shown(theirs[name][row]),
        float(apart[row]) if np.isfinite(apart[row]) else None,
        float(max(share.max() for share in numbers if share.size)),
        int(sum((share > 0).sum() for share in shares)),
        within,
    )


def _columns(path: Path):
    """(row number -> its name, {column: values}); of JSON and HDF5 each leaf is a column."""
    if path.suffix in FRAMES:
        import pandas as pd

        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
        keys = [name for name in table if table[name].dtype.kind in "OiUb" or str(table[name].dtype) == "str"]
        keys = [name for name in keys if not isinstance(table[name].iloc[:1].squeeze(), np.ndarray)][:6]

        def named(row: int) -> str:
            return f"row {row + 1} ({', '.join(f'{name} {table[name].iloc[row]}' for name in keys)})"

        return named, {name: table[name].to_numpy() for name in table}
    if path.suffix == ".json":
        return (lambda row: "", dict(_leaves(json.loads(path.read_text(encoding="utf-8")))))
    import h5py

    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, each: found.update({name: each[()].ravel()}) if hasattr(each, "shape") else None)
    return (lambda row: f"value {row + 1}", found)


def _leaves(value, path=""):
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, f"{path} > {key}" if path else str(key))
    else:
        yield path, np.array([value])


def _apart(ours, theirs) -> tuple[np.ndarray, np.ndarray]:
    """(distance, distance as a share of max(1, |ours|)) of each pair; infinite where they are not numbers."""
    if ours.dtype.kind in "iufb" and theirs.dtype.kind in "iufb":
        a, b = ours.astype(float), theirs.astype(float)
        with np.errstate(invalid="ignore"):
            same = (a == b) | (np.isnan(a) & np.isnan(b))
            apart = np.where(same, 0.0, np.abs(a - b))
        apart = np.where(np.isnan(apart), np.inf, apart)
        return apart, np.where(apart > 0, apart / np.maximum(1, np.nan_to_num(np.abs(a), posinf=1)), 0.0)
    unlike = np.array([str(_plain(a)) != str(_plain(b)) for a, b in zip(ours, theirs, strict=True)])
    apart = np.where(unlike, np.inf, 0.0)
    return apart, apart


def _plain(value):
    return value.tolist() if isinstance(value, np.ndarray) else value


def _shown(value) -> str:
    text = str(_plain(value.item() if isinstance(value, np.generic) else value))
    return text if len(text) <= 80 else text[:77] + "..."


def _of_lines(recorded: Path, found: Path) -> Gap | None:
    ours, theirs = (path.read_bytes().decode("utf-8", "replace").splitlines() for path in (recorded, found))
    unlike = [n for n, (a, b) in enumerate(itertools.zip_longest(ours, theirs), 1) if a != b]
    if not unlike:
        return None
    first = unlike[0] - 1
    said = (_shown(each[first]) if first < len(each) else "no such line" for each in (ours, theirs))
    return Gap(f"line {unlike[0]}", "", *said, None, None, len(unlike), False)
