"""Which patches a model does not see: masks for masked image modelling, beside the images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gpuaug.geometry.canvas import Sizes
from gpuaug.render.plan import Plan
from gpuaug.sampling.distributions import LogUniform, Uniform, as_distribution
from gpuaug.sampling.generator import uniform
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn, Transform
from gpuaug.transforms.layer import Context, Node
from gpuaug.transforms.noise import KEY, as_key
from gpuaug.transforms.sizes import as_size

__all__ = ["RandomBlockMask", "RandomJEPAMask", "RandomPatchMask"]

BLOCKS = 24
"""Rectangles that are laid out for a sample; patches that they leave over are taken evenly."""


class _PatchMask(Transform):
    """A transform that changes nothing, and whose parameters come out: masks of patches."""

    def __init__(self, patch_size: int | Sequence[int], p: Number, **outputs: str) -> None:
        """Remember the patches, and under which keys masks come out."""
        super().__init__(p)
        self.patch_size = as_size(patch_size, type(self).__name__, "patch_size")
        for name, key in outputs.items():
            if not isinstance(key, str) or not key:
                raise TypeError(f"{type(self).__name__}: {name} must be the key of an output, got {key!r}")
        self.outputs = {name.removesuffix("_key"): key for name, key in outputs.items()}

    def grid(self, context: Context) -> tuple[int, int]:
        """Return how many patches there are, down and across."""
        h, w = context.canvas
        if isinstance(context.canvas, Sizes):
            raise ValueError(f"{type(self).__name__}: images must have one size, got several: crop or pad them before")
        down, across = self.patch_size
        if h % down or w % across:
            raise ValueError(
                f"{type(self).__name__}: images must be of whole patches of {down}x{across} pixels, got {h}x{w}"
            )
        return h // down, w // across

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Draw masks; samples that the gate leaves out have none."""
        values = super().settle(raw, gate, context)
        if gate is not None:
            for name in self.outputs:
                values[name] = values[name] & gate.view(-1, *[1] * (values[name].dim() - 1))
        return values

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Do nothing to pixels."""


def _uniforms(key: Tensor, count: int) -> Tensor:
    """Return (B, count) uniforms, the same on every device: how many are needed is a matter of the canvas."""
    columns = torch.arange(count, device=key.device)
    return uniform(key.new_full((2,), 2), key, key >> 32, torch.arange(-(-count // 4), device=key.device), columns)


def _first(score: Tensor, count: Tensor) -> Tensor:
    """Return a mask of the `count` (B,) lowest scores of each row (B, N): exactly as many."""
    rank = torch.argsort(torch.argsort(score, dim=1, stable=True), dim=1)
    return rank < count[:, None]


def _rectangles(top: Tensor, left: Tensor, height: Tensor, width: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return rectangles (B, K) of patches as masks (B, K, gh, gw)."""
    y = torch.arange(grid[0], device=top.device)[:, None]
    x = torch.arange(grid[1], device=top.device)
    top, left, height, width = (t[..., None, None] for t in (top, left, height, width))
    return (y >= top) & (y < top + height) & (x >= left) & (x < left + width)


def _place(u: Tensor, size: Tensor, room: int) -> Tensor:
    """Return where something of a size begins, each place as likely."""
    return torch.minimum(torch.floor(u * (room - size + 1)), room - size)


