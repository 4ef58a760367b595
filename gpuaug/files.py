"""Pipelines as data: dicts, JSON and YAML files, and what identifies a policy."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from gpuaug.data.instances import BboxParams, KeypointParams
from gpuaug.sampling.distributions import Distribution
from gpuaug.sampling.varying import Varying
from gpuaug.transforms.compose import Container
from gpuaug.transforms.fixed import Fixed
from gpuaug.transforms.given import GIVEN
from gpuaug.transforms.layer import Layer
from gpuaug.transforms.timm import TimmAugMix, TimmAutoAugment, TimmRandAugment
from gpuaug.views import MultiView

__all__ = ["fingerprint", "from_dict", "load", "register", "save", "to_dict"]

VERSION = 1
"""Of the form of files: a reader refuses what is newer."""
DEEPEST = 64
"""Levels of nesting that a file may have."""
LARGEST = 10_000_000
"""Values that a file may have, each counted as often as aliases of YAML repeat it."""
_STUMBLES = (ArithmeticError, AttributeError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError)
"""What is raised for values of another kind than expected."""
_SETTINGS: tuple[type, ...] = (BboxParams, KeypointParams)
_KINDS: dict[str, Any] = {
    "transform": Layer,
    "views": MultiView,
    "distribution": Distribution,
    "varying": Varying,
    "settings": _SETTINGS,
}
_FORMATS = ("contiguous_format", "channels_last")
_registered: dict[str, type] = {c.__name__: c for c in (Fixed, TimmAugMix, TimmAutoAugment, TimmRandAugment)}

Functions = Mapping[str, Callable[..., Any]]


def register(cls: type) -> type:
    """Let files name a transform or distribution of your own: a decorator of its class.

    Args:
        cls: a subclass of a gpuaug transform or of `Distribution`, whose constructor's arguments are numbers, strings,
            lists, dicts, dtypes, distributions or transforms.

    Raises:
        TypeError: for anything else.
        ValueError: for a name that another class has.

    Example:
        >>> import gpuaug as ga
        >>> @ga.register
        ... class Warm(ga.ColorJitter):
        ...     def __init__(self, p: float = 0.5) -> None:
        ...         super().__init__(hue=(0.0, 0.02), p=p)
        >>> ga.from_dict(ga.to_dict(Warm(p=0.25))).p
        0.25
    """
    if not (isinstance(cls, type) and issubclass(cls, (Layer, Distribution))):
        raise TypeError(f"register: cls must be a class of transforms or distributions, got {cls!r}")
    known = _classes().get(cls.__name__)
    if known is not None and known is not cls and known.__module__.startswith("gpuaug."):
        raise ValueError(f"register: cls must have a name of its own, got {cls.__name__!r}, which gpuaug has")
    _registered[cls.__name__] = cls
    _classes.cache_clear()
    return cls


def to_dict(pipeline: Layer | MultiView) -> dict[str, Any]:
    """Return a pipeline as a dict of plain values, which JSON and YAML can hold.

    Args:
        pipeline: a transform, a container or views of them. Every argument is written, defaults too, so that the
            policy stays what it is where a later version has others. State (the step) is not: that is what
            `state_dict` is for.

    Raises:
        ValueError: for an argument that a file cannot hold, such as a function without a name.

    Source: albumentations.to_dict.

    Example:
        >>> import gpuaug as ga
        >>> ga.to_dict(ga.RandomInvert(p=0.25))
        {'gpuaug': 1, 'pipeline': {'transform': 'RandomInvert', 'args': {'p': 0.25, 'channels': None, 'keys': None}}}
    """
    return {"gpuaug": VERSION, "pipeline": _encoded(pipeline, type(pipeline).__name__, "pipeline")}


def from_dict(data: Mapping[str, Any], functions: Functions | None = None) -> Any:
    """Build the pipeline that `to_dict` wrote.

    Only transforms, containers, distributions and settings of the library, and classes given to `register`, are built;
    nothing is imported or evaluated.

    Args:
        data: what `to_dict` returned, or what was read from a file.
        functions: the functions of `Lambda` transforms, by name.

    Raises:
        ValueError: for unknown names, keys or arguments, and for a file of a newer version.

    Source: albumentations.from_dict.

    Example:
        >>> import gpuaug as ga
        >>> policy = ga.Compose([ga.RandomCrop(24), ga.ColorJitter(ga.Normal(1, 0.1))], fill=0.5)
        >>> ga.fingerprint(ga.from_dict(ga.to_dict(policy))) == ga.fingerprint(policy)
        True
    """
    if not isinstance(data, Mapping) or set(data) != {"gpuaug", "pipeline"}:
        raise ValueError(f"from_dict: data must have the keys gpuaug and pipeline, got {_shown(data)}")
    if data["gpuaug"] != VERSION or isinstance(data["gpuaug"], bool):
        raise ValueError(f"from_dict: the version must be {VERSION}, which this gpuaug reads, got {data['gpuaug']!r}")
    _check_size(data["pipeline"])
    made = _decoded(data["pipeline"], "pipeline", dict(functions or {}), 0)
    if not isinstance(made, (Layer, MultiView)):
        raise ValueError(f"from_dict: pipeline must be a transform, got {_shown(data['pipeline'])}")
    return made


def save(pipeline: Layer | MultiView, path: str | Path) -> None:
    """Write a pipeline to a file, JSON or, where it ends in .yaml or .yml, YAML.

    Args:
        pipeline: a transform or container.
        path: of the file.

    Raises:
        ValueError: as `to_dict`.
        ImportError: for YAML without PyYAML.

    Source: albumentations.save.

    Example:
        >>> import tempfile, gpuaug as ga
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ga.save(ga.Compose([ga.RandomHorizontalFlip()]), f"{folder}/policy.json")
        ...     len(ga.load(f"{folder}/policy.json"))
        1
    """
    path, data = Path(path), to_dict(pipeline)
    if path.suffix in (".yaml", ".yml"):
        path.write_text(_yaml().safe_dump(data, sort_keys=False), encoding="utf-8")
    else:
        path.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def load(path: str | Path, functions: Functions | None = None) -> Any:
    """Read a pipeline from a file that `save` wrote.

    Args:
        path: of the file, JSON or YAML.
        functions: the functions of `Lambda` transforms, by name.

    Raises:
        ValueError: for a file that is not what `save` writes.

    Source: albumentations.load.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    try:
        if path.suffix in (".yaml", ".yml"):
            data = _yaml().safe_load(text)
        else:
            data = json.loads(text)
    except ImportError:
        raise
    except Exception as error:  # of either parser
        raise ValueError(f"load: {path.name} must be JSON or YAML, got: {error}") from error
    return from_dict(data, functions)


