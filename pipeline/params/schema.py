"""The schema of params.yaml as frozen, strict types. Comments in params.yaml explain the keys."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipeline.params.messages import LINE, NAME, sentence, suggestion

PARAMS = Path("params.yaml")
SPLITS = ("train", "validation", "test")
SPECIAL_TOKENS = ("<pad>", "<unknown>")  # their ids are their positions in this tuple: 0 and 1
DEFAULT_INITIALISER = "orthogonal"  # of the recurrent weights of Keras' layers

Architecture = Literal["feedforward", "vanilla", "bidirectional", "lstm"]
ARCHITECTURES: tuple[str, ...] = get_args(Architecture)
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Size = Annotated[int, Field(ge=1, le=10_000)]
Seeds = Annotated[int, Field(ge=2, le=1000)]
Number = Annotated[int | float, Field(ge=0, le=1_000_000)]
Name = Annotated[str, Field(pattern=NAME, max_length=40)]
Line = Annotated[str, Field(pattern=LINE, max_length=1000)]
MOST_STEPS = 10_000  # on one axis of the search space


class Strict(BaseModel):
    """A frozen model. Unknown keys are errors, and text is never read as a number."""

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
    """Everything that determines one network and its training, such as `textbook` or `tuned`."""

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
    """One axis of the search space: integers if `low` is an integer, otherwise real numbers."""

    role: Literal["scientific", "nuisance"]
    low: Number
    high: Number
    step: Number | None = None
    log: bool = False

    @model_validator(mode="after")
    def _bounds_and_step_agree(self) -> "Dimension":
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
    def _ends_rise(cls, ends: list[int]) -> list[int]:
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
    def _sections_agree(self) -> "Params":
        problems = [
            *self._run_problems(),
            *self._settings_problems(),
            *self._seed_problems(),
            *self._share_problems(),
            *self._comparison_problems(),
            *self._architecture_problems(),
            *self._duplicate_problems(),
            *self._search_space_problems(),
        ]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _run_problems(self) -> Iterator[str]:
        for name, run in self.train.runs.items():
            path = f"train.runs.{name}"
            tuned = run.settings == "tuned"

            if name != f"{run.architecture}-{run.settings}":
                yield f"{path}: a run is named architecture-settings, here '{run.architecture}-{run.settings}'"

            expected = f"artifacts/tuned/{run.architecture}.json" if tuned else str(PARAMS)
            if run.source != expected:
                kind = "tuned settings" if tuned else "settings other than tuned"
                yield f"{path}.from: '{run.source}', but {kind} come from '{expected}'"

            if tuned and run.architecture not in self.tune.architectures:
                yield f"{path}: '{run.architecture}' is not tuned; add it to tune.architectures or drop the run"
            if not tuned and run.settings not in self.settings:
                hint = suggestion(run.settings, self.settings)
                yield f"{path}.settings: '{run.settings}' is not in settings; {hint}"

    def _settings_problems(self) -> Iterator[str]:
        if "textbook" not in self.settings:
            yield "settings.textbook: missing; the gradient study and the tuned settings start from it"
        if "tuned" in self.settings:
            yield "settings.tuned: this name is for the settings that `tune` chooses; use another name"

        start = self.tune.settings
        if start not in self.settings:
            yield f"tune.settings: '{start}' is not in settings; {suggestion(start, self.settings)}"

    def _seed_problems(self) -> Iterator[str]:
        count_by_run = {run: len(self.train.seeds_of(run)) for run in self.train.runs}
        longest_run = max(count_by_run, key=count_by_run.__getitem__)
        seed_count = count_by_run[longest_run]

        if self.tune.seed < seed_count:
            yield (
                f"tune.seed: {self.tune.seed}: must be at least {seed_count}: {longest_run} is trained on the seeds 0 "
                f"to {seed_count - 1} (train.seeds times its seed_factor), and no trial may use a seed of a run"
            )

    def _share_problems(self) -> Iterator[str]:
        if self.data.validation_share + self.data.test_share >= 0.9:
            yield "data.validation_share, data.test_share: together at least 0.9; nothing is left to train on"

    def _comparison_problems(self) -> Iterator[str]:
        for index, pair in enumerate(self.evaluate.comparisons):
            path = f"evaluate.comparisons[{index}]"
            if pair[0] == pair[1] or pair in self.evaluate.comparisons[:index]:
                yield f"{path}: {pair}: must be two runs, and no pair twice"

            for run in pair:
                if run not in self.train.runs:
                    yield f"{path}: '{run}' is not a run; {suggestion(run, self.train.runs)}"

    def _architecture_problems(self) -> Iterator[str]:
        for architecture in self.gradients.architectures:
            if f"{architecture}-textbook" not in self.train.runs:
                yield f"gradients.architectures: '{architecture}' needs the run '{architecture}-textbook' in train.runs"

        signals = self.retention.signals
        if "feedforward" in signals:
            yield "retention.signals.feedforward: a network without a state keeps nothing; drop it"
        if "first" in signals.get("bidirectional", []):
            yield "retention.signals.bidirectional: 'first' is what its backward half reads last; must be 'middle'"

    def _duplicate_problems(self) -> Iterator[str]:
        lists = {
            **{f"retention.signals.{name}": signals for name, signals in self.retention.signals.items()},
            "gradients.sequence_lengths": self.gradients.sequence_lengths,
            "gradients.architectures": self.gradients.architectures,
            "tune.architectures": self.tune.architectures,
            "retention.lags": self.retention.lags,
        }
        for path, values in lists.items():
            if len(set(values)) < len(values):
                yield f"{path}: {values} names something twice"

    def _search_space_problems(self) -> Iterator[str]:
        for name, dimension in self.tune.space:
            path = f"tune.space.{name}"
            numbers = [number for number in (dimension.low, dimension.high, dimension.step) if number is not None]
            is_integer = Settings.model_fields[name].annotation is int

            if is_integer and not all(isinstance(number, int) for number in numbers):
                yield f"{path}: {numbers}: low, high and step must be whole numbers"
            elif self.tune.settings in self.settings:
                start = self.settings[self.tune.settings].model_dump()
                yield from _bound_problems(path, name, dimension, start)


def _bound_problems(path: str, name: str, dimension: Dimension, start: dict[str, Any]) -> Iterator[str]:
    """The bounds of a dimension that would not be legal settings. `start` holds the other settings of a trial."""
    for bound in (dimension.low, dimension.high):
        try:
            Settings.model_validate({**start, name: bound})
        except ValidationError as error:
            yield f"{path}: {bound}: {sentence(error.errors()[0])}"
