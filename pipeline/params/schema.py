"""The schema of params.yaml as frozen, strict types. Comments in params.yaml explain the keys."""

import math
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipeline.params.messages import LINE, NAME, sentence, suggestion

PARAMS = Path("params.yaml")
SPLITS = ("train", "validation", "test")
SPECIAL_TOKENS = ("<pad>", "<unknown>")  # their ids are their positions in this tuple: 0 and 1
Readout = Literal["last", "mean", "max"]
RecurrentInitializer = Literal["orthogonal", "0.9 orthogonal", "identity"]
GateInitializer = Literal["unit_forget", "chrono"]
DEFAULT_INITIALISER = "orthogonal"  # of the recurrent weights of Keras' layers

Architecture = Literal["feedforward", "flattened", "vanilla", "bidirectional", "lstm"]
ARCHITECTURES: tuple[str, ...] = get_args(Architecture)
STATELESS = ("feedforward", "flattened")  # architectures without a hidden state
GATED = ("lstm",)  # architectures with gates
FIXED_SIZE = ("flattened",)  # architectures whose weights fit one sequence length only
SHORTEST_LENGTH = 2  # tokens, of a text in which a gradient can fade
MOST_SEEDS = 1000  # of a run
MOST_STEPS = 10_000  # on one axis of the search space
MOST_WEIGHTS = 100_000_000  # of an embedding; training holds them about four times
MOST_NUMBERS = 250_000_000  # of a training step; they take 1 GB

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Few = Annotated[int, Field(ge=1, le=1000)]
Size = Annotated[int, Field(ge=1, le=1000)]
Seeds = Annotated[int, Field(ge=2, le=MOST_SEEDS)]
Number = Annotated[int, Field(ge=0, le=1_000_000)] | Annotated[float, Field(ge=0, le=1_000_000)]
Name = Annotated[str, Field(pattern=NAME, max_length=40)]
Line = Annotated[str, Field(pattern=LINE, max_length=1000)]
Length = Annotated[int, Field(ge=SHORTEST_LENGTH, le=5000)]
Lag = Annotated[int, Field(ge=1, le=2000)]
Dropout = Annotated[float, Field(ge=0, le=0.99)]
HeldOutShare = Annotated[float, Field(ge=0.001, lt=0.5)]
Share = Annotated[float, Field(ge=0.000001, le=0.999)]
AboveChance = Annotated[float, Field(gt=0.5, le=0.999)]

Item = TypeVar("Item", bound=Hashable)


def _without_duplicates(values: list[Item]) -> list[Item]:
    if len(set(values)) < len(values):
        raise ValueError(f"{values} has a duplicate")
    return values


OneOrMore = Annotated[
    list[Item], Field(min_length=1, max_length=100), AfterValidator(_without_duplicates)
]


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
    subject: Annotated[str, Field(pattern=LINE, max_length=100)] | None = None
    path: Line
    columns: Columns
    labels: Labels
    limit: Annotated[int, Field(ge=100, le=1_000_000_000)] | None
    validation_share: HeldOutShare
    test_share: HeldOutShare
    vocabulary_size: Annotated[int, Field(ge=len(SPECIAL_TOKENS) + 2, le=1_000_000)]  # two words

    @field_validator("subject")
    @classmethod
    def _names_the_texts_of_a_csv(cls, subject: str | None, info: ValidationInfo) -> str | None:
        source = info.data.get("source", "csv")
        if subject is None:
            return None
        if source != "csv":
            raise ValueError(f"'{subject}': only source csv has a subject; write null for {source}")
        has_words = any(map(str.isalpha, subject))
        if subject != subject.strip() or not has_words:
            raise ValueError(
                f"'{subject}': must be words such as product reviews, without blanks around them"
            )
        return subject


class Settings(Strict):
    """A named group of values that determines a network and its training, such as `textbook` or `tuned`."""

    sequence_length: Annotated[int, Field(ge=1, le=5000)]
    embedding_dimension: Size
    hidden_size: Size
    learning_rate: Annotated[float, Field(ge=1e-8, le=1)]
    learning_rate_schedule: Literal["constant", "cosine"]
    batch_size: Annotated[int, Field(ge=1, le=100_000)]
    dropout: Dropout
    word_dropout: Dropout
    clip_norm: Annotated[float, Field(ge=1e-6, le=1_000_000)] | None
    mask: bool
    weight_averaging: Annotated[float, Field(ge=0.000001, le=0.99999)] | None
    epochs: Few
    patience: Few
    readout: Readout = "last"
    recurrent_initializer: RecurrentInitializer = DEFAULT_INITIALISER
    gate_initializer: GateInitializer = "unit_forget"


