"""The ends of a pipeline: Normalize and ToDtype."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch

from gpuaug import functional as F
from gpuaug._compiling import stacked
from gpuaug.functional.tone import normalize_into
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import Constant
from gpuaug.transforms.base import Drawn, Photometric, Transform
from gpuaug.transforms.color import choice
from gpuaug.transforms.layer import Context, Gate, Names, Node

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "Normalize", "ToDtype"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_MODES = ("standard", "image", "image_per_channel", "min_max", "min_max_per_channel")
_LAYOUTS = (None, torch.contiguous_format, torch.channels_last)


def _layout(memory_format: Any, owner: str) -> torch.memory_format | None:
    if memory_format not in _LAYOUTS:
        raise ValueError(
            f"{owner}: memory_format must be contiguous_format, channels_last or None, got {memory_format!r}"
        )
    return memory_format  # type: ignore[no-any-return]


def _float_dtype(dtype: Any, owner: str) -> torch.dtype | None:
    if dtype is not None and (not isinstance(dtype, torch.dtype) or not dtype.is_floating_point):
        raise ValueError(f"{owner}: dtype must be a floating point dtype or None, got {dtype!r}")
    return dtype


class Normalize(Photometric):
    """Subtract the mean and divide by the standard deviation, channel by channel.

    Args:
        mean: one number for each channel, on the scale black = 0, white = 1, whatever the input's dtype.
        std: likewise; positive.
        normalization: "standard" uses mean and std; "image" and "image_per_channel" those of each sample;
            "min_max" and "min_max_per_channel" its extremes.
        dtype: of the output; None keeps a floating point dtype and gives float32 for uint8.
        memory_format: of the output; None keeps the input's.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for a std that is not positive, or when called with another number of channels.

    Source: torchvision.transforms.v2.Normalize; albumentations.Normalize for the other modes.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.Normalize((0.5,), (0.5,))(torch.full((1, 1, 1, 2), 255, dtype=torch.uint8)).flatten().tolist()
        [1.0, 1.0]
    """

    normalizes = True

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        *,
        normalization: str = "standard",
        dtype: torch.dtype | None = None,
        memory_format: torch.memory_format | None = None,
    ) -> None:
        """See the class."""
        super().__init__()
        owner = "Normalize"
        if normalization not in _MODES:
            raise ValueError(f"{owner}: normalization must be one of {', '.join(_MODES)}, got {normalization!r}")
        self.normalization = normalization
        self.dtype = _float_dtype(dtype, owner)
        self.memory_format = _layout(memory_format, owner)
        self.mean = self.std = None
        self._constants: dict[str, tuple[float, ...]] = {}
        if normalization == "standard":
            if not (isinstance(mean, Iterable) and isinstance(std, Iterable)) or len(tuple(mean)) != len(tuple(std)):
                raise ValueError(f"{owner}: mean and std must have one number for each channel, got {mean!r}, {std!r}")
            self.mean, self.std = tuple(float(v) for v in mean), tuple(float(v) for v in std)
            if min(self.std) <= 0:
                raise ValueError(f"{owner}: std must be positive, got {std!r}")
            self._constants = {"mean": self.mean, "std": self.std}
            self.declare(**{f"{k}_{c}": Constant(v) for k, vs in self._constants.items() for c, v in enumerate(vs)})

    @property
    def deterministic(self) -> bool:
        """Constants are not drawn."""
        return True

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Collect `mean` and `std` (B, C)."""
        if not self._constants:
            return {}
        channels = context.channels
        count = len(self._constants["mean"])
        if count not in (1, channels):
            raise ValueError(f"Normalize: images must have {count} channels, as mean and std, got {channels}")
        return {k: stacked([raw[f"{k}_{c}"] for c in range(count)]) for k in ("mean", "std")}

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation, and fix dtype and memory format of the output."""
        plan.to_unit()
        plan.normalized = True
        plan.out_dtype = self.dtype or (plan.out_dtype if plan.out_dtype.is_floating_point else torch.float32)
        plan.lay_out(self.memory_format)
        if self.normalization == "standard":
            operation = choice(F.normalize, values["mean"], values["std"])
            operation.write_one, operation.together = normalize_into, True
            return [[operation]]
        return [[choice(F.normalize_by_image, mode=self.normalization)]]

    def extra_repr(self) -> str:
        """Show mean and std, or the mode."""
        return f"mean={self.mean}, std={self.std}" if self.mean else f"normalization={self.normalization!r}"


class ToDtype(Transform):
    """Convert each sample to another dtype; uint8 0..255 and floats 0..1 mean the same.

    Args:
        dtype: torch.uint8 or a floating point dtype.
        scale: must be True: values are converted with their meaning.
        memory_format: of the output; None keeps the input's.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for another dtype; at construction of a pipeline, for uint8 after `Normalize`.

    Source: torchvision.transforms.v2.ToDtype(scale=True), rounding where torchvision truncates.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.ToDtype(torch.float32)(torch.full((1, 1, 1, 1), 255, dtype=torch.uint8)).item()
        1.0
    """

    changes_dtype = True

    def __init__(
        self, dtype: torch.dtype, scale: bool = True, *, memory_format: torch.memory_format | None = None
    ) -> None:
        """See the class."""
        super().__init__()
        if dtype not in (torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64):
            raise ValueError(f"ToDtype: dtype must be torch.uint8 or a floating point dtype, got {dtype!r}")
        if not scale:
            raise ValueError("ToDtype: scale must be True, because values keep their meaning here, got False")
        self.dtype = dtype
        self.memory_format = _layout(memory_format, "ToDtype")
        self.clamps = dtype == torch.uint8  # type: ignore[misc]

    def flatten(self, names: Names, gates: tuple[Gate, ...], channels: tuple[int, ...] | None) -> Iterator[Node]:
        """Yield this transform, named."""
        yield from super().flatten(names, gates, None)

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Fix dtype and memory format of the output."""
        plan.to_unit()
        plan.out_dtype = self.dtype
        plan.lay_out(self.memory_format)

    def extra_repr(self) -> str:
        """Show the dtype."""
        return f"dtype={self.dtype}"
