"""dvc.yaml tells the truth, and imports point down."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline import machine, params
from pipeline.storage import lock_comparison, stages

ROOT = Path(__file__).parents[1]
STAGES = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "pipeline").rglob("*.py")
}


NOT_LISTED_WHOLE = {Path(folder) for folder in ("pipeline", "pipeline/science", "pipeline/stages", "pipeline/storage")}
METHODS = {"train.seeds_of": {"train.seeds", "train.runs.*"}}  # of the parameters: the keys that each reads
IMPORT_NAMES = {"scikit-learn": "sklearn"}  # of packages that are imported under another name
COMPUTES_WITH = {  # packages that decide numbers of another one, although a stage need not import them
    "keras": {"tensorflow", "numpy"},
    "scikit-learn": {"scipy", "numpy"},
    "scipy": {"numpy"},
    "pandas": {"numpy", "pyarrow"},
    "optuna": {"numpy"},
}


def definition(stage: str) -> dict:
    return STAGES[stage].get("do", STAGES[stage])


def imports(path: Path) -> set[str]:
    """First-party modules that this file imports anywhere in it, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name in MODULES}


def closure(path: Path) -> set[Path]:
    """The file and all first-party files with code that importing it brings."""
    waiting, found = [path], set()
    while waiting:
        here = waiting.pop()
        if here not in found:
            found.add(here)
            waiting += [MODULES[name] for name in imports(here)]
    return {path for path in found if len(ast.parse(path.read_text(encoding="utf-8")).body) > 1}  # not only a docstring


def keys_read(stage: str) -> set[str]:
    """The longest attribute chains that start at a variable `params` in the stage's module, as keys of params.yaml."""
    tree = ast.parse((ROOT / f"pipeline/stages/{stage}.py").read_text(encoding="utf-8"))
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Subscript)}
    chains = (key(node) for node in ast.walk(tree) if id(node) not in inner)
    names = {chain.removesuffix(".model_dump") for chain in chains if chain}
    found = {name for chain in names for name in METHODS.get(chain, {chain})}
    return {chain for chain in found if not any(chain.startswith(f"{whole}.") for whole in found)}


def key(node) -> str:
    if isinstance(node, ast.Attribute):
        outer = key(node.value)
        return f"{outer}.{node.attr}".lstrip(".") if outer or is_params(node.value) else ""
    if isinstance(node, ast.Subscript):
        outer = key(node.value)
        part = node.slice.value if isinstance(node.slice, ast.Constant) else "*"
        return f"{outer}.{part}" if outer else ""
    return ""


def is_params(node) -> bool:
    return isinstance(node, ast.Name) and node.id == "params"


def keys_of_params_yaml(definition: dict) -> list[str]:
    """The params of a stage that are keys of params.yaml; those of another file are a dictionary."""
    return [item for item in definition.get("params", []) if isinstance(item, str)]


def keys_declared(stage: str) -> set[str]:
    """Keys of params.yaml in dvc.yaml; what a template leaves open, and a single run, is `*`."""
    opened = {re.sub(r"\$\{[^}]*\}", "*", item) for item in keys_of_params_yaml(definition(stage))}
    return {re.sub(r"^train\.runs\.[a-z]+-textbook$", "train.runs.*", item) for item in opened}


COMPUTING = [stage.name for stage in stages.STAGES if stage != stages.TRACK]


def test_the_table_of_stages_lists_the_stages_of_dvc_yaml_in_order():
    assert list(stages.BY_NAME) == list(STAGES)


@pytest.mark.parametrize("stage", stages.STAGES, ids=lambda stage: stage.name)
def test_dvc_yaml_takes_items_from_the_key_in_the_table(stage):
    definition_of_all = STAGES[stage.name]
    if not stage.item:
        assert not definition_of_all.keys() & {"matrix", "foreach"}
    else:
        items = definition_of_all.get("matrix", {}).get(stage.item) or definition_of_all.get("foreach")
        assert items == f"${{{stage.listed_in}}}"


def test_dvc_names_a_stage_as_the_table_does():
    names = stages.dvc_names(params.read())
    assert {stages.stage_of(name) for name in names} == set(stages.STAGES)
    assert {"prepare", "tune@vanilla", "train@vanilla-textbook", "gradients@100"} <= set(names)


def code_deps(stage: str) -> list[str]:
    """The code that a stage depends on, as dvc.yaml should list it.

    A folder of a topic stands for its modules where the stage imports at least two of them.
    """
    paths = [path.relative_to(ROOT) for path in closure(ROOT / f"pipeline/stages/{stage}.py")]
    in_folder = Counter(path.parent for path in paths if path.parent not in NOT_LISTED_WHOLE)
    whole = {folder for folder, modules in in_folder.items() if modules > 1}
    return sorted({str(path.parent if path.parent in whole else path) for path in paths})


@pytest.mark.parametrize("stage", COMPUTING)
def test_deps_cover_the_modules_that_a_stage_imports(stage):
    listed = [Path(dep) for dep in definition(stage)["deps"] if dep.startswith("pipeline/")]
    imported = [path.relative_to(ROOT) for path in closure(ROOT / f"pipeline/stages/{stage}.py")]
    block = "\n".join(f"      - {dep}" for dep in code_deps(stage))
    advice = f"the code deps of `{stage}` in dvc.yaml should be:\n{block}"

    uncovered = [path for path in imported if not any(path.is_relative_to(dep) for dep in listed)]
    assert not uncovered, advice

    unused = [dep for dep in listed if not any(path.is_relative_to(dep) for path in imported)]
    assert stage == "report" or not unused, advice