class Run(Strict):
    architecture: Architecture
    settings: Name
    source: Annotated[Line, Field(alias="from")]
    seed_factor: Annotated[float, Field(ge=0.001, le=20)] = 1


class Train(Strict):
    seeds: Seeds
    runs: Annotated[dict[Line, Run], Field(min_length=1)]

    @field_validator("runs")
    @classmethod
    def _order_means_nothing(cls, runs: dict[str, Run]) -> dict[str, Run]:
        """Runs of one settings together, in the order of ARCHITECTURES: DVC ignores the order in the file."""

        def place(name: str) -> tuple[str, int]:
            return runs[name].settings, ARCHITECTURES.index(runs[name].architecture)

        return {name: runs[name] for name in sorted(runs, key=place)}

    def seeds_of(self, run: str) -> range:
        """The seeds of a run, counted from 0: train.seeds times its seed_factor, rounded up."""
        seeds = round(self.seeds * self.runs[run].seed_factor, 6)  # 7.000000000000001 is 7
        return range(math.ceil(seeds))


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
            raise ValueError("with log: true, step must be absent and low above 0")
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            raise ValueError("step must be above 0 and at most high - low")
        if self.step is not None and (self.high - self.low) / self.step > MOST_STEPS:
            raise ValueError(f"step is too small: it gives more than {MOST_STEPS:,} values")
        return self


class Space(Strict):
    hidden_size: Dimension
    embedding_dimension: Dimension
    learning_rate: Dimension
    dropout: Dimension


class Tune(Strict):
    architectures: OneOrMore[Architecture]
    settings: Name
    trials: Few
    wave: Few
    startup_trials: Few
    rung_epochs: Few
    finalists: Annotated[int, Field(ge=1, le=100)]
    race_seeds: Seeds
    regret_seeds: Seeds
    seed: Annotated[int, Field(ge=0, le=1_000_000_000)]
    space: Space


class Evaluate(Strict):
    comparisons: Annotated[
        list[Annotated[list[Line], Field(min_length=2, max_length=2)]], Field(max_length=100)
    ]
    alpha: Annotated[float, Field(ge=0.0001, lt=0.5)]
    power: AboveChance
    meaningful: AboveChance
    almost: Annotated[float, Field(ge=0.000001, le=0.5)]
    calibration_bins: Annotated[int, Field(ge=2, le=100)]
    length_buckets: Annotated[list[Count], Field(min_length=1, max_length=100)]
    learned_share: Share

    @field_validator("length_buckets")
    @classmethod
    def _ends_rise(cls, ends: list[int]) -> list[int]:
        if ends != sorted(set(ends)):
            raise ValueError("must increase, each above the one before")
        return ends


class Gradients(Strict):
    sequence_lengths: OneOrMore[Length]
    trained_up_to: Length
    seeds: Seeds
    architectures: OneOrMore[Architecture]
    reviews: Annotated[int, Field(ge=2, le=1_000_000)]  # one per label
    memory_reviews: Annotated[int, Field(ge=2, le=1_000_000)]
    probe_reviews: Count
    jacobian_reviews: Count
    words: Few
    spectra: bool


class Retention(Strict):
    signals: Annotated[
        dict[Architecture, OneOrMore[Literal["first", "middle"]]], Field(min_length=1)
    ]
    lags: OneOrMore[Lag]
    seeds: Seeds
    updates: Annotated[int, Field(gt=0, le=100_000, multiple_of=100)]
    solved: AboveChance

    @field_validator("signals")
    @classmethod
    def _order_means_nothing(cls, signals: dict[str, list[str]]) -> dict[str, list[str]]:
        """The order of ARCHITECTURES: DVC ignores the order in the file."""
        return {name: signals[name] for name in ARCHITECTURES if name in signals}


class Attractor(Strict):
    """The sizes and thresholds of the test for a line attractor."""

    reviews: Annotated[int, Field(ge=2, le=10_000)]
    linearised_reviews: Few
    states_per_review: Few
    words: Annotated[int, Field(ge=2, le=100_000)]
    far_lag: Lag
    slow_ratio: Annotated[float, Field(ge=1, le=1000)]
    straight: Share
    agreement: Share
    valence: Share
    gradient_share: Share


