"""Make a batch of samples in the loader: images of any sizes in one buffer, objects in rows of one length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from gpuaug.data.ragged import Ragged

__all__ = ["collate"]


def collate(samples: Sequence[Any]) -> Any:
    """Batch the samples of a data set for a pipeline: the `collate_fn` of a DataLoader.

    Args:
        samples: each an image (C, H, W); or a tuple that begins with one, such as (image, label); or a dict with
            `image`; or torchvision's (image, dict of targets), which becomes one dict.

    Shape:
        Images, `mask`, and other maps of the image's height and width: (B, C, H, W) where all samples are of one size,
        else `Ragged`, in one buffer that is pinned and moved in one copy. Beside `boxes` (n, 4) every tensor of n rows
        is padded with zeros to the longest (one at least), and `valid` (B, N) says which rows are there. All else is
        done as by `torch.utils.data.default_collate`.

    Raises:
        TypeError: where a sample holds no image.

    Example:
        >>> import torch, gpuaug as ga
        >>> images, labels = ga.collate([(torch.zeros(3, 8, 10), 1), (torch.zeros(3, 6, 5), 0)])
        >>> ga.Compose([ga.RandomResizedCrop(4)])(images, labels)[0].shape
        torch.Size([2, 3, 4, 4])
    """
    first = samples[0] if samples else None
    if isinstance(first, Tensor):
        return _images(list(samples))
    if isinstance(first, (tuple, list)) and len(first) == 2 and isinstance(first[1], Mapping):
        return collate([{"image": image, **target} for image, target in samples])
    if isinstance(first, (tuple, list)) and first and isinstance(first[0], Tensor):
        columns = list(zip(*samples, strict=True))
        return (_images(list(columns[0])), *(default_collate(list(column)) for column in columns[1:]))
    if isinstance(first, Mapping) and isinstance(first.get("image"), Tensor):
        return _dicts(samples)
    raise TypeError(f"collate: samples must be an image, begin with one, or be dicts with `image`, got {first!r:.60}")


def _images(images: list[Tensor]) -> Any:
    images = [image.as_subclass(Tensor) for image in images]
    return torch.stack(images) if len({image.shape for image in images}) == 1 else Ragged.pack(images)


def _dicts(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = samples[0]
    counts = [len(sample["boxes"]) for sample in samples] if "boxes" in first else None
    most = max([*(counts or ()), 1])  # a row that is not there, where none has any: masks need one
    out: dict[str, Any] = {}
    for key in first:
        values = [sample[key] for sample in samples]
        if all(isinstance(value, Tensor) for value in values):
            values = [value.as_subclass(Tensor) for value in values]
            sized = all(v.shape[-2:] == s["image"].shape[-2:] for v, s in zip(values, samples, strict=True))
            if counts is not None and all(v.shape[:1] == (n,) for v, n in zip(values, counts, strict=True)):
                out[key] = _rows(values, most, sized and values[0].dim() == 3)
                continue
            if sized and values[0].dim() == 2:
                maps = _images([value[None] for value in values])
                out[key] = maps[:, 0] if isinstance(maps, Tensor) else replace(maps, planar=True)
                continue
            if sized and values[0].dim() == 3:
                out[key] = _images(values)
                continue
        out[key] = default_collate(values)
    if counts is not None and "valid" not in out:
        out["valid"] = torch.arange(most) < torch.tensor(counts)[:, None]
    return out


def _rows(values: list[Tensor], most: int, sized: bool) -> Any:
    padded = [torch.cat((v, v.new_zeros((most - v.shape[0], *v.shape[1:])))) for v in values]
    return _images(padded) if sized else torch.stack(padded)
