"""Images of different sizes in one buffer, which a loader builds, pins and moves in one copy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gpuaug.geometry.canvas import Sizes
from gpuaug.geometry.matrix import matrix_dtype
from gpuaug.render.flat import WORDS, Flat, front

__all__ = ["Ragged"]


@dataclass(frozen=True)
class Ragged:
    """Hold images (C, H, W) of one dtype and several sizes in one flat buffer.

    Args:
        buffer: (bytes,) uint8: height, width and offset of each image, then the pixels of one image after another.
        host: the sizes (height, width), on the host.
        channels: C, of all images.
        dtype: of the pixels.
        planar: whether these are maps (H, W) with one channel for the buffer's sake: a pipeline that fixes the size
            gives (B, H, W) for them.

    Shape:
        len(ragged) images; `ragged[i]` is a view (C, H_i, W_i).

    Example:
        >>> import torch, gpuaug as ga
        >>> ragged = ga.Ragged.pack([torch.zeros(3, 8, 10), torch.zeros(3, 6, 5)])
        >>> len(ragged), ragged[1].shape, ragged.sizes.tolist()
        (2, torch.Size([3, 6, 5]), [[8, 10], [6, 5]])
    """

    buffer: Tensor
    host: tuple[tuple[int, int], ...]
    channels: int
    dtype: torch.dtype
    planar: bool = False

    @classmethod
    def pack(cls, images: Sequence[Tensor]) -> Ragged:
        """Copy images (C, H, W) of one dtype, device and number of channels into one buffer.

        Args:
            images: at least one; of any sizes.

        Raises:
            ValueError: where they are not of one dtype, device and number of channels.
        """
        if not images:
            raise ValueError("Ragged: images must be at least one, got none")
        first = images[0]
        for i, image in enumerate(images):
            if image.dim() != 3 or 0 in image.shape:
                raise ValueError(f"Ragged: images must have shape (C, H, W), got {tuple(image.shape)} at place {i}")
            if (image.shape[0], image.dtype, image.device) != (first.shape[0], first.dtype, first.device):
                raise ValueError(
                    "Ragged: images must have one number of channels, dtype and device, got "
                    f"{image.shape[0]}, {image.dtype}, {image.device} after "
                    f"{first.shape[0]}, {first.dtype}, {first.device}"
                )
        host = tuple((image.shape[1], image.shape[2]) for image in images)
        starts = [0]
        for image in images:
            starts.append(starts[-1] + image.numel())
        table = torch.tensor([[h, w, at] for (h, w), at in zip(host, starts[:-1], strict=True)], dtype=torch.int64)
        before = front(len(images))
        buffer = torch.empty(before + starts[-1] * first.dtype.itemsize, dtype=torch.uint8, device=first.device)
        buffer[: table.numel() * 8].view(torch.int64).copy_(table.flatten(), non_blocking=True)
        made = cls(buffer, host, first.shape[0], first.dtype)
        for view, image in zip(made, images, strict=True):
            view.copy_(image)
        return made

    @property
    def table(self) -> Tensor:
        """(B, 3) int64: height, width, offset."""
        return self.buffer[: len(self) * WORDS * 8].view(torch.int64).view(-1, WORDS)

    @property
    def sizes(self) -> Tensor:
        """(B, 2) int64: heights and widths, on the device."""
        return self.table[:, :2]

    @property
    def offsets(self) -> Tensor:
        """(B,) int64: where each image begins in `values`."""
        return self.table[:, 2]

    @property
    def values(self) -> Tensor:
        """All pixels, one image after another."""
        return self.buffer[front(len(self)) :].view(self.dtype)

    @property
    def flat(self) -> Flat:
        """The pixels and where they lie, as the renderer takes them."""
        return Flat(self.values, self.table, self.channels)

    @property
    def device(self) -> torch.device:
        """Where the buffer is."""
        return self.buffer.device

    @property
    def canvas(self) -> Sizes:
        """The sizes as transforms compute with them."""
        numbers = self.sizes.to(matrix_dtype(self.device))
        return Sizes(numbers[:, 0], numbers[:, 1], self.host)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.host)

    def __iter__(self) -> Iterator[Tensor]:
        """Go over views (C, H, W) of the images."""
        at, values = 0, self.values
        for h, w in self.host:
            yield values[at : at + self.channels * h * w].view(self.channels, h, w)
            at += self.channels * h * w

    def __getitem__(self, index: int) -> Tensor:
        """Return a view (C, H, W) of one image."""
        return list(self)[index]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Ragged:
        """Return the same on another device, in one copy."""
        return replace(self, buffer=self.buffer.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Ragged:
        """Return the same in pinned memory; a DataLoader with `pin_memory=True` calls it."""
        return replace(self, buffer=self.buffer.pin_memory())

    def padded(self, size: tuple[int, int], fill: float | Sequence[float] = 0) -> Tensor:
        """Return (B, C, *size): each image at the top left of a canvas of `fill`, a number or one for each channel."""
        fills = fill if isinstance(fill, Sequence) else (fill,)
        out = torch.empty((len(self), self.channels, *size), dtype=self.dtype, device=self.device)
        for c in range(self.channels):
            out[:, c].fill_(fills[c if len(fills) > 1 else 0])
        for row, image in zip(out, self, strict=True):
            row[:, : image.shape[1], : image.shape[2]] = image
        return out