class Claims(Strict):
    """Thresholds of the claims table, and what readers should know about how they were chosen."""

    same_logit: Annotated[float, Field(ge=0.000000001, le=100)]
    same_state: Share
    changed_state: Share
    vanished: Share
    faded: Share
    distances: Annotated[dict[Name, Lag], Field(min_length=1, max_length=20)]
    forgotten_share: Share
    remembered_share: Share
    usable_sign_accuracy: AboveChance
    margin: Share
    disclosures: Annotated[list[Line], Field(max_length=20), AfterValidator(_without_duplicates)]

    @model_validator(mode="after")
    def _thresholds_rise(self) -> "Claims":
        pairs = (
            ("same_state", "changed_state"),
            ("vanished", "faded"),
            ("forgotten_share", "remembered_share"),
        )
        for lower, upper in pairs:
            if not getattr(self, lower) < getattr(self, upper):
                raise ValueError(f"{lower} must be below {upper}")
        return self

    @field_validator("distances")
    @classmethod
    def _order_means_nothing(cls, distances: dict[str, int]) -> dict[str, int]:
        """From near to far: DVC ignores the order in the file."""
        if len(set(distances.values())) < len(distances):
            raise ValueError("two distances have the same number of tokens")
        return dict(sorted(distances.items(), key=lambda item: item[1]))


class Remedies(Strict):
    """Networks that may keep a gradient where the baseline loses it."""

    baseline: Line
    runs: Annotated[list[Line], Field(max_length=20), AfterValidator(_without_duplicates)]


def nearest(lengths: Iterable[int], length: int) -> int:
    """Returns the one of these lengths that is nearest to another length; on a tie, the shorter one."""
    return min(sorted(lengths), key=lambda other: abs(other - length))


