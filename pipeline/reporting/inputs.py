"""The inputs of the report, found by the names of a function's parameters.

A file of the study is an input by its name (`decay`, `metrics`, ...). A derived input is a function in this module: its
parameters are inputs too. So the files behind every sentence, table and figure follow from the code, and nobody lists
them (compare pytest's fixtures).
"""

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from pipeline.params import subjects

DERIVED: dict[str, Callable[..., Any]] = {}


def derived(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a function an input of its own name."""
    DERIVED[function.__name__] = function
    return function


@cache
def parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)


class Inputs:
    """The values of all inputs. Derived ones are computed when a function first asks for them.

    `settings` are parameters of the study, not a file, so they are an input of no provenance.
    """

    def __init__(self, files: Mapping[str, Any], settings: Any):
        self._values = {**files, "settings": settings}
        self._files = tuple(files)

    def call(self, function: Callable[..., Any]) -> Any:
        """Calls the function with the inputs that its parameters name. Raises KeyError for an unknown name."""
        return function(**{name: self._value(name) for name in parameters(function)})

    def files_of(self, function: Callable[..., Any]) -> tuple[str, ...]:
        """Returns the names of the files that the function uses, directly or through derived inputs, in file order."""
        names = self._leaves(function)
        return tuple(name for name in self._files if name in names)

    def _value(self, name: str) -> Any:
        if name not in self._values:
            self._values[name] = self.call(DERIVED[name])
        return self._values[name]

    def _leaves(self, function: Callable[..., Any]) -> set[str]:
        leaves: set[str] = set()
        for name in parameters(function):
            leaves |= self._leaves(DERIVED[name]) if name in DERIVED else {name}
        return leaves


@derived
def subject(card: dict[str, Any]) -> subjects.Subject:
    """The words for the texts."""
    return subjects.of_card(card)
