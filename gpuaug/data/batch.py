"""The batch inside the library, and the door through which structures come in and go out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gpuaug.data.instances import BboxParams, Instances, KeypointParams
from gpuaug.data.ragged import Ragged
from gpuaug.data.unsigned import held_signed
from gpuaug.geometry.canvas import Canvas
from gpuaug.render.values import ValueRange

__all__ = ["NAMED", "PADDING", "ROLES", "Batch", "Settings", "are_images", "open_door"]

Images = Any
"""A tensor (B, C, H, W), or `Ragged` where sizes differ."""
IMAGE_DTYPES = (torch.uint8, torch.uint16, torch.int16, torch.float16, torch.bfloat16, torch.float32, torch.float64)
NAMED = ("ultralytics", "yolox", "detr")
PADDING = "padding_mask"
"""A further input with the role "mask" whose fill is True: what is outside the image is padding."""
ROLES = ("image", "dense", "mask")
"""What a further input is: transformed as the image is; moved and blended; moved by nearest pixel."""


@dataclass
class Batch:
    """Hold what is transformed; tensors of the caller, never copied, never modified."""

    image: Images
    """(B, C, H, W); the frames of clips one after another, (B * T, C, H, W); images of several sizes as `Ragged`."""
    mask: Images | None = None
    """(B, C, H, W), of any dtype: classes, which are not blended."""
    instances: Instances | None = None
    extra: dict[str, tuple[str, Images]] = field(default_factory=dict)
    """Further inputs (B, C, H, W) with their role."""
    frames: int = 1
    """T: how many images in a row share their parameters."""
    padding_mask: Tensor | None = None
    """(B, H, W) bool: where a pipeline has padded images to one canvas."""
    sizes: Tensor | None = None
    """(B, 2) int64: height and width of the images in it."""
    box_format: str = "xyxy"
    """What boxes are outside: as they came in, or as they go out."""
    added: dict[str, Tensor] = field(default_factory=dict)
    """(B, ...): what transforms add to a dict of tensors; clips have one for all their frames."""
    label: Any = None
    """(B,) or (B, classes): of the samples, where a pipeline mixes them; what comes out may be a tuple."""
    clips: bool = False
    """Whether it came as clips (B, T, C, H, W), of one frame perhaps."""
    source: Images | None = None
    """What the images are rows of, where `image` says no more than their shape."""
    rows: Tensor | None = None
    """(B,) int64: which rows."""
    contexts: tuple[Any, Any, list[Any]] | None = None
    """What transforms may know of it, kept for the length of a call: whose, of what, and that."""

    @property
    def canvas(self) -> Canvas:
        """(height, width)."""
        image = self.image
        return image.canvas if isinstance(image, Ragged) else (image.shape[2], image.shape[3])

    @property
    def channels(self) -> int:
        """C."""
        return self.image.channels if isinstance(self.image, Ragged) else self.image.shape[1]

    def map(self, function: Callable[[Any], Any]) -> Batch:
        """Return the same with a function applied to every tensor."""
        return Batch(
            function(self.image),
            None if self.mask is None else function(self.mask),
            None if self.instances is None else self.instances.map(function),
            {key: (role, function(value)) for key, (role, value) in self.extra.items()},
            self.frames,
            box_format=self.box_format,
            label=None if self.label is None else function(self.label),
        )

    @property
    def samples(self) -> int:
        """B."""
        return len(self) // self.frames

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.image) if isinstance(self.image, Ragged) else self.image.shape[0]


@dataclass(frozen=True)
class Settings:
    """What a pipeline says about the structures it takes."""

    bbox: BboxParams = field(default_factory=BboxParams)
    keypoint: KeypointParams = field(default_factory=KeypointParams)
    roles: tuple[tuple[str, str], ...] = ()
    mirror_labels: tuple[tuple[int, int], ...] = ()
    pad_to: tuple[int, int] | None = None
    """Canvas to which what comes out is padded; None with a divisor takes the largest image's."""
    pad_divisor: int | None = None
    value_range: ValueRange | None = None
    """Black and white, where the dtype does not say."""
    format: str | None = None
    """One of `NAMED`, for structures whose type does not say what they are."""
    labels_getter: Any = None
    """How a pipeline that mixes samples finds their labels; None does not look for any."""


_USUAL = Settings()
"""Made once: Dynamo does not trace a default that a function makes."""

Write = Callable[[Batch], Any]


def open_door(inputs: tuple[Any, ...], owner: str, settings: Settings | None = None) -> tuple[Batch, Write]:
    """Read the arguments of a call into a Batch, and return how to write the result back.

    Args:
        inputs: `(images,)`, or `(images, labels, ...)`: what follows the images comes back as it is; or one dict; or
            torchvision's `tv_tensors` in any structure; or its lists of images and of targets.
        owner: name of the class that was called, for messages.
        settings: formats and roles.

    Raises:
        TypeError: for anything but tensors of a supported dtype.
        ValueError: for a shape that is not (B, C, H, W), or (C, H, W) of 1, 3 or 4 channels.
    """
    settings = settings or _USUAL
    batch, write = held_signed(*_open(inputs, owner, settings))
    if settings.labels_getter is None:
        return batch, write
    from gpuaug.data.labels import with_labels

    return with_labels(batch, write, inputs, owner, settings)