class RandomPatchMask(_PatchMask):
    """Draw which patches of each sample a model does not see, each as likely; the images stay as they are.

    Args:
        patch_size: side of a patch in pixels, or (height, width).
        ratio: share of the patches that are masked, of which the nearest whole number is taken: a number, or a range
            to draw from; 0 is neutral.
        mask_key: key under which the mask comes out, beside those of a dict.
        p: probability for each sample; the others have an empty mask.

    Shape:
        (B, C, H, W) to the same; the mask is (B, H / patch, W / patch) bool, True where a patch is masked. Of images
        that are not in a dict it is in the parameters: `augment(images, return_params=True)`.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for a ratio outside 0..1; when called on images that are not of whole patches, or of several sizes.

    Source: He et al., "Masked Autoencoders Are Scalable Vision Learners" (2022).

    Example:
        >>> import torch, gpuaug as ga
        >>> out = ga.RandomPatchMask(8, 0.75)({"image": torch.zeros(2, 3, 32, 48)})
        >>> out["patch_mask"].shape, out["patch_mask"].sum((1, 2)).tolist()
        (torch.Size([2, 4, 6]), [18, 18])
    """

    def __init__(
        self,
        patch_size: int | Sequence[int] = 16,
        ratio: Range = 0.75,
        *,
        mask_key: str = "patch_mask",
        p: Number = 1.0,
    ) -> None:
        """See the class."""
        super().__init__(patch_size, p, mask_key=mask_key)
        law = as_distribution(ratio, owner="RandomPatchMask", name="ratio", low=0.0, high=1.0)
        self.declare(ratio=law, _key=KEY)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `ratio` and `mask`."""
        h, w = self.grid(context)
        mask = _first(_uniforms(as_key(raw["_key"]), h * w), torch.round(raw["ratio"] * (h * w)))
        return {"ratio": raw["ratio"], "mask": mask.view(-1, h, w)}


class RandomBlockMask(_PatchMask):
    """Draw rectangles of patches of each sample that a model does not see; the images stay as they are.

    Rectangles are laid down one after another, and the last one is cut, from one of its sides, so that exactly as many
    patches are masked.

    Args:
        patch_size: side of a patch in pixels, or (height, width).
        ratio: share of the patches that are masked, of which the nearest whole number is taken: a number, or a range
            to draw from; 0 is neutral.
        num_patches_range: (low, high) number of patches of a rectangle; a high of None for all that are to be masked.
        aspect_range: range of a rectangle's height over width, drawn evenly in its logarithm.
        mask_key: key under which the mask comes out, beside those of a dict.
        p: probability for each sample; the others have an empty mask. iBOT and DINOv2 take 0.5, and 0.1 to 0.5 as
            `ratio`.

    Shape:
        (B, C, H, W) to the same; the mask is (B, H / patch, W / patch) bool, True where a patch is masked. Of images
        that are not in a dict it is in the parameters: `augment(images, return_params=True)`.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for a ratio outside 0..1, or numbers out of order; when called on images that are not of whole
            patches, or of several sizes.

    Source: Bao et al., "BEiT" (2022), algorithm 1; Zhou et al., "iBOT" (2022). Where 24 rectangles are not enough the
    rest is taken evenly.

    Example:
        >>> import torch, gpuaug as ga
        >>> out = ga.RandomBlockMask(8, 0.4)({"image": torch.zeros(2, 3, 64, 80)})
        >>> out["patch_mask"].shape, out["patch_mask"].sum((1, 2)).tolist()
        (torch.Size([2, 8, 10]), [32, 32])
    """

    def __init__(
        self,
        patch_size: int | Sequence[int] = 16,
        ratio: Range = 0.4,
        num_patches_range: tuple[int, int | None] = (16, None),
        aspect_range: Range = (0.3, 1 / 0.3),
        *,
        mask_key: str = "patch_mask",
        p: Number = 1.0,
    ) -> None:
        """See the class."""
        super().__init__(patch_size, p, mask_key=mask_key)
        owner = "RandomBlockMask"
        low, high = num_patches_range
        if any(isinstance(v, bool) or not isinstance(v, int) for v in (low, low if high is None else high)) or not (
            1 <= low <= (low if high is None else high)
        ):
            raise ValueError(
                f"{owner}: num_patches_range must be integers with 1 <= low <= high, got {num_patches_range!r}"
            )
        self.num_patches_range = (low, high)
        aspect = as_distribution(aspect_range, owner=owner, name="aspect_range", low=1e-6)
        if isinstance(aspect, Uniform):
            aspect = LogUniform(aspect.low, aspect.high)
        self.declare(
            ratio=as_distribution(ratio, owner=owner, name="ratio", low=0.0, high=1.0),
            _aspect=(aspect, BLOCKS),
            _area=(Uniform(0.0, 1.0), BLOCKS),
            _place=(Uniform(0.0, 1.0), 2 * BLOCKS),
            _side=(Uniform(0.0, 1.0), 2),
            _key=KEY,
        )

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `ratio` and `mask`."""
        h, w = self.grid(context)
        count = torch.round(raw["ratio"] * (h * w))
        low, high = self.num_patches_range
        least = count.clamp(max=low)[:, None]
        most = count[:, None] if high is None else count.clamp(max=high)[:, None]
        area = least + raw["_area"] * (most - least)
        height = torch.round(torch.sqrt(area * raw["_aspect"])).clamp(1, h)
        width = torch.round(torch.sqrt(area / raw["_aspect"])).clamp(1, w)
        u, v = raw["_place"].chunk(2, dim=1)
        laid = _rectangles(_place(u, height, h), _place(v, width, w), height, width, (h, w)).flatten(2)
        turn = torch.arange(BLOCKS, device=laid.device)[:, None]
        # Patches in the order in which rectangles cover them, each from one of its sides; last those that none covers.
        first = torch.where(laid, turn, BLOCKS).amin(dim=1)
        place = torch.arange(h * w, device=laid.device).view(h, w) / (h * w)
        by_column = torch.arange(h * w, device=laid.device).view(w, h).T / (h * w)
        across, back = (raw["_side"] < 0.5).view(-1, 2, 1, 1).unbind(1)
        place = torch.where(across, by_column, place)
        place = torch.where(back, 1 - 1 / (h * w) - place, place).flatten(1).clamp(min=0)
        score = first + torch.where(first < BLOCKS, place, _uniforms(as_key(raw["_key"]), h * w))
        return {"ratio": raw["ratio"], "mask": _first(score, count).view(-1, h, w)}


