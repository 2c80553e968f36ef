"""The environment of a process that computes, and the description of the machine that it runs on."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import psutil
import pytest

from pipeline import __main__ as command_line
from pipeline import machine
from pipeline.params import Mistake
from pipeline.storage import artifacts
from pipeline.workers import pool
from tests.support import tiny_weights

PROGRAM = """
import gc, sys
from pipeline import machine

machine.prepare()
machine.load_tensorflow()
print("tensorflow" in sys.modules, "matplotlib" in sys.modules, "sklearn" in sys.modules, gc.isenabled())

import sklearn.linear_model
print(sklearn.linear_model.__name__)
"""


def test_tensorflow_loads_without_the_extras_of_keras():
    """Scikit-learn can still be imported afterwards."""
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    ).stdout
    assert output.splitlines() == ["True False False True", "sklearn.linear_model"]


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("flags\t: fpu sse4_2 avx avx2 avx512f", "AVX-512"),
        ("flags\t: fpu sse4_2 avx avx2 fma", "AVX2"),
        ("flags\t: fpu sse4_2", "SSE4.2"),
        ("Features\t: fp asimd", "NEON"),
        ("model name\t: of nothing", machine.UNKNOWN),
    ],
)
def test_the_widest_vector_instructions_are_named(flags, level, tmp_path):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{flags}\n")
    assert machine.vectors(tmp_path / "cpuinfo") == level
    assert machine.vectors(tmp_path / "nowhere") == machine.UNKNOWN


@pytest.mark.parametrize(
    ("fields", "model"),
    [
        (
            "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 207\nmodel name\t: any",
            "GenuineIntel 6 207",
        ),
        ("CPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd40", "0x41 8 0xd40"),
        ("hart\t: 0", machine.UNKNOWN),
    ],
)
def test_a_processor_is_identified_by_its_numbers(fields, model, tmp_path):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{fields}\n\nprocessor\t: 1\nmodel\t: 1\n")
    assert machine.model(tmp_path / "cpuinfo") == model
    assert machine.model(tmp_path / "nowhere") == machine.UNKNOWN


def test_only_caches_that_hold_data_are_listed(tmp_path):
    for number, words in enumerate(("1 Data 48K", "1 Instruction 32K", "2 Unified 2048K")):
        (tmp_path / f"index{number}").mkdir()
        for name, word in zip(("level", "type", "size"), words.split(), strict=True):
            (tmp_path / f"index{number}" / name).write_text(f"{word}\n")

    assert machine.caches(tmp_path) == "L1 48K, L2 2048K"
    assert machine.caches(tmp_path / "nowhere") == machine.UNKNOWN


def test_differences_between_machines_have_both_values():
    recorded = {"vectors": "AVX2", "numpy": "2.4.6", "XLA_FLAGS": "--x"}
    current = {"vectors": "AVX-512", "numpy": "2.4.6", "OPENBLAS_CORETYPE": "Haswell"}
    assert machine.differences(recorded, current) == {
        "vectors": ("AVX2", "AVX-512"),
        "XLA_FLAGS": ("--x", "not set"),
        "OPENBLAS_CORETYPE": ("not set", "Haswell"),
    }
    assert machine.differences(current, current) == {}


def test_the_description_of_this_machine_repeats_and_has_its_blas():
    description = machine.described()
    assert description == machine.described()
    assert "openblas" in description["BLAS"] or "BLAS" in description
    assert description["numpy"][0].isdigit()


def test_the_models_of_gpus_are_described(tmp_path):
    assert machine.gpus(tmp_path) == ""
    for number, name in enumerate(["NVIDIA T4", "NVIDIA A100", "NVIDIA T4"]):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "information").write_text(f"Model: \t\t {name}\nIRQ:   16\n")
    assert machine.gpus(tmp_path) == "NVIDIA A100, NVIDIA T4"


FIXED = [
    ("KERAS_BACKEND", "jax"),
    ("KERAS_BACKEND", ""),
    ("KERAS_HOME", "{home}"),
    ("KERAS_NNX_ENABLED", "1"),
    ("TF_USE_LEGACY_KERAS", "1"),
    ("TF_ENABLE_ONEDNN_OPTS", "1"),
    ("OMP_NUM_THREADS", "8"),
    ("OPENBLAS_NUM_THREADS", "8"),
    ("MKL_NUM_THREADS", "8"),
    ("VECLIB_MAXIMUM_THREADS", "8"),
    ("TF_NUM_INTRAOP_THREADS", "8"),
    ("TF_NUM_INTEROP_THREADS", "8"),
]
REFUSED = [
    ("XLA_FLAGS", "--xla_cpu_experimental_ynn_fusion_type="),
    ("KERAS_MAX_EPOCHS", "1"),
    ("KERAS_MAX_STEPS_PER_EPOCH", "1"),
    ("TF_XLA_FLAGS", "--tf_xla_auto_jit=2"),
    ("TF_JITRT_FLAGS", "--x"),
    ("TF_FUNCTION_JIT_COMPILE_DEFAULT", "true"),
    ("TF_JIT_COMPILE_REWRITE", "1"),
    ("TF_DISABLE_JIT_KERNELS", "1"),
    ("TF_DETERMINISTIC_OPS", "1"),
    ("TF_CUDNN_DETERMINISTIC", "1"),
    ("TF_DISABLE_SCATTER_OP_DETERMINISM", "1"),
    ("TF_USE_DETERMINISTIC_SEGMENT_REDUCTIONS", "1"),
    ("TF_ENABLE_ZENDNN_OPTS", "1"),
    ("TF_ENABLE_ONEDNN_SPMM", "1"),
    ("TF_ENABLE_CONTROL_FLOW_V2", "0"),
    ("TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_LEVEL", "UNSAFE_FORCE_ALL"),
    ("TF_SET_ONEDNN_FPMATH_MODE", "BF16"),
    ("ONEDNN_DEFAULT_FPMATH_MODE", "BF16"),
    ("DNNL_DEFAULT_FPMATH_MODE", "BF16"),
    ("TF_ONEDNN_ASSUME_FROZEN_WEIGHTS", "1"),
    ("TF_MKL_OPTIMIZE_PRIMITIVE_MEMUSE", "0"),
    ("TF_FP16_MATMUL_USE_FP32_COMPUTE", "0"),
    ("TF_OPTIONALS_IN_GRADIENTS", "0"),
    ("TF_OVERRIDE_GLOBAL_THREADPOOL", "1"),
    ("TF_PLUGGABLE_DEVICE_LIBRARY_PATH", "x.so"),
    ("PANDAS_FUTURE", "legacy"),
    ("PANDAS_FUTURE_INFER_STRING", "0"),
    ("PANDAS_COPY_ON_WRITE", "warn"),
    ("SCIPY_ARRAY_API", "1"),
    ("SKLEARN_ASSUME_FINITE", "1"),
    ("SKLEARN_WORKING_MEMORY", "1"),
    ("SKLEARN_PAIRWISE_DIST_CHUNK_SIZE", "1"),
]
RECORDED = [
    ("CUDA_VISIBLE_DEVICES", "0"),
    ("CUDA_VISIBLE_DEVICES", ""),
    ("NVIDIA_TF32_OVERRIDE", "1"),
    ("ONEDNN_MAX_CPU_ISA", "SSE41"),
    ("DNNL_MAX_CPU_ISA", "SSE41"),
    ("ONEDNN_CPU_ISA_HINTS", "PREFER_YMM"),
    ("OPENBLAS_CORETYPE", "Haswell"),
    ("OPENBLAS_L2_SIZE", "1"),
    ("MKL_CBWR", "COMPATIBLE"),
    ("NPY_DISABLE_CPU_FEATURES", "AVX512F"),
    ("ARROW_USER_SIMD_LEVEL", "NONE"),
    ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2"),
    ("LD_PRELOAD", "libm.so"),
]
EMPTY = sorted({name for name, _ in [*REFUSED, *RECORDED]} - {*machine.EMPTY_COUNTS})
HARMLESS = [
    ("OMP_DYNAMIC", "true"),
    ("OPENBLAS_VERBOSE", "2"),
    ("TF_CPP_MIN_LOG_LEVEL", "0"),
    (
        "TF_CONFIG",
        '{"cluster": {"worker": ["localhost:1"]}, "task": {"type": "worker", "index": 0}}',
    ),
    ("TF_FORCE_GPU_ALLOW_GROWTH", "true"),
    ("TF_DATA_EXPERIMENT_OPT_IN", "all"),
    ("TF_CLI_CONFIG_FILE", ".terraformrc"),  # of another program
    ("TF_VAR_password", "secret"),
    ("TF2_BEHAVIOR", "0"),
    ("PYTHONHASHSEED", "7"),
    ("PYTHONOPTIMIZE", "2"),
    ("PYTHONSTARTUP", "nowhere.py"),
    ("PYTHONUTF8", "0"),
    ("LC_ALL", "C"),
    ("TZ", "Asia/Tokyo"),
    ("MALLOC_ARENA_MAX", "1"),
    ("ARROW_DEFAULT_MEMORY_POOL", "system"),
]
WEIGHTS = """
import os
from pipeline import machine

