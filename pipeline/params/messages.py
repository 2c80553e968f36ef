"""Every mistake in params.yaml explained: the key, the value that was found and what is allowed."""

import difflib
import re
import reprlib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

NAME, LINE = r"^[a-z][a-z0-9_]*$", r"^[^\x00-\x1f\x7f]+$"

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
            return [f"{path}: unknown key; {allowed(error['loc'][-1], _siblings(kind, error['loc']), kind)}"]
        case "missing":
            return [f"{path}: missing"]
        case "value_error":
            said = str(error["ctx"]["error"]).splitlines()
            return [f"{path}: {line}" if path else line for line in said]
        case _:
            return [f"{path}: {_shown(error['input'])}: {sentence(error)}"]


def _shown(value) -> str:
    """Short, however long or deep it is."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # a whole number with more digits than Python writes
        return type(value).__name__


def sentence(error: dict) -> str:
    """Pydantic's sentence, in the words of a params file."""
    context = error.get("ctx", {})
    if said := SAID.get(error["type"]) or SAID_OF.get(context.get("pattern")):
        return said.format(**context)
    message = re.sub(r"^(Input|Value) should", "must", error["msg"]).replace("valid list", "list")
    if error["type"] == "literal_error":
        nearest = difflib.get_close_matches(_shown(error["input"]), re.findall(r"'([^']+)'", message), n=1)
        message += f"; did you mean '{nearest[0]}'?" if nearest else ""
    return message


def allowed(key: str, known, kind: type[BaseModel] | None = None) -> str:
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
