"""params.yaml as frozen, strict types, with every mistake explained."""

import difflib
import re
import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML

PARAMS = Path("params.yaml")
ARCHITECTURES = ("feedforward", "vanilla", "bidirectional", "lstm")
SPLITS = ("train", "validation", "test")
SPECIAL_TOKENS = ("<pad>", "<unknown>")  # their ids are their places here: 0 and 1
DEFAULT_INITIALISER = "orthogonal"  # of the recurrent weights of Keras' layers

Architecture = Literal["feedforward", "vanilla", "bidirectional", "lstm"]
NAME, LINE = r"^[a-z][a-z0-9_]*$", r"^[^\x00-\x1f\x7f]+$"
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Size = Annotated[int, Field(ge=1, le=10_000)]
Seeds = Annotated[int, Field(ge=2, le=1000)]
Number = Annotated[int | float, Field(ge=0, le=1_000_000)]
Name = Annotated[str, Field(pattern=NAME, max_length=40)]
Line = Annotated[str, Field(pattern=LINE, max_length=1000)]
MOST_STEPS = 10_000  # of one axis of the search space

SAID = {  # where pydantic's own sentence is not for people who edit a file
    "string_type": "must be text; a number, true, false or null is text in quotes",
    "string_unicode": "must be whole characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "too few entries, at least {min_length}",
    "too_long": "too many entries, at most {max_length}",
    "invalid_key": "a key must be text",
    "model_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
}
SAID_OF = {NAME: "must be lower-case letters, digits and _, a letter first", LINE: "must be one line of text"}


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 60


class Mistake(ValueError):
    """What a person can put right: `__main__` prints it as one clear line and exits with 2."""


