"""Triton's interpreter, without what it does for nothing: half of its time."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any


def quicken() -> None:
    """Let it patch `triton.language` once for a launch, and compute no condition that it would not assert.

    It patches the module anew for every function that a kernel calls, and for every sum of integers it computes whether
    it overflows, of which it only makes use where `debug` is set.
    """
    import triton.language as tl
    from triton.runtime import interpreter

    patch, scope = interpreter._patch_lang, getattr(interpreter, "_LangPatchScope", None)
    options = interpreter.interpreter_builder.options
    if scope is None or getattr(options, "debug", True) or not hasattr(options, "sanitize_overflow"):
        return  # of another version

    def patched(fn: Any) -> Any:
        modules = [m for m in fn.__globals__.values() if inspect.ismodule(m) and m in (tl, tl.core)]
        if modules and not any(tl.core.is_builtin(m.load) for m in modules):
            return scope()  # with nothing to restore: whoever patched it does that
        return patch(fn)

    interpreter._patch_lang = patched
    interpreter.interpreter_builder.options = replace(options, sanitize_overflow=False)