def fingerprint(pipeline: Layer | MultiView) -> str:
    """Return what identifies a policy, 64 hexadecimal digits, to be stored beside a checkpoint.

    Args:
        pipeline: a transform or container; the same arguments give the same fingerprint, in any version that reads
            the file.

    Example:
        >>> import gpuaug as ga
        >>> ga.fingerprint(ga.RandomInvert(0.5)) == ga.fingerprint(ga.RandomInvert())
        True
    """
    text = json.dumps(to_dict(pipeline), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _yaml() -> Any:
    try:
        import yaml  # type: ignore[import-untyped]  # its types are a package of their own
    except ImportError as error:
        raise ImportError("gpuaug: YAML files need PyYAML (pip install pyyaml); JSON needs nothing") from error
    return yaml


@lru_cache(maxsize=1)
def _classes() -> dict[str, type]:
    """Return what files may name."""
    import gpuaug

    public = {name: getattr(gpuaug, name) for name in gpuaug.__all__}
    built = {
        n: c
        for n, c in public.items()
        if isinstance(c, type) and issubclass(c, (Layer, MultiView, Distribution, Varying, *_SETTINGS))
    }
    return {**built, **_registered}


def _shown(value: Any) -> str:
    return f"{value!r:.80}"


# -- to plain values


def _encoded(value: Any, owner: str, name: str) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, Enum):
        return _encoded(value.value, owner, name)
    if isinstance(value, (tuple, list)):
        return [_encoded(v, owner, name) for v in value]
    if isinstance(value, Mapping):
        return {"dict": [[_encoded(k, owner, name), _encoded(v, owner, name)] for k, v in value.items()]}
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, torch.memory_format):
        return {"memory_format": str(value).removeprefix("torch.")}
    if isinstance(value, torch.Tensor):
        return {"tensor": value.tolist(), "dtype": str(value.dtype).removeprefix("torch.")}
    for kind, base in _KINDS.items():
        if not isinstance(value, base):
            continue
        known = _classes().get(type(value).__name__)
        if known is not type(value):
            raise ValueError(f"to_dict: {type(value).__name__} must be given to gpuaug.register to be written")
        return {kind: type(value).__name__, "args": _arguments(value)}
    raise ValueError(f"to_dict: {owner} must have arguments that a file can hold, got {name}={_shown(value)}")


