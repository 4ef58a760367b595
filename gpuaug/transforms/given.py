"""What transforms were made with: recorded when they are made, so that they can be written to a file."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

__all__ = ["GIVEN", "MADE", "recording"]

GIVEN = "_given"
"""Name of the record in a layer's `__dict__`: every argument of its constructor, defaults included."""
MADE = "_made_p"
"""Name of the probability that it was made with."""


def recording(init: Callable[..., None]) -> Callable[..., None]:
    """Return a constructor that notes its arguments; of nested constructors the outermost does."""
    signature = inspect.signature(init)

    @wraps(init)
    def noting(self: Any, *args: Any, **kwargs: Any) -> None:
        outermost = GIVEN not in self.__dict__
        if outermost:
            try:
                bound = signature.bind(self, *args, **kwargs)
            except TypeError:
                return init(self, *args, **kwargs)  # which says what is wrong
            bound.apply_defaults()
            self.__dict__[GIVEN] = dict(list(bound.arguments.items())[1:])  # without self
        init(self, *args, **kwargs)
        if outermost:
            self.__dict__[MADE] = getattr(self, "p", None)

    return noting
