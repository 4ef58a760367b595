"""A function of the user's own among the transforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.render.plan import Choice, Plan
from gpuaug.transforms.base import Drawn, Photometric
from gpuaug.transforms.layer import Context

__all__ = ["Lambda"]


class _Applied:
    """The function on images of its own, whose shape it may not change."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        """Keep the function."""
        self.function = function

    def __call__(self, image: Tensor) -> Tensor:
        """Apply it."""
        if torch.compiler.is_compiling() or not torch.is_inference_mode_enabled():
            return self._checked(image)
        with torch.inference_mode(False):  # the CPU's walk needs no gradients, but what it calls may
            return self._checked(image)

    def _checked(self, image: Tensor) -> Tensor:
        out = self.function(image.clone())  # it may write into what it is given
        if not isinstance(out, Tensor) or out.shape != image.shape:
            got = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise ValueError(f"Lambda: function must return images of the same shape {tuple(image.shape)}, got {got}")
        return out.to(image.dtype)


class Lambda(Photometric):
    """Apply a function of your own to the images.

    Args:
        function: takes images (B, C, H, W) as floats, black 0 and white 1, and returns such images. Samples may come in
            parts of the batch, or one by one, and must not look at each other.
        name: under which files name the function, and `from_dict(..., functions={name: function})` finds it; None keeps
            it out of files.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same. It draws nothing, and runs in `eval()` mode too; in `RandomApply` for some samples.

    Boxes and masks:
        Unchanged.

    Raises:
        TypeError: for what cannot be called.
        ValueError: when called, for a function that changes the shape.

    Source: torchvision.transforms.v2.Lambda, on images only.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.Lambda(lambda images: images / 2)(torch.ones(2, 3, 8, 10)).amax().item()
        0.5
    """

    functions: ClassVar[tuple[str, ...]] = ("function",)
    """Arguments that files hold by name."""
    clamps = False
    single = True

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        name: str | None = None,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(channels=channels, keys=keys)
        if not callable(function):
            raise TypeError(f"Lambda: function must be callable, got {function!r}")
        if name is not None and not isinstance(name, str):
            raise TypeError(f"Lambda: name must be a string or None, got {name!r}")
        self.function, self.name = function, name

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the function."""
        applied: Any = _Applied(self.function)
        return [[Choice("lambda", applied)]]

    def extra_repr(self) -> str:
        """Show the name."""
        known: Any = getattr(self.function, "__name__", None)
        return self.name or str(known or self.function)
