"""Explain every mistake in params.yaml: the key, the value found and the values that are allowed."""

import difflib
import re
import reprlib
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[int | str, ...]  # the keys and list indices that lead to a value
Schema = dict[str, Any]  # a JSON schema, in which pydantic describes a model

NAME = r"^[a-z][a-z0-9_]*$"
# no control and format characters, and no separators of lines; some scripts and emojis need the two joiners
LINE = r"^(?:[^\p{C}\p{Zl}\p{Zp}]|[\x{200c}\x{200d}])+$"

BY_TYPE = {  # our messages for the pydantic errors whose own message does not help someone who edits a file
    "bool_type": "must be true or false",
    "string_type": "must be text; put a number, true, false or null in quotes",
    "string_unicode": "must be valid Unicode",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "too few entries, at least {min_length}",
    "too_long": "too many entries, at most {max_length}",
    "invalid_key": "a key must be text",
    "model_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
}
BY_PATTERN = {
    NAME: "must be lower-case letters, digits and _, a letter first",
    LINE: "must be one line of text, without control and format characters",
}
NUMBERS = {"integer": "a whole number", "number": "a number"}  # types of a JSON schema
LIMITS = {  # keywords of a JSON schema
    "multipleOf": "a multiple of",
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
# the least similarity of a misspelled name, so that seeds is not taken for a misspelling of remedies
ALIKE = 0.65
# the beginning of a problem of one group of settings
OF_A_GROUP = re.compile(r"settings\.[^.:]+(?=\.)")
# diff3 and zdiff3 add the marker of |
CONFLICT_MARKER = re.compile(r"^(?:<{7}|\|{7}|={7}|>{7})(?: .*)?$", re.MULTILINE)


class _Short(reprlib.Repr):
    def repr_date(self, date: Any, level: int) -> str:
        """A date as YAML spells it."""
        return str(date)


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 60


class Mistake(ValueError):
    """A problem that the user can fix. The command line prints a line per problem and exits with 2."""


class Missing(Mistake):
    """A file that a stage needs does not exist yet."""


def conflict(text: str) -> str:
    """Names the first line that a stopped merge of Git left in a text; empty if there is none."""
    marker = CONFLICT_MARKER.search(text)
    if marker is None:
        return ""
    line = text.count("\n", 0, marker.start()) + 1
    return f"line {line}: a merge conflict ({short(marker[0])})"


def validated(kind: type[Model], value: Any, file: str, root: Location = ()) -> Model:
    """Validate `value` as `kind`.

    Raise Mistake with one line per problem: `file`, the path of the key below `root`, the value and what is allowed.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problems = _once(_problems(kind, error, root))
        raise Mistake("\n".join(f"{file}: {problem}" for problem in problems)) from None


def _once(problems: Iterable[str]) -> Iterator[str]:
    """Joins the same problem of several groups of settings: groups that are made from one have its mistakes.

    >>> list(_once(["settings.a.mask: missing", "data: missing", "settings.b.mask: missing"]))
    ['settings.a.mask: missing (also settings.b)', 'data: missing']
    """
    groups_by_problem: dict[str, dict[str, None]] = {}
    for problem in problems:
        group = OF_A_GROUP.match(problem)
        name = group[0] if group else ""
        groups_by_problem.setdefault(problem.removeprefix(name), {})[name] = None

    for rest, groups in groups_by_problem.items():
        first, *others = groups
        also = f" (also {', '.join(others)})" if others else ""
        yield f"{first}{rest}{also}"


def _problems(kind: type[BaseModel], error: ValidationError, root: Location) -> Iterator[str]:
    """The problems behind pydantic's errors. A missing key is skipped if an unknown key is a misspelling of it."""
    errors = error.errors()
    misspelled = {
        _nearest_key(kind, details["loc"])
        for details in errors
        if details["type"] == "extra_forbidden"
    }

    wrong_keys = {details["loc"][:-1] for details in errors if details["loc"][-1:] == ("[key]",)}
    for details in errors:
        if details["loc"] in wrong_keys:  # its value, too; one line is enough
            continue
        location, schema = _schema_at(kind, details["loc"])
        path = _dotted(root + location)
        match details["type"]:
            case "missing":
                if location not in misspelled:
                    yield f"{path}: missing"
            case "extra_forbidden":
                key = details["loc"][-1]
                hint = suggestion(key, schema["properties"], kind)
                yield f"{_dotted((*root, *location, key))}: unknown key; {hint}"
            # from a validator of this project, which may report several problems, one per line
            case "value_error":
                message = details["msg"].removeprefix("Value error, ")
                yield from (f"{path}: {line}".removeprefix(": ") for line in message.split("\n"))
            case _:
                yield f"{path}: {short(details['input'])}: {sentence(kind, details)}".removeprefix(
                    ": "
                )


def _nearest_key(kind: type[BaseModel], location: Location) -> Location:
    """The location of the allowed key that is most similar to the unknown key at this location."""
    outer, schema = _schema_at(kind, location)
    names = list[str](schema["properties"])
    nearest = difflib.get_close_matches(str(location[-1]), names, n=1, cutoff=ALIKE)
    return (*outer, *nearest)


def _dotted(location: Location) -> str:
    path = ""
    for part in location:
        name = str(part)
        path += (
            f"[{part}]"
            if isinstance(part, int)
            else f".{name if name.isprintable() else short(name)}"
        )
    return path.removeprefix(".")


def short(value: Any) -> str:
    """A short text for a value of any length and depth."""
    if value is None:
        return "empty"
    try:
        return _SHORT.repr(value)
    except ValueError:  # an integer with more digits than Python converts
        return type(value).__name__


def sentence(kind: type[BaseModel], error: "ErrorDetails") -> str:
    """Rewords one of pydantic's errors about a `kind` for someone who edits params.yaml."""
    context = error.get("ctx", {})
    template = BY_TYPE.get(error["type"]) or BY_PATTERN.get(context.get("pattern", ""))
    if template:
        return template.format(**context)

    _, schema = _schema_at(kind, error["loc"])
    if noun := NUMBERS.get(schema.get("type", "")):
        limits = [
            f"{words} {schema[keyword]}" for keyword, words in LIMITS.items() if keyword in schema
        ]
        return "must be " + ", ".join([noun, *limits])

    message = re.sub(r"^(Input|Value) should", "must", error["msg"]).replace("valid list", "list")
    if error["type"] == "literal_error":
        names = re.findall(r"'([^']+)'", message)
        nearest = difflib.get_close_matches(short(error["input"]), names, n=1)
        message += f"; did you mean '{nearest[0]}'?" if nearest else ""
    return message


def suggestion(key: Any, names: Iterable[str], kind: type[BaseModel] | None = None) -> str:
    """A hint for an unknown key: the most similar of the allowed `names`, if any is similar, and all of them.

    If none is similar but the key belongs elsewhere in `kind`, the hint is its path there.
    """
    names = list(names)
    listed = ", ".join(names)
    nearest = difflib.get_close_matches(str(key), names, n=1, cutoff=ALIKE)
    if nearest:
        return f"did you mean '{nearest[0]}'? Allowed: {listed}"

    if kind:
        schema = _schema_of(kind)
        for path in _paths(schema, schema):
            if path.rpartition(".")[2] == key:
                return f"did you mean '{path}'?"
    return f"allowed: {listed}"


def _paths(schema: Schema, definitions: Schema, root: str = "") -> Iterator[str]:
    """The dotted path of every key of a schema and of the schemas in it. `NAME` stands for names that people choose."""
    schema = _resolved(schema, definitions)
    of_chosen_names = [("NAME", inner) for inner in schema.get("patternProperties", {}).values()]
    for name, inner in [*schema.get("properties", {}).items(), *of_chosen_names]:
        yield root + name
        yield from _paths(inner, definitions, f"{root}{name}.")


@cache
def _schema_of(kind: type[BaseModel]) -> Schema:
    return kind.model_json_schema()


def _schema_at(kind: type[BaseModel], location: Location) -> tuple[Location, Schema]:
    """The part of a location that leads to a value, and the schema of this value.

    The rest of the location has no schema: an unknown key, the types of a union, or pydantic's `[key]` for a wrong key.
    """
    definitions = schema = _schema_of(kind)
    path: Location = ()

    for part in location:
        if isinstance(part, int) and "items" in schema:
            inner = schema["items"]
        else:
            of_any_key = [
                schema.get("additionalProperties"),
                *schema.get("patternProperties", {}).values(),
            ]
            inner = schema.get("properties", {}).get(part) or of_any_key[-1]
        if not inner:
            break
        schema = _resolved(inner, definitions)
        path += (part,)

    return path, schema


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    """Follows a reference to a model. Takes the last type of a union, except null."""
    for option in schema.get("anyOf", []):
        if option != {"type": "null"}:
            schema = option
    name = schema.get("$ref", "").rpartition("/")[2]
    return definitions["$defs"][name] if name else schema