class Params(Strict):
    """The whole of params.yaml. Checks each section, and that sections which refer to each other agree."""

    data: Data
    settings: dict[Name, Settings]
    train: Train
    tune: Tune
    evaluate: Evaluate
    gradients: Gradients
    retention: Retention
    attractor: Attractor
    remedies: Remedies
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
            *self._encoder_problems(),
            *self._remedy_problems(),
            *self._fixed_size_problems(),
            *self._search_space_problems(),
            *self._word_problems(),
            *self._memory_problems(),
        ]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _run_problems(self) -> Iterator[str]:
        for name, run in self.train.runs.items():
            path = f"train.runs.{name}"
            tuned = run.settings == "tuned"

            if name != f"{run.architecture}-{run.settings}":
                yield f"{path}: must be named ARCHITECTURE-SETTINGS, here '{run.architecture}-{run.settings}'"

            expected = f"artifacts/tuned/{run.architecture}.json" if tuned else str(PARAMS)
            if run.source != expected:
                kind = "tuned settings" if tuned else "settings other than tuned"
                yield f"{path}.from: '{run.source}', but {kind} come from '{expected}'"

            if tuned and run.architecture not in self.tune.architectures:
                yield f"{path}: '{run.architecture}' is not tuned; add it to tune.architectures or delete the run"
            if not tuned and run.settings not in self.settings:
                hint = suggestion(run.settings, self.settings)
                yield f"{path}.settings: '{run.settings}' is not in settings; {hint}"

    def _settings_problems(self) -> Iterator[str]:
        if "textbook" not in self.settings:
            yield "settings.textbook: missing; stages such as `gradients` and `retention` need it"
        if "tuned" in self.settings:
            yield "settings.tuned: this name is reserved for the settings that `tune` chooses; use another name"

        start = self.tune.settings
        if start not in self.settings:
            yield f"tune.settings: '{start}' is not in settings; {suggestion(start, self.settings)}"

    def _seed_problems(self) -> Iterator[str]:
        for run, settings in self.train.runs.items():
            seeds = len(self.train.seeds_of(run))
            if seeds > MOST_SEEDS:
                yield (
                    f"train.runs.{run}.seed_factor: {settings.seed_factor:g}: with train.seeds {self.train.seeds} it "
                    f"has {seeds:,} seeds; it may have at most {MOST_SEEDS:,}"
                )

        last_seeds = {run: self.train.seeds_of(run)[-1] for run in self.train.runs}
        run = max(last_seeds, key=last_seeds.__getitem__)
        last_seed = last_seeds[run]

        if self.tune.seed <= last_seed:
            yield (
                f"tune.seed: {self.tune.seed}: must be at least {last_seed + 1}: {run} is trained on the seeds 0 "
                f"to {last_seed} (train.seeds times its seed_factor), and no trial may use a seed of a run"
            )

    def _share_problems(self) -> Iterator[str]:
        if self.data.validation_share + self.data.test_share >= 0.9:
            yield "data.validation_share, data.test_share: together at least 0.9; leave more than 0.1 for training"

    def _comparison_problems(self) -> Iterator[str]:
        for index, pair in enumerate(self.evaluate.comparisons):
            path = f"evaluate.comparisons[{index}]"
            if pair[0] == pair[1] or pair in self.evaluate.comparisons[:index]:
                yield f"{path}: {pair}: must be two different runs, and each pair may occur once"

            for run in pair:
                if run not in self.train.runs:
                    yield f"{path}: '{run}' is not a run; {suggestion(run, self.train.runs)}"

    def _architecture_problems(self) -> Iterator[str]:
        for architecture in self.gradients.architectures:
            if f"{architecture}-textbook" not in self.train.runs:
                yield f"gradients.architectures: '{architecture}' needs the run '{architecture}-textbook' in train.runs"

        signals = self.retention.signals
        for architecture in STATELESS:
            if architecture in signals:
                path = f"retention.signals.{architecture}"
                yield f"{path}: it has no hidden state, so it cannot remember; delete this key"
        if "first" in signals.get("bidirectional", []):
            yield (
                "retention.signals.bidirectional: 'first': must be 'middle', because the backward layer reads the "
                "first token last and need not remember it"
            )

    def _encoder_problems(self) -> Iterator[str]:
        """The settings of an encoder that mean nothing for the architecture that has them."""
        for key, architecture, name in self._architectures_with_settings():
            settings = self.settings.get(name)
            if settings is None:  # reported by `_run_problems` and `_settings_problems`
                continue

            path = f"{key}: settings.{name}"
            if architecture in STATELESS and settings.readout != "last":
                yield f"{path}.readout: '{settings.readout}': must be last, because {architecture} has no states"
            if architecture in STATELESS and settings.recurrent_initializer != DEFAULT_INITIALISER:
                yield (
                    f"{path}.recurrent_initializer: '{settings.recurrent_initializer}': must be "
                    f"{DEFAULT_INITIALISER}, because {architecture} has no recurrent weights"
                )
            if architecture not in GATED and settings.gate_initializer != "unit_forget":
                yield (
                    f"{path}.gate_initializer: '{settings.gate_initializer}': must be unit_forget, because "
                    f"{architecture} has no gates"
                )

    def _architectures_with_settings(self) -> Iterator[tuple[str, str, str]]:
        """The key that asks for each network, its architecture and the name of its settings."""
        for name, run in self.train.runs.items():
            if run.settings != "tuned":
                yield f"train.runs.{name}", run.architecture, run.settings
        for architecture in self.tune.architectures:
            yield "tune.architectures", architecture, self.tune.settings
        for architecture in self.retention.signals:
            yield f"retention.signals.{architecture}", architecture, "textbook"

    def _remedy_problems(self) -> Iterator[str]:
        remedies = self.remedies
        named_runs = {"remedies.baseline": remedies.baseline}
        for index, run in enumerate(remedies.runs):
            named_runs[f"remedies.runs[{index}]"] = run

        for path, run in named_runs.items():
            if run not in self.train.runs:
                yield f"{path}: '{run}' is not a run; {suggestion(run, self.train.runs)}"
            elif problem := self._measured_length_problem(run):
                remedy = "name another run" if run == remedies.baseline else "delete it here"
                yield f"{path}: {problem}; {remedy}"
        if remedies.baseline in remedies.runs:
            yield f"remedies.runs: '{remedies.baseline}' is the baseline (remedies.baseline); delete it here"

    def _measured_length_problem(self, run: str) -> str:
        """Says that a network of a fixed size reads another length than the stage `remedies`; else empty."""
        network = self.train.runs[run]
        own = self.settings.get(
            network.settings if network.settings != "tuned" else self.tune.settings
        )
        textbook = self.settings.get("textbook")
        if network.architecture not in FIXED_SIZE or own is None or textbook is None:
            return ""
        length = nearest(self.gradients.sequence_lengths, textbook.sequence_length)
        if own.sequence_length == length:
            return ""
        return (
            f"'{run}' reads {own.sequence_length} tokens and has a fixed size, but remedies are measured at "
            f"{length} tokens, the length in gradients.sequence_lengths that is nearest to "
            "settings.textbook.sequence_length"
        )

    def _fixed_size_problems(self) -> Iterator[str]:
        """The lengths at which no network can be measured, and networks with too many weights for their length."""
        gradients = self.gradients
        lengths = [
            length for length in gradients.sequence_lengths if not self._is_trained_length(length)
        ]
        if lengths and set(gradients.architectures) <= set(FIXED_SIZE):
            yield (
                f"gradients.architectures: {gradients.architectures}: no network can be measured at the sequence "
                f"lengths {lengths}, because these have a fixed size; add another architecture or raise "
                "gradients.trained_up_to"
            )

        for key, settings in self._networks_of_fixed_size():
            weights = settings.sequence_length * settings.embedding_dimension * settings.hidden_size
            if weights > MOST_WEIGHTS:
                yield (
                    f"{key}: {weights:,} weights in the hidden layer of a flattened network: too large: "
                    "sequence_length * embedding_dimension * hidden_size must be at most "
                    f"{MOST_WEIGHTS:,}"
                )

    def _networks_of_fixed_size(self) -> Iterator[tuple[str, Settings]]:
        """The key that asks for each network of a fixed size, and its settings."""
        for name, run in self.train.runs.items():
            if run.architecture in FIXED_SIZE and run.settings in self.settings:
                yield f"train.runs.{name}", self.settings[run.settings]

        textbook = self.settings.get("textbook")
        if textbook and set(self.gradients.architectures) & set(FIXED_SIZE):
            longest = max(
                filter(self._is_trained_length, self.gradients.sequence_lengths), default=2
            )
            yield (
                "gradients.sequence_lengths",
                textbook.model_copy(update={"sequence_length": longest}),
            )

        start = self.settings.get(self.tune.settings)
        if start and set(self.tune.architectures) & set(FIXED_SIZE):
            sizes = {
                "embedding_dimension": self.tune.space.embedding_dimension.high,
                "hidden_size": self.tune.space.hidden_size.high,
            }
            yield "tune.space", start.model_copy(update=sizes)

    def _is_trained_length(self, sequence_length: int) -> bool:
        """Whether networks of the textbook's settings are trained at this length."""
        textbook = self.settings.get("textbook")
        is_textbook_length = textbook is not None and sequence_length == textbook.sequence_length
        return is_textbook_length or sequence_length <= self.gradients.trained_up_to

    def _search_space_problems(self) -> Iterator[str]:
        """The bounds and steps of tune.space that are not legal values of their setting."""
        start = self.settings.get(self.tune.settings)
        if start is None:  # reported by `_settings_problems`
            return

        for name, dimension in self.tune.space:
            for value in (dimension.low, dimension.high, dimension.step):
                if value is None:
                    continue
                try:
                    Settings.model_validate({**start.model_dump(), name: value})
                except ValidationError as error:
                    yield f"tune.space.{name}: {value}: {sentence(Settings, error.errors()[0])}"

    def _word_problems(self) -> Iterator[str]:
        words = self.gradients.words
        size = self.data.vocabulary_size
        most = (size - len(SPECIAL_TOKENS)) // 2
        if words > most:
            yield (
                f"gradients.words: {words}: must be at most {most}, half of the words in a vocabulary of {size} "
                "(data.vocabulary_size)"
            )

    def _memory_problems(self) -> Iterator[str]:
        """The networks that need more memory for training than most machines have."""
        problems = [
            _memory_problem(f"settings.{name}", settings, self.data.vocabulary_size)
            for name, settings in self.settings.items()
        ]
        if not any(problems):
            problems = [
                _memory_problem(key, settings, self.data.vocabulary_size)
                for key, settings in self._largest_networks()
            ]
        yield from filter(None, problems)

    def _largest_networks(self) -> Iterator[tuple[str, Settings]]:
        """The key that makes a network larger than its section in `settings`, and the settings of this network."""
        if start := self.settings.get(self.tune.settings):
            space = self.tune.space
            sizes = {
                "embedding_dimension": space.embedding_dimension.high,
                "hidden_size": space.hidden_size.high,
            }
            yield "tune.space", start.model_copy(update=sizes)

        if textbook := self.settings.get("textbook"):
            # a signal in the middle has as many tokens before it as after it
            lengths = {
                "gradients.sequence_lengths": max(self.gradients.sequence_lengths),
                "retention.lags": 2 * max(self.retention.lags) + 1,
            }
            for key, length in lengths.items():
                yield key, textbook.model_copy(update={"sequence_length": length})


def _memory_problem(key: str, settings: Settings, vocabulary_size: int) -> str | None:
    dimension = settings.embedding_dimension
    if vocabulary_size * dimension > MOST_WEIGHTS:
        return (
            f"{key}: embedding_dimension {dimension} with data.vocabulary_size {vocabulary_size}: too large: their "
            f"product must be at most {MOST_WEIGHTS:,}"
        )

    numbers = settings.batch_size * settings.sequence_length * (dimension + settings.hidden_size)
    if numbers > MOST_NUMBERS:
        return (
            f"{key}: batch_size {settings.batch_size} with {settings.sequence_length} tokens, embedding_dimension "
            f"{dimension} and hidden_size {settings.hidden_size}: too large: batch_size * tokens * "
            f"(embedding_dimension + hidden_size) must be at most {MOST_NUMBERS:,}"
        )
    return None