@pytest.mark.parametrize("stage", lock_comparison.RUNS)
def test_the_report_depends_on_all_that_the_keys_of_runs_it_names_are_made_of(stage):
    whole = definition("report")
    for dep in definition(stage)["deps"]:
        assert any(lock_comparison.overlap(dep, known) for known in whole["deps"]), dep
    assert {"params.yaml": None} in whole["params"]
    assert {"environment.json": None} in whole["params"]


def packages_imported(stage: str) -> list[str]:
    """The packages of environment.json that a stage's import closure imports, and those that these compute with."""
    modules = {str(path.relative_to(ROOT / "pipeline")) for path in closure(ROOT / f"pipeline/stages/{stage}.py")}
    modules -= {"stages/context.py"}  # it imports a type of Optuna for annotations only
    imported = {name for name in machine.PACKAGES if importers_of(IMPORT_NAMES.get(name, name)) & modules}
    computing = imported.union(*(COMPUTES_WITH.get(name, set()) for name in imported))
    return [name for name in machine.PACKAGES if name in computing]


@pytest.mark.parametrize("stage", [stage for stage in COMPUTING if stage != "report"])
def test_stages_list_the_packages_that_can_change_their_result(stage):
    block = "".join(f"\n          - {name}" for name in packages_imported(stage))
    advice = f"the packages of `{stage}` in dvc.yaml should be:\n      - environment.json:{block}"
    assert {"environment.json": packages_imported(stage)} in definition(stage)["params"], advice


@pytest.mark.parametrize("stage", COMPUTING)
def test_params_name_exactly_the_keys_that_a_stage_reads(stage):
    assert keys_declared(stage) == keys_read(stage)


def test_gradients_depends_on_the_textbook_run_of_every_architecture():
    runs = {f"{architecture}-textbook" for architecture in params.ARCHITECTURES}
    stage = definition("gradients")
    assert {f"artifacts/models/{run}" for run in runs} <= set(stage["deps"])
    named = {item.removeprefix("train.runs.") for item in keys_of_params_yaml(stage) if item.startswith("train.runs.")}
    assert named == runs


def test_every_key_of_params_yaml_is_read():
    """By a stage (sections that are handed on whole count whole), or by dvc.yaml itself as a list of stages."""
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    read = {each for stage in COMPUTING for each in keys_read(stage)} | set(re.findall(r"\$\{([a-z_.]+)\}", text))
    science = "\n".join(path.read_text(encoding="utf-8") for path in MODULES.values() if path.name != "params.py")
    for leaf in leaves(params.read().model_dump(by_alias=True)):
        assert any(leaf == each or leaf.startswith(f"{each}.") or covers(each, leaf) for each in read), leaf
        assert re.search(rf"\b{leaf.rpartition('.')[2]}\b", science) or leaf.startswith("train.runs."), leaf


def covers(pattern: str, leaf: str) -> bool:
    return re.match(re.escape(pattern).replace(r"\*", r"[^.]+") + r"(\.|$)", leaf) is not None


def leaves(value, path=""):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}".lstrip("."))
    else:
        yield path


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


FLOORS = (
    "__main__",
    "commands",
    "verify",
    "stages",
    "tracking",
    "workers",
    "reporting",
    "storage",
    "science",
    "params",
)


@pytest.mark.parametrize("module", sorted(name for name in MODULES if "." in name))
def test_imports_point_down(module):
    """A folder uses the floors below its own. Science uses params alone; everything else may use machine.py."""
    own = room(module)
    below = set(FLOORS[FLOORS.index(own) + 1 :]) if own in FLOORS else set()
    allowed = {"params"} & below if own == "science" else below | {"machine"}

    assert {room(name) for name in imports(MODULES[module])} - {own, ""} <= allowed


@cache
def importers_of(package: str) -> frozenset[str]:
    return frozenset(
        str(path.relative_to(ROOT / "pipeline"))
        for path in MODULES.values()
        if re.search(rf"^\s*(import|from) {package}\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    )


def test_mlflow_and_keras_are_imported_in_their_rooms_alone():
    served = "tracking/served_model.py"  # MLflow runs it by itself; nothing here imports it
    assert {str(Path(path).parent) for path in importers_of("mlflow") - {served}} == {"tracking"}
    assert "pipeline.tracking.served_model" not in {name for path in MODULES.values() for name in imports(path)}
    assert importers_of("distributed") == {"workers/dask_cluster.py"}
    keras = importers_of("keras") | importers_of("tensorflow")
    assert all(path.startswith("science/") or path == "machine.py" for path in keras)


def test_reporting_brings_neither_keras_nor_tensorflow_nor_mlflow():
    importers = importers_of("keras") | importers_of("tensorflow") | importers_of("mlflow")
    for path in (ROOT / "pipeline/reporting").rglob("*.py"):
        brought = {str(module.relative_to(ROOT / "pipeline")) for module in closure(path)}
        assert not brought & importers, path


def test_stages_get_tracker_and_workers_as_arguments():
    for stage in COMPUTING:
        brought = {str(path.relative_to(ROOT / "pipeline")) for path in closure(ROOT / f"pipeline/stages/{stage}.py")}
        handed = ("tracking/", "workers/", "storage/optuna_storage.py")
        files_only = ("tracking/run_records/", "tracking/registered_models.py")  # they read files, not MLflow
        assert not [path for path in brought if path.startswith(handed) and not path.startswith(files_only)]
