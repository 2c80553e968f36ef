"""params.yaml, read and checked."""

from pathlib import Path

from ruamel.yaml import YAML

from pipeline.params.messages import Mistake, allowed, explained
from pipeline.params.schema import (
    ARCHITECTURES,
    DEFAULT_INITIALISER,
    PARAMS,
    SPECIAL_TOKENS,
    SPLITS,
    Claims,
    Data,
    Dimension,
    Params,
    Settings,
    Space,
    Strict,
    Train,
    Tune,
)

__all__ = [
    "ARCHITECTURES",
    "DEFAULT_INITIALISER",
    "PARAMS",
    "SPECIAL_TOKENS",
    "SPLITS",
    "Claims",
    "Data",
    "Dimension",
    "Mistake",
    "Params",
    "Settings",
    "Space",
    "Strict",
    "Train",
    "Tune",
    "document",
    "explained",
    "read",
    "read_settings",
]


def read(path: Path = PARAMS) -> Params:
    """All parameters; raises Mistake with one line for each problem."""
    return explained(Params, document(path), str(path))


def read_settings(path: Path, name: str) -> Settings:
    """The settings of this name, from params.yaml or from a file of `tune` (same form: `settings: {name: ...}`)."""
    settings = document(path).get("settings")
    if not isinstance(settings, dict):
        raise Mistake(f"{path}: settings: must be a mapping of keys, not {type(settings).__name__}")
    if name not in settings:
        raise Mistake(f"{path}: settings.{name}: missing; {allowed(name, settings)}")
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