def _open(inputs: tuple[Any, ...], owner: str, settings: Settings) -> tuple[Batch, Write]:
    from gpuaug.data.formats import leaves, plain
    from gpuaug.data.pad import Padded

    if settings.format is not None:
        from gpuaug.data.formats import detr, rows

        family = detr if settings.format == "detr" else rows
        return getattr(family, f"read_{settings.format}")(inputs, owner, settings)  # type: ignore[no-any-return]
    if len(inputs) == 1 and isinstance(inputs[0], dict) and isinstance(inputs[0].get("image"), (Tensor, Ragged, list)):
        if not leaves.holds(inputs[0]):
            return plain.read(inputs[0], owner, settings)
    detection = leaves.is_detection(inputs)
    if detection or leaves.holds(inputs):
        from gpuaug.data.formats import torchvision

        return (torchvision.read_detection if detection else torchvision.read)(inputs, owner, settings)
    if len(inputs) == 1 and isinstance(inputs[0], (tuple, list)) and len(inputs[0]) > 1 and not are_images(inputs[0]):
        if all(isinstance(x, Tensor) and x.dim() >= 3 for x in inputs[0]):
            raise TypeError(
                f"{owner}: images must be a tensor (B, C, H, W) or a list of tensors (C, H, W), got a "
                f"{type(inputs[0]).__name__} of {len(inputs[0])} tensors of other shapes"
            )
        kind = type(inputs[0])
        batch, write_inner = open_door(tuple(inputs[0]), owner, settings)
        return batch, lambda out: kind(write_inner(out))
    if len(inputs) == 1 and isinstance(inputs[0], list) and not inputs[0]:
        raise ValueError(f"{owner}: a list of images must hold at least one, got none")
    if not inputs:
        raise TypeError(f"{owner}: images must be a tensor (B, C, H, W), got nothing")
    image, rest = inputs[0], inputs[1:]
    given = as_images(image, owner)
    shaped = as_given(image)

    def write(out: Batch) -> Any:
        result = image if out.image is given else shaped(out.image)
        if out.padding_mask is not None and out.sizes is not None:
            result = Padded(result, shaped(out.padding_mask), shaped(out.sizes))
        return (result, *rest) if rest else result

    return Batch(given, frames=frames_of(image), clips=isinstance(image, Tensor) and image.dim() == 5), write


def are_images(value: Any) -> bool:
    """Tell whether something is a list of images (C, H, W)."""
    return isinstance(value, list) and all(isinstance(x, Tensor) and x.dim() == 3 for x in value)


def frames_of(image: Any) -> int:
    """Return T of clips (B, T, C, H, W), else 1."""
    return image.shape[1] if isinstance(image, Tensor) and image.dim() == 5 else 1


def as_given(image: Any) -> Callable[[Any], Any]:
    """Return how a batch inside the library becomes what the user gave: one sample, samples, clips or a list."""
    if not isinstance(image, Tensor):
        as_list = isinstance(image, list)
        return lambda value: list(value) if as_list and isinstance(value, Ragged) else value
    if image.dim() == 3:
        return lambda value: value[0]
    if image.dim() == 5:
        return lambda value: value.unflatten(0, (image.shape[0], image.shape[1]))
    return lambda value: value


def as_images(image: Any, owner: str) -> Any:
    """Return images (B, C, H, W), or raise; one image (C, H, W) becomes a batch of one, clips become frames.

    A list of images (C, H, W) is packed, at the price of one copy.
    """
    if isinstance(image, list) and image and are_images(image):
        image = Ragged.pack(image)
    if isinstance(image, Ragged):
        return image
    if not isinstance(image, Tensor):
        keys = f" with the keys {', '.join(map(repr, image))}, none of them 'image'" if isinstance(image, dict) else ""
        raise TypeError(f"{owner}: images must be a tensor (B, C, H, W), got {type(image).__name__}{keys}")
    if image.dtype not in IMAGE_DTYPES:
        names = ", ".join(str(d).removeprefix("torch.") for d in IMAGE_DTYPES)
        raise TypeError(f"{owner}: images must have one of the dtypes {names}, got {image.dtype}")
    single = image.dim() == 3
    if single and image.shape[0] not in (1, 3, 4):
        raise ValueError(
            f"{owner}: a 3-D tensor is one image (C, H, W) with 1, 3 or 4 channels; give a batch of gray images as"
            f" (B, 1, H, W), one image of other channels as image[None], got shape {tuple(image.shape)}"
        )
    if not single and image.dim() not in (4, 5):
        raise ValueError(
            f"{owner}: images must have shape (B, C, H, W), (C, H, W) or (B, T, C, H, W), got {tuple(image.shape)}"
        )
    if 0 in image.shape[-3:]:
        raise ValueError(f"{owner}: images must have at least one channel, row and column, got {tuple(image.shape)}")
    if image.dim() == 5:
        if image.shape[1] == 0:
            raise ValueError(f"{owner}: clips must have at least one frame, got {tuple(image.shape)}")
        return image.flatten(0, 1)
    return image[None] if single else image
