"""dvc.yaml lists what each stage imports and reads, and imports point down."""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline import machine, params
from pipeline.storage import lock_comparison, stage_table

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pipeline"
DVC_YAML = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
STAGES = YAML(typ="safe").load(DVC_YAML)["stages"]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}
COMPUTING = [stage.name for stage in stage_table.STAGES if stage != stage_table.TRACK]
REPORT = stage_table.REPORT.name

NOT_LISTED_WHOLE = {
    Path(folder)
    for folder in ("pipeline", "pipeline/science", "pipeline/stages", "pipeline/storage")
}
# of the parameters: the keys that each reads
METHODS = {"train.seeds_of": {"train.seeds", "train.runs.*"}}
IMPORT_NAMES = {"scikit-learn": "sklearn"}  # of packages that are imported under another name
COMPUTES_WITH = {  # packages that decide numbers of another one, although a stage need not import them
    "keras": {"tensorflow", "numpy"},
    "scikit-learn": {"scipy", "numpy"},
    "scipy": {"numpy"},
    "pandas": {"numpy", "pyarrow"},
    "optuna": {"numpy"},
}


def definition(stage: str) -> dict[str, Any]:
    return STAGES[stage].get("do", STAGES[stage])


def module_of(stage: str) -> Path:
    return PACKAGE / f"stages/{stage}.py"


@cache
def syntax_tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def nodes_that_run(path: Path) -> Iterator[ast.AST]:
    """Every node outside `if TYPE_CHECKING:`. A type cannot change a result, so dvc.yaml need not list its module."""
    waiting: list[ast.AST] = [syntax_tree(path)]
    while waiting:
        node = waiting.pop()
        yield node
        if not is_for_types(node):
            waiting += ast.iter_child_nodes(node)