machine.prepare()
machine.check(os.environ)
machine.load_tensorflow()

from tests.support import tiny_weights
print(tiny_weights.digest())
"""


def weights_in(environment):
    """(exit code, the digest of tiny weights or the last line of the error) of a process in this environment."""
    finished = subprocess.run(
        [sys.executable, "-c", WEIGHTS],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (finished.stderr if finished.returncode else finished.stdout).splitlines()
    return finished.returncode, lines[-1]


@pytest.fixture(scope="module")
def weights():
    """The result of a process in the environment of the tests; computed in this process, to save its start."""
    return 0, tiny_weights.digest()


@pytest.mark.parametrize(("name", "value"), FIXED)
def test_a_variable_that_we_rely_on_is_set(name, value):
    assert machine.prepared({name: value})[name] == machine.FIXED[name] != value
    assert machine.refused({name: value}) == []


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_variable_that_could_change_results_is_refused(name, value):
    (problem,) = machine.refused(machine.prepared({name: value}))
    assert problem.startswith(f"{name}: {value!r}: it ")
    assert "unset it" in problem


@pytest.mark.parametrize(("name", "value"), RECORDED)
def test_a_variable_that_selects_instructions_is_recorded(name, value, monkeypatch):
    assert machine.refused({name: value}) == []
    assert machine.switches({name: value, "TZ": "UTC"}) == {name: value}
    monkeypatch.setenv(name, value)
    assert machine.described()[name] == value


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_variable_is_removed(name, monkeypatch):
    assert machine.refused({name: ""}) == []
    assert machine.switches({name: ""}) == {}
    monkeypatch.setattr(os, "environ", {name: "", "TZ": ""})
    machine.prepare()
    assert name not in os.environ
    assert os.environ["TZ"] == ""


@pytest.mark.parametrize(("name", "value"), HARMLESS)
def test_any_other_variable_keeps_its_value(name, value):
    assert machine.refused({name: value}) == []
    assert machine.prepared({name: value})[name] == value


def test_all_variables_that_are_set_or_harmless_leave_weights_as_they_are(tmp_path, weights):
    """The folder KERAS_HOME, and the home of the user, hold a keras.json with another type of float."""
    for folder in (tmp_path, tmp_path / ".keras"):
        folder.mkdir(exist_ok=True)
        (folder / "keras.json").write_text(
            '{"floatx": "float16", "epsilon": 0.1, "backend": "jax"}'
        )
    environment = (
        dict.fromkeys(EMPTY, "")
        | dict(HARMLESS)
        | dict(FIXED)
        | {"HOME": str(tmp_path), "KERAS_HOME": str(tmp_path)}
    )
    assert weights_in(environment) == weights


@pytest.mark.exhaustive
@pytest.mark.parametrize(("name", "value"), [*FIXED, *REFUSED, *HARMLESS])
def test_each_variable_leaves_weights_alone_or_is_refused(name, value, weights, tmp_path):
    (tmp_path / "keras.json").write_text('{"floatx": "float64"}')
    value = value.replace("{home}", str(tmp_path))
    code, line = weights_in({name: value})
    if (name, value) in REFUSED:
        assert code == 1
        assert f"Mistake: {name}: {value!r}: " in line
    else:
        assert (code, line) == weights


def test_flags_for_this_project_are_used_and_recorded():
    environment = machine.prepared({"RNN_XLA_FLAGS": "--a", "XLA_FLAGS": "--b"})
    assert environment["XLA_FLAGS"] == "--a"
    assert machine.refused(environment) == []
    assert machine.switches(environment)["XLA_FLAGS"] == "--a"
    assert machine.refused(machine.prepared({"RNN_XLA_FLAGS": "", "XLA_FLAGS": ""})) == []


@pytest.mark.parametrize("command", [["prepare"], ["tune", "x"], ["predict", "x"], ["read", "x"]])
def test_a_command_that_computes_refuses_the_variable(command, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_MAX_EPOCHS", "1")
    assert command_line.main(command) == 2
    assert capsys.readouterr().err == (
        "error: KERAS_MAX_EPOCHS: '1': it cuts training short; unset it, and set `epochs` in params.yaml\n"
    )


@pytest.mark.parametrize(
    ("recorded", "note"),
    [
        ({}, "note: OPENBLAS_CORETYPE is 'Zen', and 'not set' in reports/machine.json: this stage"),
        ({"OPENBLAS_CORETYPE": "Zen", "numpy": "1.0"}, None),
        (None, None),
    ],
)
def test_a_stage_says_that_it_rounds_unlike_the_recorded_machine(
    recorded, note, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {"OPENBLAS_CORETYPE": "Zen"})
    if recorded is not None:
        artifacts.write_json(machine.MACHINE, recorded)
    command_line._note_switches()
    printed = capsys.readouterr().err
    assert printed.partition(" stage")[0] == (note or "").partition(" stage")[0]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[]\n", "not a mapping of texts"),
        ('{"OPENBLAS_CORETYPE": 1}\n', "OPENBLAS_CORETYPE: not a text"),
        ('{"BLAS": "op', "damaged"),
        ("<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> theirs\n", "line 1: a merge conflict"),
    ],
)
def test_a_damaged_record_of_the_machine_stops_no_stage(
    content, problem, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    machine.MACHINE.parent.mkdir()
    machine.MACHINE.write_text(content)
    command_line._note_switches()
    printed = capsys.readouterr().err
    assert printed.startswith(f"note: {machine.MACHINE}: {problem}")
    assert printed.count("\n") == 1


def test_a_worker_refuses_the_variable(monkeypatch):
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_auto_jit=2")
    with pytest.raises(Mistake, match=r"^TF_XLA_FLAGS: '--tf_xla_auto_jit=2': it can"):
        pool.Process(None)


@pytest.mark.parametrize("package", ["numpy", "scikit-learn"])
def test_a_module_that_hides_a_package_is_a_problem(package, tmp_path, monkeypatch):
    module = machine.MODULES.get(package, package)
    (tmp_path / f"{module}.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, module, raising=False)
    (problem,) = machine.shadowed()
    assert problem.startswith(f"{module}: Python imports {tmp_path}/{module}.py, not {package} ")


def test_installed_packages_are_not_a_problem():
    assert machine.shadowed() == []


@pytest.mark.parametrize(
    ("name", "value", "ours"), [("floatx", "float16", "'float32'"), ("epsilon", 0.1, "1e-07")]
)
def test_another_configuration_of_keras_is_a_mistake(name, value, ours):
    before = getattr(keras.config, name)()
    getattr(keras.config, f"set_{name}")(value)
    try:
        with pytest.raises(
            Mistake, match=rf"^keras.config.{name}: {value!r}: must be {ours}; start"
        ):
            machine.load_tensorflow()
    finally:
        getattr(keras.config, f"set_{name}")(before)


@pytest.mark.parametrize("shell", ["sh", "busybox", "tcsh"])
def test_dvc_is_found_behind_any_shell(tmp_path, shell):
    path = tmp_path / shell
    shutil.copy("/bin/sh", path)
    program = "from pipeline import machine; print(machine.parent().pid)"
    python = shlex.join([sys.executable, "-c", program])
    output = subprocess.run(
        [path, "-c", f"{python}; exit $?"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert output.stdout == f"{os.getpid()}\n"


def test_a_stage_whose_parents_are_all_shells_runs_without_dvc(monkeypatch):
    shell = SimpleNamespace(name=lambda: "bash")
    monkeypatch.setattr(psutil.Process, "parents", lambda _: [shell, shell])
    monkeypatch.setenv("DVC_STAGE", "prepare")
    assert machine.parent() is None
    assert machine.is_forced() is False
    machine.end_with_dvc()


def test_a_server_keeps_its_threads_and_its_flags(monkeypatch):
    environment = {"OMP_NUM_THREADS": "8", "XLA_FLAGS": "--x", "KERAS_BACKEND": "jax"}
    monkeypatch.setattr(os, "environ", environment)
    machine.prepare_server()
    assert environment["OMP_NUM_THREADS"] == "8"
    assert environment["XLA_FLAGS"] == "--x"
    assert environment["KERAS_BACKEND"] == "tensorflow"


@pytest.mark.parametrize(
    ("arguments", "is_forced"),
    [
        (["dvc", "repro"], False),
        (["dvc", "repro", "-s", "prepare"], False),
        (["dvc", "repro", "train@feedforward-textbook"], False),
        (["dvc", "repro", "--force-downstream"], False),
        (["dvc", "exp", "run", "-n", "fast"], False),
        (["dvc", "exp", "run", "-nf"], False),
        (["dvc", "exp", "run", "-Sdata.path=f"], False),
        (["ipykernel_launcher", "-f", "kernel-1.json"], False),
        (["study.py", "--full", "repro"], False),
        (["dvc", "repro", "-f"], True),
        (["-m", "dvc", "repro", "-f"], True),
        (["/venv/bin/dvc", "-v", "repro", "-f"], True),
        (["dvc", "repro", "-sf", "prepare"], True),
        (["dvc", "repro", "-fk"], True),
        (["dvc", "repro", "-kf"], True),
        (["dvc", "exp", "run", "-fn", "again"], True),
        (["dvc", "exp", "run", "-fStrain.seeds=3"], True),
        (["dvc", "exp", "run", "--force"], True),
    ],
)
def test_a_stage_sees_whether_dvc_was_asked_to_force_it(arguments, is_forced):
    stage = "from pipeline import machine; print(machine.is_forced())"
    dvc = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {stage!r}], check=True)"
    command = [sys.executable, "-c", dvc, *arguments]
    environment = {**os.environ, "DVC_STAGE": "prepare"}
    output = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    assert output.decode().strip() == str(is_forced)
