"""Where every figure, table and sentence comes from: marks, which a list of files with hashes and MLflow keys explains.

`OF` says which frames of `document.story` each of them is made of. tests/reporting/test_origins.py proves it: each
input is changed, and exactly what names it changes.
"""

from dataclasses import dataclass

from pipeline.reporting.cells import table

GRADIENTS, CURVES = ("gradients",), ("everything",)
OF = {
    "figures": {
        "accuracy": ("metrics",),
        "differences": ("compared",),
        "gradients-by-length": GRADIENTS,
        "memory-by-lag": ("memory",),
        "gradients-by-lag": CURVES,
        "gradients-by-start": CURVES,
        "gradients-by-place": CURVES,
        "half-life-by-length": ("decay",),
        "horizons-by-length": ("decay",),
        "lyapunov": ("dynamics",),
        "bounds": ("everything", "dynamics"),
        "gradient-norms": ("dynamics",),
        "memory-beside-gradient": ("everything", "memory"),
        "changed-reviews": ("probes",),
        "truncation": ("probes",),
        "memory-deficit": ("probes",),
        "retention": ("retention",),
        "reading": ("examples",),
        "tuning-by-trial": ("trials", "studies"),
        "tuning-slices": ("trials",),
        "tuning-sizes": ("models", "trials"),
        "tuning-parameters": ("metrics", "trials"),
        "tuning-importances": ("studies",),
        "calibration": ("calibration", "runs"),
        "accuracy-by-length": ("buckets",),
    },
    "tables": {
        "splits": ("card",),
        "counts": ("card",),
        "settings": ("models",),
        "layers": ("models",),
        "results": ("ensembles", "metrics"),
        "other_metrics": ("metrics",),
        "comparisons": ("compared",),
        "fading": GRADIENTS,
        "fading_by_length": GRADIENTS,
        "decays": ("decay",),
        "measured": ("decay",),
        "starts": CURVES,
        "mechanism": ("dynamics",),
        "reach": ("decay", "memory"),
        "deficits": ("probes",),
        "changed": ("probes",),
        "learned": ("retention",),
        "memory_by_length": ("memory",),
        "readings": ("examples",),
        "race": ("studies",),
        "regret": ("studies",),
        "not_completed": ("trials",),
        "trials": ("trials",),
        "how_sure": ("compared",),
        "fixed_networks": ("compared",),
        "spread": ("metrics", "runs"),
        "by_length": ("buckets",),
    },
    "sentences": {
        "data": ("card",),
        "best": ("metrics",),
        "word_order": ("gains",),
        "both_directions": ("compared",),
        "kept_by_both": ("memory",),
        "fades": ("decay",),
        "fades_with_length": ("decay",),
        "remembers": ("gradients", "memory"),
        "decays": ("decay",),
        "starts": CURVES,
        "places": CURVES,
        "mechanism": ("dynamics",),
        "norms": ("dynamics",),
        "reach": ("decay", "memory"),
        "changed": ("probes",),
        "deficits": ("probes",),
        "learned": ("retention",),
        "few_seeds": ("decay",),
        "unequal_seeds": ("decay",),
        "seeds_of_runs": ("metrics",),
        "reach_of_memory": ("memory",),
        "comparisons": ("compared",),
        "tuned": ("compared", "trials", "studies"),
        "importances": ("studies",),
        "expected_best": ("studies",),
        "failures": ("runs",),
        "calibrated": ("runs",),
        "by_length": ("buckets",),
    },
}


@dataclass(frozen=True)
class File:
    """A file that was read: the stage that made it, its hash in dvc.lock, the MLflow runs behind it: {name: key}."""

    path: str
    stage: str
    md5: str
    runs: dict[str, str]


def marked(told: dict, read: dict[str, list[File]], experiments: dict[str, str]) -> dict:
    """`told` with `origins`, marks, on its figures, tables and claims, with `cited`: {sentence: marks}, and the lists.

    `read`: the files of each frame; the place of a frame in it is its mark. `experiments`: of each MLflow run.
    """
    marks = {name: number for number, name in enumerate(read, 1)}
    hovers = {
        marks[name]: "; ".join(_hover(file) for file in files) for name, files in read.items()
    }

    def of(kind: str, name: str) -> list[int]:
        return [marks[each] for each in OF[kind].get(name, ())]

    figures = {
        name: {
            **figure,
            "origins": of("figures", "reading" if name.startswith("reading-") else name),
        }
        for name, figure in told["figures"].items()
    }
    choices = {
        name: {
            option: {**figure, "origins": of("figures", name)} for option, figure in found.items()
        }
        for name, found in told["choices"].items()
    }
    tables = {name: _with(found, of("tables", name)) for name, found in told["tables"].items()}
    claims = [
        {**claim, "measures": _with(claim["measures"], [marks["claims"]])}
        for claim in told["claims"]
    ]
    cited = {
        sentence: of("sentences", name)
        for name, sentences in told["sentences"].items()
        for sentence in ([sentences] if isinstance(sentences, str) else sentences)
    }
    lists = {"files": _files(read, marks), "runs": _runs(read, experiments)}
    told = {
        **told,
        "figures": figures,
        "choices": choices,
        "tables": {**tables, **lists},
        "claims": claims,
    }
    return {**told, "cited": cited, "hovers": hovers}


def _with(found, marks: list[int]):
    """A table, or a list of them, with its marks."""
    return (
        [_with(each, marks) for each in found]
        if isinstance(found, list)
        else {**found, "origins": marks}
    )


def _hover(file: File) -> str:
    keys = ", ".join(f"{name} {key}" for name, key in file.runs.items())
    return f"{file.path}, MD5 {file.md5}, by {file.stage}" + (f", MLflow {keys}" if keys else "")


def _files(read: dict[str, list[File]], marks: dict[str, int]) -> dict:
    rows = [
        [str(marks[name]), file.path, file.stage, file.md5, ", ".join(file.runs) or "none"]
        for name, files in read.items()
        for file in files
    ]
    columns = ["mark", "file", "stage", "MD5 in dvc.lock", "MLflow runs behind it"]
    found = table("The files that this report was written from", columns, rows, left=(1, 2, 3, 4))
    firsts = [
        f"mark-{marks[name]}" if not number else None
        for name in read
        for number, _ in enumerate(read[name])
    ]
    return {**found, "ids": firsts}


def _runs(read: dict[str, list[File]], experiments: dict[str, str]) -> dict:
    keys = {
        name: key for files in read.values() for file in files for name, key in file.runs.items()
    }
    rows = [[name, experiments[name], key] for name, key in keys.items()]
    return table("Their runs in MLflow", ["run", "experiment", "tag key"], rows, left=(0, 1, 2))