def _arguments(value: Any) -> dict[str, Any]:
    owner = type(value).__name__
    if isinstance(value, (Layer, MultiView)):
        given = dict(value.__dict__[GIVEN])
        given.update(value.written())
        for key in getattr(value, "functions", ()):
            if given["name"] is None:
                raise ValueError(f"to_dict: {owner} must have a name= to be written, got a {key} without one")
            del given[key]
        if isinstance(value, Container) and "transforms" in given:
            given["transforms"] = list(value)
    else:
        given = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    return {name: _encoded(v, owner, name) for name, v in given.items()}


# -- from plain values


def _check_size(data: Any) -> None:
    """Raise for more values than a pipeline has: a few lines of YAML can stand for billions."""
    left, waiting = LARGEST, [data]
    while waiting:
        one = waiting.pop()
        inner: Any = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        left -= len(inner)
        if left < 0:
            raise ValueError(f"from_dict: pipeline must have at most {LARGEST} values")
        waiting.extend(inner)


def _decoded(value: Any, place: str, functions: dict[str, Any], depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueError(f"from_dict: {place} must be nested at most {DEEPEST} deep")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return tuple(_decoded(v, f"{place}[{i}]", functions, depth + 1) for i, v in enumerate(value))
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"from_dict: {place} must be made of plain values, got {_shown(value)}")
    keys = set(value)
    for kind, base in _KINDS.items():
        if keys == {kind, "args"}:
            return _built(value[kind], value["args"], kind, base, place, functions, depth)
    if keys == {"dict"} and isinstance(value["dict"], list):
        pairs = [_decoded(pair, place, functions, depth + 1) for pair in value["dict"]]
        plain = (bool, int, float, str)
        if all(isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], plain) for pair in pairs):
            return dict(pairs)
    elif keys == {"float"} and value["float"] in ("inf", "-inf", "nan"):
        return float(value["float"])
    elif keys == {"dtype"} and isinstance(getattr(torch, str(value["dtype"]), None), torch.dtype):
        return getattr(torch, value["dtype"])
    elif keys == {"memory_format"} and value["memory_format"] in _FORMATS:
        return getattr(torch, value["memory_format"])
    elif keys == {"tensor", "dtype"} and isinstance(getattr(torch, str(value["dtype"]), None), torch.dtype):
        with suppress(*_STUMBLES):
            return torch.tensor(value["tensor"], dtype=getattr(torch, value["dtype"]))
    raise ValueError(f"from_dict: {place} must be a value that to_dict writes, got {_shown(value)}")


def _built(name: Any, given: Any, kind: str, base: Any, place: str, functions: dict[str, Any], depth: int) -> Any:
    known = _classes().get(name) if isinstance(name, str) else None
    if known is None or not issubclass(known, base):
        raise ValueError(f"from_dict: {place} must name a {kind} that is known, got {_shown(name)}")
    taken = set(inspect.signature(known).parameters)
    if not isinstance(given, dict) or not set(given) <= taken:
        more = sorted(set(given) - taken) if isinstance(given, dict) else given
        raise ValueError(f"from_dict: {name} at {place} must have the arguments {sorted(taken)}, got {_shown(more)}")
    arguments = {key: _decoded(v, f"{place}.{name}.{key}", functions, depth + 1) for key, v in given.items()}
    for key in getattr(known, "functions", ()):
        wanted = arguments.get("name")
        if wanted not in functions:
            raise ValueError(f"from_dict: {name} at {place} needs functions={{{wanted!r}: ...}}, got {list(functions)}")
        arguments[key] = functions[wanted]
    try:
        return known(**arguments)
    except _STUMBLES as error:
        raise ValueError(f"from_dict: {place}: {error or f'{name} cannot be built'}") from error