class RandomJEPAMask(_PatchMask):
    """Draw of each sample which patches a model sees, and which blocks of others it predicts; images stay as they are.

    Args:
        patch_size: side of a patch in pixels, or (height, width).
        num_targets: how many blocks are predicted; those of a sample have one size.
        target_scale: range of the area of a target, as a share of the patches.
        target_aspect: range of a target's height over width.
        context_scale: range of the area of the square that is seen, before what is predicted is taken out.
        allow_overlap: whether the context keeps what is predicted.
        context_key: key under which the context comes out, beside those of a dict.
        targets_key: key under which the targets come out.
        p: probability for each sample; the others have empty masks.

    Shape:
        (B, C, H, W) to the same; the context is (B, H / patch, W / patch) bool, True where a patch is seen, the targets
        are (B, num_targets, H / patch, W / patch) bool. With numbers for scale and aspect all targets are of as many
        patches. Of images that are not in a dict they are in the parameters: `augment(images, return_params=True)`.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for scales outside 0..1; when called on images that are not of whole patches, or of several sizes.

    Source: Assran et al., "Self-Supervised Learning from Images with a Joint-Embedding Predictive Architecture" (2023),
    where the samples of a batch share the sizes of blocks.

    Example:
        >>> import torch, gpuaug as ga
        >>> out = ga.RandomJEPAMask(8)({"image": torch.zeros(2, 3, 64, 80)})
        >>> out["context_mask"].shape, out["target_masks"].shape
        (torch.Size([2, 8, 10]), torch.Size([2, 4, 8, 10]))
    """

    def __init__(
        self,
        patch_size: int | Sequence[int] = 16,
        num_targets: int = 4,
        target_scale: Range = (0.15, 0.2),
        target_aspect: Range = (0.75, 1.5),
        context_scale: Range = (0.85, 1.0),
        allow_overlap: bool = False,
        *,
        context_key: str = "context_mask",
        targets_key: str = "target_masks",
        p: Number = 1.0,
    ) -> None:
        """See the class."""
        super().__init__(patch_size, p, context_key=context_key, targets_key=targets_key)
        owner = "RandomJEPAMask"
        if isinstance(num_targets, bool) or not isinstance(num_targets, int) or num_targets < 1:
            raise ValueError(f"{owner}: num_targets must be an integer of at least 1, got {num_targets!r}")
        self.num_targets, self.allow_overlap = num_targets, bool(allow_overlap)
        scales: dict[str, Any] = {
            name: as_distribution(value, owner=owner, name=name, low=0.0, high=1.0)
            for name, value in (("target_scale", target_scale), ("context_scale", context_scale))
        }
        aspect = as_distribution(target_aspect, owner=owner, name="target_aspect", low=1e-6)
        self.declare(**scales, target_aspect=aspect, _place=(Uniform(0.0, 1.0), 2 * (num_targets + 1)))

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `target_scale`, `target_aspect`, `context_scale`, and the masks `context` and `targets`."""
        h, w = self.grid(context)
        u, v = raw["_place"].chunk(2, dim=1)

        def blocks(scale: Tensor, aspect: Tensor | float, part: slice) -> Tensor:
            area = torch.floor(scale * (h * w))[:, None]
            aspect = aspect[:, None] if isinstance(aspect, Tensor) else aspect
            height = torch.round(torch.sqrt(area * aspect)).clamp(1, h)
            width = torch.round(torch.sqrt(area / aspect)).clamp(1, w)
            return _rectangles(_place(u[:, part], height, h), _place(v[:, part], width, w), height, width, (h, w))

        targets = blocks(raw["target_scale"], raw["target_aspect"], slice(1, None))
        seen = blocks(raw["context_scale"], 1.0, slice(0, 1))[:, 0]
        if not self.allow_overlap:
            seen = seen & ~targets.any(dim=1)
        drawn = {name: raw[name] for name in ("target_scale", "target_aspect", "context_scale")}
        return {**drawn, "context": seen, "targets": targets}
