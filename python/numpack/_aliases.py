"""Other names of keyword arguments: those of the published interface, which existing programs use."""

from __future__ import annotations

import functools
from typing import Any, Callable, TypeVar, cast

_Function = TypeVar("_Function", bound=Callable[..., Any])


def also_named(**others: str) -> Callable[[_Function], _Function]:
    """Lets a function take keywords by other names, given as other=own.

    A call with both names of an argument raises TypeError.
    """

    def decorate(function: _Function) -> _Function:
        @functools.wraps(function)
        def call(*given: Any, **named: Any) -> Any:
            for other in others.keys() & named.keys():
                own = others[other]
                if own in named:
                    raise TypeError(f"{function.__name__}(): {other!r} and {own!r} are one argument")
                named[own] = named.pop(other)
            return function(*given, **named)

        return cast(_Function, call)

    return decorate
