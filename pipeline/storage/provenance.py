"""How each part of the report was made: its files with hashes, the stages that wrote them, and the MLflow runs.

The names of the inputs of a part come from `inputs`; this module finds everything else in dvc.lock.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

from pipeline.storage import lock_comparison
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.storage.stage_table import STAGES, stage_of


@dataclass(frozen=True)
class StageGroup:
    """The recorded stages that differ in their item only, such as `train@vanilla-textbook` and `train@lstm-textbook`.

    Attributes:
        items: the part after the @ of each stage; empty for a stage without items.
        inputs: each file or folder that a stage reads, without code, and its bytes, or None where dvc.lock has no size.
            Tuned settings are among them: DVC reads them as parameters.
        outputs: the same for what a stage writes.
        parameters: each key of params.yaml or environment.json and its value.
        changed_code: the files of code that changed since a stage ran.
    """

    name: str
    items: tuple[str, ...]
    inputs: dict[str, int | None]
    outputs: dict[str, int | None]
    parameters: dict[str, str]
    changed_code: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        return f"dvc repro {self.name}"

    @property
    def status(self) -> str:
        if self.changed_code:
            return f"its code has changed since: {', '.join(self.changed_code)}"
        return "up to date"


@dataclass(frozen=True)
class File:
    """A file that the report read, the name of the stage that wrote it, and its hash in dvc.lock."""

    path: str
    stage: str
    md5: str


@dataclass(frozen=True)
class Run:
    """A parent run in MLflow, which its tag `key` identifies."""

    name: str
    experiment: str
    key: str


@dataclass(frozen=True)
class Origin:
    files: list[File]
    groups: list[StageGroup]
    runs: list[Run]


class Provenance:
    """Finds the origin of inputs. `paths` has the files of each input, `run_name` names the MLflow run of a stage."""

    def __init__(
        self,
        paths: Mapping[str, Sequence[str]],
        stages: Mapping[str, RecordedStage],
        groups: Sequence[StageGroup],
        run_name: Callable[[str], str],
    ):
        self._paths = paths
        self._stages = dict(stages)
        self._groups = groups
        self._run_name = run_name
        # a page asks for the same files dozens of times
        self._file, self._runs = cache(self._file_at), cache(self._runs_behind)

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(self._paths)

    def of(self, inputs: Iterable[str]) -> Origin:
        """Returns the origin of these inputs. Every file, stage and run appears once."""
        paths = [path for name in inputs for path in self._paths[name]]
        files = [self._file(path) for path in paths]
        runs: dict[str, Run] = {}
        for path in paths:
            runs |= self._runs(path)
        makers = {stage_of(file.stage).name for file in files}
        groups = [group for group in self._groups if group.name in makers]
        return Origin(files, groups, list(runs.values()))

    def _file_at(self, path: str) -> File:
        maker = lock_comparison.maker(path, self._stages)
        return File(path, maker.name, maker.outs[path])

    def _runs_behind(self, path: str) -> dict[str, Run]:
        stages = lock_comparison.runs_behind(path, self._stages)
        return {
            name: Run(self._run_name(name), stage_of(name).experiment, stage.key())
            for name, stage in stages.items()
        }


def stage_groups(
    stages: Mapping[str, RecordedStage],
    sizes: Mapping[str, int],
    mismatches: Iterable[lock_comparison.LockMismatch] = (),
) -> list[StageGroup]:
    """Groups recorded stages by the name before the @, in the order of dvc.yaml.

    `sizes` has the bytes of each path in dvc.lock. `mismatches` are the files of code that differ from dvc.lock.
    """
    code = [(stage_of(mismatch.stage), mismatch.path) for mismatch in mismatches]
    results = set(chain.from_iterable(recorded.outs for recorded in stages.values()))
    groups: list[StageGroup] = []
    for stage in STAGES:
        members = [recorded for name, recorded in stages.items() if stage_of(name) == stage]
        if not members:
            continue

        deps = chain.from_iterable(member.deps for member in members)
        data = {path for path in deps if not path.startswith(lock_comparison.CODE)}
        data |= results & set(chain.from_iterable(member.params for member in members))
        outputs = set(chain.from_iterable(member.outs for member in members))
        groups.append(
            StageGroup(
                name=stage.name,
                items=tuple(member.item for member in members if member.item),
                inputs={path: sizes.get(path) for path in sorted(data)},
                outputs={path: sizes.get(path) for path in sorted(outputs)},
                parameters=_parameters(members),
                changed_code=tuple(sorted({path for maker, path in code if maker == stage})),
            )
        )
    return groups


def _parameters(members: Sequence[RecordedStage]) -> dict[str, str]:
    """Returns the value of each key as text. Values that differ between the stages stand next to each other."""
    texts: dict[str, dict[str, None]] = {}
    for member in members:
        for key, value in member.values.items():
            texts.setdefault(key, {})[_text(value)] = None
    return {key: " or ".join(values) for key, values in texts.items()}


def _text(value: Any) -> str:
    """
    >>> _text("imdb"), _text([10, 50]), _text(None)
    ('imdb', '[10, 50]', 'null')
    """
    # sorted, because the order of keys in params.yaml means nothing
    return (
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    )


def sizes(lock: Mapping[str, Any], stages: Iterable[str]) -> dict[str, int]:
    """Returns the bytes of each file and folder that dvc.lock, as a document, records for these stages.

    The other stages have not run yet. dvc.lock still has their sizes of an earlier run.
    """
    bytes_by_path: dict[str, int] = {}
    for name in stages:
        stage = lock["stages"][name]
        entries = [*stage.get("deps", []), *stage.get("outs", [])]
        bytes_by_path |= {entry["path"]: entry["size"] for entry in entries if "size" in entry}
    return bytes_by_path