class Strict(BaseModel):
    """Frozen; unknown keys are errors; a string is never taken for a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Columns(Strict):
    text: Line
    label: Line
    group: Line | None


class Labels(Strict):
    negative: Line
    positive: Line


class Data(Strict):
    source: Literal["imdb", "rotten_tomatoes", "aclimdb", "csv"]
    path: Line
    columns: Columns
    labels: Labels
    limit: Annotated[int, Field(ge=100, le=1_000_000_000)] | None
    validation_share: Annotated[float, Field(ge=0.001, lt=0.5)]
    test_share: Annotated[float, Field(ge=0.001, lt=0.5)]
    vocabulary_size: Annotated[int, Field(gt=len(SPECIAL_TOKENS), le=1_000_000)]


class Settings(Strict):
    """What makes one network and its training; `textbook` and `tuned` are two of these."""

    sequence_length: Annotated[int, Field(ge=1, le=5000)]
    embedding_dimension: Size
    hidden_size: Size
    learning_rate: Annotated[float, Field(ge=1e-8, le=1)]
    learning_rate_schedule: Literal["constant", "cosine"]
    batch_size: Count
    dropout: Annotated[float, Field(ge=0, le=0.99)]
    word_dropout: Annotated[float, Field(ge=0, le=0.99)]
    clip_norm: Annotated[float, Field(ge=1e-6, le=1e6)] | None
    mask: bool
    weight_averaging: Annotated[float, Field(gt=0, le=0.99999)] | None
    epochs: Count
    patience: Count


class Run(Strict):
    architecture: Architecture
    settings: Name
    source: Annotated[Line, Field(alias="from")]
    seed_factor: Annotated[int, Field(ge=1, le=20)] = 1


class Train(Strict):
    seeds: Seeds
    runs: Annotated[dict[Line, Run], Field(min_length=1)]

    def seeds_of(self, run: str) -> range:
        """The seeds of a run: train.seeds times its seed_factor, counted from 0."""
        return range(self.seeds * self.runs[run].seed_factor)


class Dimension(Strict):
    """One axis of the search space: whole numbers where `low` is one, else real ones."""

    role: Literal["scientific", "nuisance"]
    low: Number
    high: Number
    step: Number | None = None
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> "Dimension":
        if not self.low < self.high:
            raise ValueError("low must be below high")
        if self.log and (self.step is not None or self.low <= 0):
            raise ValueError("a log scale has no step and starts above 0")
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            raise ValueError("step must be above 0 and at most high - low")
        if self.step is not None and (self.high - self.low) / self.step > MOST_STEPS:
            raise ValueError(f"step makes more than {MOST_STEPS:,} values")
        return self


class Space(Strict):
    hidden_size: Dimension
    embedding_dimension: Dimension
    learning_rate: Dimension
    dropout: Dimension


class Tune(Strict):
    architectures: list[Architecture]
    settings: Name
    trials: Count
    wave: Count
    startup_trials: Count
    rung_epochs: Count
    finalists: Annotated[int, Field(ge=1, le=100)]
    race_seeds: Seeds
    regret_seeds: Seeds
    seed: Annotated[int, Field(ge=0, le=1_000_000_000)]
    space: Space


class Evaluate(Strict):
    comparisons: list[Annotated[list[Line], Field(min_length=2, max_length=2)]]
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    power: Annotated[float, Field(gt=0.5, lt=1)]
    meaningful: Annotated[float, Field(gt=0.5, lt=1)]
    almost: Annotated[float, Field(gt=0, le=0.5)]
    calibration_bins: Annotated[int, Field(ge=2, le=100)]
    length_buckets: Annotated[list[Count], Field(min_length=1)]
    learned_share: Annotated[float, Field(gt=0, lt=1)]

    @field_validator("length_buckets")
    @classmethod
    def _rising(cls, ends: list[int]) -> list[int]:
        if ends != sorted(set(ends)):
            raise ValueError("must rise, each end above the one before")
        return ends


class Gradients(Strict):
    sequence_lengths: Annotated[list[Annotated[int, Field(ge=2, le=5000)]], Field(min_length=1)]
    trained_up_to: Annotated[int, Field(ge=2, le=5000)]
    seeds: Seeds
    architectures: Annotated[list[Architecture], Field(min_length=1)]
    reviews: Count
    memory_reviews: Count
    jacobian_reviews: Count
    words: Count
    spectra: bool


class Retention(Strict):
    signals: Annotated[
        dict[Architecture, Annotated[list[Literal["first", "middle"]], Field(min_length=1)]], Field(min_length=1)
    ]
    lags: Annotated[list[Annotated[int, Field(ge=1, le=2000)]], Field(min_length=1)]
    seeds: Seeds
    updates: Annotated[int, Field(gt=0, le=1_000_000, multiple_of=100)]
    solved: Annotated[float, Field(gt=0.5, lt=1)]


class Claims(Strict):
    """Thresholds of the claims table."""

    same_logit: Annotated[float, Field(gt=0)]
    vanished: Annotated[float, Field(gt=0, lt=1)]
    remembered_share: Annotated[float, Field(gt=0, lt=1)]
    usable_sign_accuracy: Annotated[float, Field(gt=0.5, lt=1)]


class Params(Strict):
    data: Data
    settings: dict[Name, Settings]
    train: Train
    tune: Tune
    evaluate: Evaluate
    gradients: Gradients
    retention: Retention
    claims: Claims

    @model_validator(mode="after")
    def _keys_agree(self) -> "Params":
        problems = [*self._runs_that_disagree(), *self._lists_that_disagree()]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _runs_that_disagree(self):
        for name, run in self.train.runs.items():
            path = f"train.runs.{name}"
            if name != f"{run.architecture}-{run.settings}":
                yield f"{path}: a run is named architecture-settings, here '{run.architecture}-{run.settings}'"
            if run.settings == "tuned":
                expected = f"artifacts/tuned/{run.architecture}.json"
                if run.source != expected:
                    yield f"{path}.from: '{run.source}', but tuned settings come from '{expected}'"
                if run.architecture not in self.tune.architectures:
                    yield f"{path}: '{run.architecture}' is not tuned; add it to tune.architectures or drop the run"
            else:
                if run.source != str(PARAMS):
                    yield f"{path}.from: '{run.source}', but settings other than tuned come from '{PARAMS}'"
                if run.settings not in self.settings:
                    yield f"{path}.settings: '{run.settings}' is not in settings; {_legal(run.settings, self.settings)}"

    def _lists_that_disagree(self):
        if "textbook" not in self.settings:
            yield "settings.textbook: missing; the gradient study and the tuned settings start from it"
        if "tuned" in self.settings:
            yield "settings.tuned: this name is for what `tune` finds; choose another"
        start = self.tune.settings
        if start not in self.settings:
            yield f"tune.settings: '{start}' is not in settings; {_legal(start, self.settings)}"
        yield from self._seeds_that_disagree()
        if self.data.validation_share + self.data.test_share >= 0.9:
            yield "data.validation_share, data.test_share: together at least 0.9; nothing is left to train on"
        for index, pair in enumerate(self.evaluate.comparisons):
            if pair[0] == pair[1] or pair in self.evaluate.comparisons[:index]:
                yield f"evaluate.comparisons[{index}]: {pair}: must be two runs, and no pair twice"
            for run in pair:
                if run not in self.train.runs:
                    yield f"evaluate.comparisons[{index}]: '{run}' is not a run; {_legal(run, self.train.runs)}"
        for architecture in self.gradients.architectures:
            if f"{architecture}-textbook" not in self.train.runs:
                yield f"gradients.architectures: '{architecture}' needs the run '{architecture}-textbook' in train.runs"
        if "feedforward" in self.retention.signals:
            yield "retention.signals.feedforward: a network without a state keeps nothing; drop it"
        if "first" in self.retention.signals.get("bidirectional", []):
            yield "retention.signals.bidirectional: 'first' is what its backward half reads last; must be 'middle'"
        for path, values in (
            *((f"retention.signals.{name}", values) for name, values in self.retention.signals.items()),
            ("gradients.sequence_lengths", self.gradients.sequence_lengths),
            ("gradients.architectures", self.gradients.architectures),
            ("tune.architectures", self.tune.architectures),
            ("retention.lags", self.retention.lags),
        ):
            if len(set(values)) < len(values):
                yield f"{path}: {values} names something twice"
        for name, dimension in self.tune.space:
            yield from self._dimension_that_disagrees(f"tune.space.{name}", name, dimension)

    def _seeds_that_disagree(self):
        count_by_run = {run: len(self.train.seeds_of(run)) for run in self.train.runs}
        longest_run = max(count_by_run, key=count_by_run.get)
        seed_count = count_by_run[longest_run]

        if self.tune.seed < seed_count:
            yield (
                f"tune.seed: {self.tune.seed}: must be at least {seed_count}: {longest_run} is trained on the seeds 0 "
                f"to {seed_count - 1} (train.seeds times its seed_factor), and no trial may use a seed of a run"
            )

    def _dimension_that_disagrees(self, path: str, name: str, dimension: Dimension):
        whole = Settings.model_fields[name].annotation is int
        numbers = [number for number in (dimension.low, dimension.high, dimension.step) if number is not None]
        if whole and not all(isinstance(number, int) for number in numbers):
            yield f"{path}: {numbers}: low, high and step must be whole numbers"
        elif self.tune.settings in self.settings:
            for bound in (dimension.low, dimension.high):
                try:
                    Settings.model_validate({**self.settings[self.tune.settings].model_dump(), name: bound})
                except ValidationError as error:
                    yield f"{path}: {bound}: {_said(error.errors()[0])}"


def read(path: Path = PARAMS) -> Params:
    """All parameters; raises Mistake with one line for each problem."""
    return explained(Params, document(path), str(path))


def read_settings(path: Path, name: str) -> Settings:
    """The settings of this name, from params.yaml or from a file of `tune` (same form: `settings: {name: ...}`)."""
    settings = document(path).get("settings")
    if not isinstance(settings, dict):
        raise Mistake(f"{path}: settings: must be a mapping of keys, not {type(settings).__name__}")
    if name not in settings:
        raise Mistake(f"{path}: settings.{name}: missing; {_legal(name, settings)}")
    return explained(Settings, settings[name], str(path), ("settings", name))


def document(path: Path) -> dict:
    """The file as plain Python, in the dialect that DVC reads (YAML 1.2, of which JSON is a part)."""
    try:
        found = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Mistake(f"{path}: no such file here; run this in the project's root") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Mistake(f"{path}: cannot be read: {error}") from None
    except Exception as error:  # YAMLError, or whatever ruamel met: a month 13, a nest too deep
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        said = " ".join(str(getattr(error, "problem", None) or error).split())
        raise Mistake(f"{path}: {where}not YAML: {said or type(error).__name__}") from None
    if not isinstance(found, dict):
        raise Mistake(f"{path}: must be a mapping of keys, not {type(found).__name__}")
    return found


def explained(kind: type[BaseModel], value: Any, file: str, root: tuple[str, ...] = ()):
    """`value` as `kind`; raises Mistake that names each key's full path, its value and what is legal."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        lines = [line for each in error.errors() for line in _lines(kind, each, root)]
        raise Mistake("\n".join(dict.fromkeys(f"{file}: {line}" for line in lines))) from None


