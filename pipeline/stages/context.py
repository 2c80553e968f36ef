"""The one argument of every stage's `main`: its parameters and the tools that it may use.

Stages do not import workers, MLflow or Optuna's storage. The command line passes these tools in, so that a test or a
benchmark can pass others.
"""

from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.params import Params

if TYPE_CHECKING:
    from optuna import Study

Log = Callable[[Any, int, dict[str, float]], None]  # unit, epoch, metrics
Report = Callable[[dict[str, Any]], None]  # {"epoch": number, metric: value}, from inside a unit
NOT_GIVEN: Any = None  # the default of a tool that this stage does not use


class Workers(Protocol):
    """Runs units of work: pipeline/workers/driver.py."""

    def run(
        self,
        name: str,
        function: Callable[[Any, Any, Report], Any],
        shared: object,
        tasks: Mapping[Any, Any],
        log: Log = ...,
        keep: Callable[[Any, Any], None] = ...,
        total: int = ...,
        kinds: Mapping[Any, Hashable] | None = ...,
    ) -> dict[Any, Any]:
        """Computes all units and returns {unit: function(shared, task, report)}, in the order of `tasks`."""
        ...


class Tracker(Protocol):
    """Shows the study in MLflow: pipeline/tracking/tracker.py."""

    @property
    def off(self) -> bool:
        """Whether the user has turned MLflow off."""
        ...

    def live(self, stage: str, units: dict[Any, dict[str, Any]]) -> AbstractContextManager[Log]:
        """Shows each unit as an MLflow run while the stage computes. `units` maps each unit to its tags."""
        ...

    def differences(
        self, records: list[Any], models: list[Any], better: Callable[..., bool]
    ) -> list[Any]:
        """One entry per difference between MLflow and these runs and models. Raises if MLflow is unreachable."""
        ...

    def has_store(self) -> bool:
        """Whether MLflow's store exists."""
        ...

    def project(self, records: list[Any], models: list[Any], better: Callable[..., bool]) -> None:
        """Changes MLflow until it shows exactly these runs and models."""
        ...

    def warn(self, error: BaseException) -> None:
        """Prints one line about an error of MLflow."""
        ...


@dataclass(frozen=True)
class Context:
    """The argument of a stage.

    params: the parameters in params.yaml.
    stage: the name in DVC, for example `train@vanilla-textbook`.
    workers: run the units of the stages that train networks.
    tracker: shows these units in MLflow while they run; `track` compares MLflow with the files.
    study: the Optuna study of `tune`.
    """

    params: Params
    stage: str = ""
    workers: Workers = NOT_GIVEN
    tracker: Tracker = NOT_GIVEN
    study: "Study" = NOT_GIVEN

    @property
    def item(self) -> str:
        """The run, architecture or sequence length of the stage; empty for a stage without items."""
        return self.stage.partition("@")[2]
