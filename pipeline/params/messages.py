"""Explain every mistake in params.yaml: the key, the value found and the values that are allowed."""

import difflib
import re
import reprlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[int | str, ...]  # the keys and list indices that lead to a value

NAME, LINE = r"^[a-z][a-z0-9_]*$", r"^[^\x00-\x1f\x7f]+$"

BY_TYPE = {  # pydantic's error types whose own sentence does not help someone who edits a file
    "string_type": "must be text; a number, true, false or null is text in quotes",
    "string_unicode": "must be whole characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "too few entries, at least {min_length}",
    "too_long": "too many entries, at most {max_length}",
    "invalid_key": "a key must be text",
    "model_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
}
BY_PATTERN = {NAME: "must be lower-case letters, digits and _, a letter first", LINE: "must be one line of text"}

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 60


class Mistake(ValueError):
    """A problem that the user can fix. The command line prints a line per problem and exits with 2."""


def validated(kind: type[Model], value: Any, file: str, root: Location = ()) -> Model:
    """Validate `value` as `kind`.

    Raise Mistake with one line per problem: `file`, the path of the key below `root`, the value and what is allowed.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problems = []
        for details in error.errors():
            problems += _problems(kind, details, root)
        lines = dict.fromkeys(f"{file}: {problem}" for problem in problems)
        raise Mistake("\n".join(lines)) from None


def _problems(kind: type[BaseModel], error: "ErrorDetails", root: Location) -> list[str]:
    """The problems behind one of pydantic's errors; a validator of this project may report several, one per line."""
    location = tuple(part for part in error["loc"] if part != "[key]")

    if location[-1:] in (("int",), ("float",)):  # each half of `Number` has an error of its own
        return [f"{_dotted(root + location[:-1])}: {_short(error['input'])}: must be a number"]

    path = _dotted(root + location)
    prefix = f"{path}: " if path else ""
    match error["type"]:
        case "extra_forbidden":
            hint = suggestion(location[-1], _sibling_keys(kind, location), kind)
            return [f"{path}: unknown key; {hint}"]
        case "missing":
            return [f"{path}: missing"]
        case "value_error":
            message = str(error["ctx"]["error"])
            return [prefix + line for line in message.splitlines()]
        case _:
            return [f"{prefix}{_short(error['input'])}: {sentence(error)}"]


def _dotted(location: Location) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")


def _short(value: Any) -> str:
    """The value in short, however long or deeply nested it is."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # an integer with more digits than Python converts
        return type(value).__name__


def sentence(error: "ErrorDetails") -> str:
    """The message of one of pydantic's errors, in terms of a params file."""
    context = error.get("ctx", {})
    template = BY_TYPE.get(error["type"]) or BY_PATTERN.get(context.get("pattern"))
    if template:
        return template.format(**context)

    message = re.sub(r"^(Input|Value) should", "must", error["msg"]).replace("valid list", "list")
    if error["type"] == "literal_error":
        names = re.findall(r"'([^']+)'", message)
        nearest = difflib.get_close_matches(_short(error["input"]), names, n=1)
        message += f"; did you mean '{nearest[0]}'?" if nearest else ""
    return message


def suggestion(key: Any, names: Iterable[str], kind: type[BaseModel] | None = None) -> str:
    """The name that is most similar to an unknown key, then all names; or the path of the same key elsewhere."""
    names = sorted(names)
    listed = ", ".join(names)
    nearest = difflib.get_close_matches(str(key), names, n=1)
    if nearest:
        return f"did you mean '{nearest[0]}'? Known here: {listed}"

    for path in _paths(kind) if kind else ():
        if path.rpartition(".")[2] == key:
            return f"did you mean '{path}'?"
    return f"known here: {listed}"


def _sibling_keys(kind: type[BaseModel], location: Location) -> list[str]:
    """All keys of the model in which the last key of `location` was found."""
    for part in location[:-1]:
        field = kind.model_fields.get(str(part))  # None: a list index, or a key that people choose
        if field:
            kind = _inner_model(field.annotation) or kind
    return [_key(name, field) for name, field in kind.model_fields.items()]


def _paths(kind: type[BaseModel], root: str = "") -> Iterator[str]:
    """The dotted path of every key of a model and of the models in it."""
    for name, field in kind.model_fields.items():
        path = root + _key(name, field)
        yield path

        model = _inner_model(field.annotation)
        if model:
            yield from _paths(model, f"{path}.")


def _key(name: str, field: FieldInfo) -> str:
    return field.alias or name


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    """The model in an annotation such as dict[str, Run], or None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner_models = filter(None, map(_inner_model, get_args(annotation)))
    return next(inner_models, None)