def _lines(kind: type[BaseModel], error: dict, root: tuple[str, ...]) -> list[str]:
    path = _dotted((*root, *(part for part in error["loc"] if part != "[key]")))
    if error["loc"][-1:] in (("int",), ("float",)):  # of `Number` each half says its own
        return [f"{path.rpartition('.')[0]}: {_shown(error['input'])}: must be a number"]
    match error["type"]:
        case "extra_forbidden":
            return [f"{path}: unknown key; {_legal(error['loc'][-1], _siblings(kind, error['loc']), kind)}"]
        case "missing":
            return [f"{path}: missing"]
        case "value_error":
            said = str(error["ctx"]["error"]).splitlines()
            return [f"{path}: {line}" if path else line for line in said]
        case _:
            return [f"{path}: {_shown(error['input'])}: {_said(error)}"]


def _shown(value) -> str:
    """Short, however long or deep it is."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # a whole number with more digits than Python writes
        return type(value).__name__


def _said(error: dict) -> str:
    """Pydantic's sentence, in the words of a params file."""
    context = error.get("ctx", {})
    if said := SAID.get(error["type"]) or SAID_OF.get(context.get("pattern")):
        return said.format(**context)
    message = re.sub(r"^(Input|Value) should", "must", error["msg"]).replace("valid list", "list")
    if error["type"] == "literal_error":
        nearest = difflib.get_close_matches(_shown(error["input"]), re.findall(r"'([^']+)'", message), n=1)
        message += f"; did you mean '{nearest[0]}'?" if nearest else ""
    return message


def _legal(key: str, known, kind: type[BaseModel] | None = None) -> str:
    names = sorted(known)
    nearest = difflib.get_close_matches(str(key), names, n=1)
    if nearest:
        return f"did you mean '{nearest[0]}'? Known here: {', '.join(names)}"
    elsewhere = [path for path in _paths(kind) if path.rsplit(".", 1)[-1] == key] if kind else []
    return f"did you mean '{elsewhere[0]}'?" if elsewhere else f"known here: {', '.join(names)}"


def _dotted(loc: tuple) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")


def _siblings(kind: type[BaseModel], loc: tuple) -> list[str]:
    for part in loc[:-1]:
        fields = kind.model_fields if kind is not None else {}
        kind = _model_of(fields[part].annotation) if part in fields else kind
    return _keys(kind)


def _keys(kind: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in kind.model_fields.items()]


def _model_of(annotation) -> type[BaseModel] | None:
    """The model inside an annotation such as dict[str, Run], or None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_of(part))), None)


def _paths(kind: type[BaseModel], root: str = ""):
    for name, field in kind.model_fields.items():
        yield root + (field.alias or name)
        if model := _model_of(field.annotation):
            yield from _paths(model, f"{root}{field.alias or name}.")