def is_for_types(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def imported_names(nodes: Iterable[ast.AST]) -> set[str]:
    """The modules that these nodes import, also inside functions, and every `module.name` of `from module import`."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@cache
def imports(path: Path) -> set[str]:
    """All names that a file imports, types included."""
    return imported_names(ast.walk(syntax_tree(path)))


@cache
def imports_that_run(path: Path) -> set[str]:
    return imported_names(nodes_that_run(path))


@cache
def closure(path: Path) -> set[Path]:
    """The file and all first-party files with code that importing it brings."""
    waiting = [path]
    brought = set()
    while waiting:
        module = waiting.pop()
        if module not in brought:
            brought.add(module)
            waiting += [MODULES[name] for name in imports_that_run(module) if name in MODULES]
    # not only a docstring
    return {module for module in brought if len(syntax_tree(module).body) > 1}


def closure_of_stage(stage: str) -> list[Path]:
    return [path.relative_to(ROOT) for path in closure(module_of(stage))]


def keys_read(stage: str) -> set[str]:
    """The longest attribute chains that start at a variable `params` in the stage's module, as keys of params.yaml."""
    nodes = list(ast.walk(syntax_tree(module_of(stage))))
    parts_of_chains = [
        node.value for node in nodes if isinstance(node, ast.Attribute | ast.Subscript)
    ]

    keys = set()
    for node in nodes:
        if node not in parts_of_chains:
            chain = key_of(node).removesuffix(".model_dump")
            keys |= METHODS.get(chain, {chain})
    keys.discard("")
    return {key for key in keys if not any(key.startswith(f"{section}.") for section in keys)}


def key_of(node: ast.AST) -> str:
    """The key of params.yaml that `params.section.key` or `params.section["key"]` reads; empty for other nodes."""
    match node:
        case ast.Attribute(value=ast.Name(id="params"), attr=section):
            return section
        case ast.Attribute(value=section, attr=name) if key := key_of(section):
            return f"{key}.{name}"
        case ast.Subscript(value=section, slice=index) if key := key_of(section):
            return f"{key}.{index.value if isinstance(index, ast.Constant) else '*'}"
        case _:
            return ""


def keys_of_params_yaml(stage: str) -> list[str]:
    """The params of a stage that are keys of params.yaml; those of another file are a dictionary."""
    return [entry for entry in definition(stage)["params"] if isinstance(entry, str)]


def keys_declared(stage: str) -> set[str]:
    """The same keys, with `*` for a placeholder and for a single run."""
    keys = {re.sub(r"\$\{[^}]*\}", "*", key) for key in keys_of_params_yaml(stage)}
    return {re.sub(r"^train\.runs\.[a-z]+-textbook$", "train.runs.*", key) for key in keys}


def test_the_table_of_stages_lists_the_stages_of_dvc_yaml_in_order():
    assert list(stage_table.BY_NAME) == list(STAGES)


@pytest.mark.parametrize("stage", stage_table.STAGES, ids=lambda stage: stage.name)
def test_dvc_yaml_takes_items_from_the_key_in_the_table(stage):
    entry = STAGES[stage.name]
    if not stage.item:
        assert not entry.keys() & {"matrix", "foreach"}
    else:
        items = entry.get("matrix", {}).get(stage.item) or entry.get("foreach")
        assert items == f"${{{stage.listed_in}}}"


def test_dvc_names_a_stage_as_the_table_does():
    names = stage_table.dvc_names(params.read())
    assert {stage_table.stage_of(name) for name in names} == set(stage_table.STAGES)
    assert {"prepare", "tune@vanilla", "train@vanilla-textbook", "gradients@100"} <= set(names)


def code_deps(stage: str) -> list[str]:
    """The code that a stage depends on, as dvc.yaml should list it.

    A folder of a topic stands for its modules where the stage imports at least two of them.
    """
    paths = closure_of_stage(stage)
    in_folder = Counter(path.parent for path in paths if path.parent not in NOT_LISTED_WHOLE)
    whole = {folder for folder, modules in in_folder.items() if modules > 1}
    return sorted({str(path.parent if path.parent in whole else path) for path in paths})


@pytest.mark.parametrize("stage", COMPUTING)
def test_deps_cover_the_modules_that_a_stage_imports(stage):
    listed = [Path(dep) for dep in definition(stage)["deps"] if dep.startswith("pipeline/")]
    imported = closure_of_stage(stage)
    block = "\n".join(f"      - {dep}" for dep in code_deps(stage))
    advice = f"the code deps of `{stage}` in dvc.yaml should be:\n{block}"

    uncovered = [path for path in imported if not any(path.is_relative_to(dep) for dep in listed)]
    assert not uncovered, advice

    unused = [dep for dep in listed if not any(path.is_relative_to(dep) for path in imported)]
    assert stage == REPORT or not unused, advice


@pytest.mark.parametrize("stage", lock_comparison.RUNS)
def test_the_report_depends_on_all_inputs_of_the_keys_of_runs(stage):
    """The report names MLflow's runs by their keys, which are made of the inputs of these stages."""
    report = definition(REPORT)
    for dep in definition(stage)["deps"]:
        assert any(lock_comparison.overlap(dep, listed) for listed in report["deps"]), dep
    assert {"params.yaml": None} in report["params"]
    assert {"environment.json": None} in report["params"]


def packages_imported(stage: str) -> list[str]:
    """The packages of environment.json that a stage's import closure imports, and those that these compute with."""
    top_names = set()
    for path in closure(module_of(stage)):
        top_names |= {name.partition(".")[0] for name in imports_that_run(path)}

    imported = {name for name in machine.PACKAGES if IMPORT_NAMES.get(name, name) in top_names}
    computing = imported.union(*(COMPUTES_WITH.get(name, set()) for name in imported))
    return [name for name in machine.PACKAGES if name in computing]


@pytest.mark.parametrize("stage", [stage for stage in COMPUTING if stage != REPORT])
def test_stages_list_the_packages_that_can_change_their_result(stage):
    block = "".join(f"\n          - {name}" for name in packages_imported(stage))
    advice = f"the packages of `{stage}` in dvc.yaml should be:\n      - environment.json:{block}"
    assert {"environment.json": packages_imported(stage)} in definition(stage)["params"], advice


@pytest.mark.parametrize("stage", COMPUTING)
def test_params_name_exactly_the_keys_that_a_stage_reads(stage):
    assert keys_declared(stage) == keys_read(stage)


def test_gradients_depends_on_the_textbook_run_of_every_architecture():
    runs = {f"{architecture}-textbook" for architecture in params.ARCHITECTURES}
    stage = stage_table.GRADIENTS.name
    assert {f"artifacts/models/{run}" for run in runs} <= set(definition(stage)["deps"])

    keys = [key for key in keys_of_params_yaml(stage) if key.startswith("train.runs.")]
    assert {key.removeprefix("train.runs.") for key in keys} == runs


def test_every_key_of_params_yaml_is_read():
    """By a stage (sections that are handed on whole count whole), or by dvc.yaml itself as a list of stages."""
    keys = set(re.findall(r"\$\{([a-z_.]+)\}", DVC_YAML)).union(*map(keys_read, COMPUTING))
    code = "\n".join(
        path.read_text(encoding="utf-8") for name, path in MODULES.items() if room(name) != "params"
    )

    for leaf in leaves(params.read().model_dump(by_alias=True)):
        assert any(covers(key, leaf) for key in keys), leaf
        is_named_by_users = leaf.startswith(("train.runs.", "claims.distances."))
        assert is_named_by_users or re.search(rf"\b{leaf.rpartition('.')[2]}\b", code), leaf


def covers(pattern: str, leaf: str) -> bool:
    return re.match(re.escape(pattern).replace(r"\*", r"[^.]+") + r"(\.|$)", leaf) is not None


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """The dotted path of every value in nested dictionaries that is not a dictionary itself."""
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
    "machine",
    "params",
    "merge_conflicts",
)


@pytest.mark.parametrize("module", sorted(name for name in MODULES if "." in name))
def test_imports_point_down(module):
    """A folder uses the floors below its own. Science uses params alone; everything else may use machine.py."""
    own = room(module)
    below = set(FLOORS[FLOORS.index(own) + 1 :]) if own in FLOORS else set()
    allowed = {"params"} & below if own == "science" else below | {"machine"}

    imported = [name for name in imports(MODULES[module]) if name in MODULES]
    assert {room(name) for name in imported} - {own, ""} <= allowed


def importers_of(package: str) -> set[str]:
    """The modules that import a package or only a type of it, as paths in pipeline/."""
    importers = set()
    for path in MODULES.values():
        if package in {name.partition(".")[0] for name in imports(path)}:
            importers.add(str(path.relative_to(PACKAGE)))
    return importers


def test_mlflow_and_keras_are_imported_in_their_rooms_alone():
    served = "tracking/served_model.py"  # MLflow runs it by itself; nothing here imports it
    assert {str(Path(path).parent) for path in importers_of("mlflow") - {served}} == {"tracking"}
    assert not any("pipeline.tracking.served_model" in imports(path) for path in MODULES.values())
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
        brought = {
            str(path.relative_to(ROOT / "pipeline"))
            for path in closure(ROOT / f"pipeline/stages/{stage}.py")
        }
        handed = ("tracking/", "workers/", "storage/optuna_storage.py")
        # they read files, not MLflow
        files_only = (
            "tracking/run_records/",
            "tracking/best_models.py",
        )
        assert not [
            path for path in brought if path.startswith(handed) and not path.startswith(files_only)
        ]
