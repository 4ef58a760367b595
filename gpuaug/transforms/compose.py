"""Containers: Compose, RandomApply, SelectiveChannelTransform."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from gpuaug.data.batch import NAMED, ROLES, Settings
from gpuaug.data.instances import BboxParams, KeypointParams
from gpuaug.render.backend import BACKENDS
from gpuaug.render.settings import as_fill, as_interpolation
from gpuaug.render.values import as_value_range
from gpuaug.sampling.law import Number
from gpuaug.sampling.layout import Declaration
from gpuaug.transforms.base import Transform, as_channels, check_p
from gpuaug.transforms.crop import as_size
from gpuaug.transforms.given import GIVEN
from gpuaug.transforms.layer import SETTINGS, Gate, Layer, Names, Node

__all__ = ["Compose", "RandomApply", "SelectiveChannelTransform"]


class Container(Layer):
    """Layers in order."""

    def __init__(
        self,
        transforms: Sequence[nn.Module],
        seed: int | None = None,
        rank: int | None = None,
        save_state: bool = True,
    ) -> None:
        """Register the children."""
        super().__init__(seed, rank, save_state)
        owner = type(self).__name__
        if isinstance(transforms, nn.Module) or not isinstance(transforms, Sequence):
            raise TypeError(f"{owner}: transforms must be a list of transforms, got {type(transforms).__name__}")
        for i, transform in enumerate(transforms):
            if not isinstance(transform, Layer):
                raise TypeError(f"{owner}: transforms[{i}] must be a gpuaug transform, got {type(transform).__name__}")
            self.add_module(str(i), transform)

    @property
    def enabled(self) -> bool:
        """Whether what mixes samples in it is switched on; to be set for all of it at once."""
        return all(mix.enabled for mix in self._mixes())

    @enabled.setter
    def enabled(self, on: bool) -> None:
        mixes = self._mixes()
        if not mixes:
            raise AttributeError(f"{type(self).__name__}: enabled can be set where samples meet in it, got {on!r}")
        for mix in mixes:
            mix.enabled = on

    def _mixes(self) -> list[Any]:
        return [layer for layer in self.modules() if layer is not self and getattr(layer, "mixes", False)]

    def _children(self) -> list[Layer]:
        return [child for child in self.children() if isinstance(child, Layer)]

    def __len__(self) -> int:
        """Return the number of children."""
        return len(self._children())

    def __getitem__(self, index: int) -> Layer:
        """Return a child."""
        return self._children()[index]

    def __iter__(self) -> Iterator[Layer]:
        """Go over the children."""
        return iter(self._children())

    def flatten(self, names: Names, gates: tuple[Gate, ...], channels: tuple[int, ...] | None) -> Iterator[Node]:
        """Go over the transforms of all children."""
        for child in self._children():
            yield from child.flatten(names, gates, channels)

    def _evaluated_children(self) -> list[Layer]:
        return [layer for layer in (child.evaluation() for child in self._children()) if layer is not None]


def _as_roles(roles: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    if roles is not None and not isinstance(roles, Mapping):
        raise TypeError(f"Compose: roles must be a dict of roles by key, got {roles!r}")
    for key, role in (roles or {}).items():
        if role not in ROLES:
            raise ValueError(f"Compose: roles must be one of {', '.join(ROLES)}, got {role!r} for {key!r}")
    return tuple((roles or {}).items())


def _as_mirrored(labels: Mapping[int, int] | None) -> tuple[tuple[int, int], ...]:
    pairs = tuple(labels.items()) if isinstance(labels, Mapping) else ()
    if labels is not None and not isinstance(labels, Mapping):
        raise TypeError(f"Compose: mirror_labels must be a dict of classes by class, got {labels!r}")
    if any(isinstance(label, bool) or not isinstance(label, int) for pair in pairs for label in pair):
        raise TypeError(f"Compose: mirror_labels must be of integers, got {labels!r}")
    return pairs


def _as_params(value: Any, kind: type[Any], name: str) -> Any:
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"Compose: {name} must be gpuaug.{kind.__name__}, got {value!r}")
    return kind() if value is None else value


class Compose(Container):
    """Apply transforms in order, each sample with its own draws, in as few passes over the pixels as possible.

    Args:
        transforms: transforms and containers, in order.
        eval: the pipeline of `eval()` mode, stated outright; None derives it: random transforms become the identity,
            `RandomResizedCrop` a resize and centre crop, deterministic ones stay.
        seed: seed of the draws; None draws one from torch's default generator at first use.
        fuse: False gives every transform a pass of its own.
        interpolation: for all geometric transforms that do not say: "bilinear" (default), "nearest", "bicubic"; or a
            dict by target: {"image": "bicubic", "depth": "nearest"}; masks are "nearest".
        fill: value shown where there is no image, in the input's unit, for all transforms that do not say; or a dict by
            target: {"image": 0, "mask": 255}.
        antialias: for all geometric transforms that do not say: whether the filter widens where the image shrinks.
        bbox_params: what boxes look like and which of them survive; None is `BboxParams()`.
        keypoint_params: origin of keypoints, and which are left and right of each other; None is `KeypointParams()`.
        mirror_labels: classes that a mirror exchanges, such as {2: 3} for left and right.
        roles: further keys of a dict, each "image" (as the image), "dense" (moved and blended, such as depth) or
            "mask" (moved by nearest pixel).
        pad_to: (height, width), or a number for a square, to which what comes out is padded at the bottom right with
            `fill`; what comes out then has `padding_mask` (B, H, W), True = padding, and `sizes` (B, 2): as keys of a
            dict, or as fields of a named tuple with `images`.
        pad_divisor: whole number of which height and width become a multiple, likewise; without `pad_to` from the
            largest image's.
        value_range: (black, white), numbers or one for each channel, in the input's unit; None is 0 to the largest
            value of an unsigned dtype, 0 to 1 for floats; needed for int16. Pixel operations see black as 0 and white
            as 1, and clamp where they clamp; geometry keeps values beyond. Where no fill is said it is black.
        format: "ultralytics" (a dict of `img`, `batch_idx`, `cls`, `bboxes`), "yolox" (images and rows (B, N, 5)) or
            "detr" (images and the mask of their padding with targets, or a dict of `pixel_values`, `pixel_mask` and
            `labels`; boxes count from the corner of what is not padding, wherever a flip has put it); None knows
            tensors, dicts with `image` and torchvision's structures by their type.
        backend: "torch" or "triton"; None takes Triton where it is installed, for images of up to four channels on a
            CUDA device that need no gradients, and torch otherwise.
        rank: overrides the distributed rank that separates the draws of processes.
        save_state: False keeps seed and clock out of `state_dict`.

    Shape:
        (B, C, H, W) to (B, C, h, w), or (C, H, W) to (C, h, w); dtype and memory format kept unless `Normalize` or
        `ToDtype` changes them.

    Boxes and masks:
        In a dict with `image`, or in torchvision's structures, `mask`, `boxes`, `masks`, `keypoints` move along.

    Raises:
        ValueError: for a pipeline that makes no sense, such as a colour operation after `Normalize`.

    Source: torchvision.transforms.v2.Compose.

    Example:
        >>> import torch, gpuaug as ga
        >>> augment = ga.Compose([ga.RandomResizedCrop(24), ga.RandomHorizontalFlip(), ga.ColorJitter(0.4)], seed=0)
        >>> augment(torch.zeros(4, 3, 32, 40, dtype=torch.uint8)).shape
        torch.Size([4, 3, 24, 24])
    """

    def __init__(
        self,
        transforms: Sequence[nn.Module],
        *,
        eval: Sequence[nn.Module] | None = None,
        seed: int | None = None,
        fuse: bool = True,
        interpolation: Any = None,
        fill: Any = None,
        antialias: bool = True,
        bbox_params: BboxParams | None = None,
        keypoint_params: KeypointParams | None = None,
        mirror_labels: Mapping[int, int] | None = None,
        roles: Mapping[str, str] | None = None,
        pad_to: int | Sequence[int] | None = None,
        pad_divisor: int | None = None,
        value_range: Any = None,
        format: str | None = None,
        backend: str | None = None,
        rank: int | None = None,
        save_state: bool = True,
    ) -> None:
        """Build the pipeline; see the class."""
        super().__init__(transforms, seed, rank, save_state)
        if not isinstance(fuse, bool) or not isinstance(antialias, bool):
            raise TypeError(f"Compose: fuse and antialias must be True or False, got {fuse!r} and {antialias!r}")
        self.fuse = fuse
        by_target = {"interpolation": interpolation, "fill": fill}
        for name, value in by_target.items():
            if isinstance(value, Mapping):
                by_target[name] = value.get("image")
                setattr(self, f"target_{name}", {k: v for k, v in value.items() if k != "image"})
        self.interpolation = as_interpolation(by_target["interpolation"], "Compose")
        self.fill = as_fill(by_target["fill"], "Compose")
        self.settings = Settings(
            _as_params(bbox_params, BboxParams, "bbox_params"),
            _as_params(keypoint_params, KeypointParams, "keypoint_params"),
            _as_roles(roles),
            _as_mirrored(mirror_labels),
            None if pad_to is None else as_size(pad_to, "Compose", "pad_to"),
            None if pad_divisor is None else as_size(pad_divisor, "Compose", "pad_divisor")[0],
            as_value_range(value_range, "Compose"),
            format,
        )
        if format is not None and format not in NAMED:
            raise ValueError(f"Compose: format must be one of {', '.join(NAMED)}, got {format!r}")
        if backend not in BACKENDS:
            raise ValueError(f"Compose: backend must be 'torch', 'triton' or None, got {backend!r}")
        self.antialias, self.backend = antialias, backend
        self.__dict__["_eval"] = None if eval is None else Compose(eval)  # no child: `children` are what trains
        self._build()
        self._check_order()
        self._check_keys()
        self._check_interpolation()

    def _check_interpolation(self) -> None:
        classes = {"mask", "masks", *(key for key, role in self.settings.roles if role == "mask")}
        for key, value in self.target_interpolation.items():
            self.target_interpolation[key] = as_interpolation(value, "Compose") or "bilinear"
            if key in classes and self.target_interpolation[key] != "nearest":
                raise ValueError(
                    f"Compose: interpolation of {key!r} must be 'nearest', got {value!r}: what is to be blended is a"
                    ' further key with the role "dense"'
                )

    def _check_keys(self) -> None:
        known = ("image", *(key for key, _ in self.settings.roles))
        for node in self.nodes:
            for key in node.transform.keys or ():
                if key not in known:
                    raise ValueError(
                        f"Compose: keys of {node.name} must be `image` or in `roles` ({', '.join(known)}), got {key!r}"
                    )

    def _check_order(self) -> None:
        normalizer: str | None = None
        for node in self.nodes:
            if normalizer is not None and node.transform.clamps:
                raise ValueError(
                    f"Compose: {node.name} needs values between black and white and may not follow {normalizer}, "
                    f"got it at place {self.nodes.index(node)}"
                )
            if node.transform.normalizes:
                normalizer = node.name

    def extra_repr(self) -> str:
        """Show which backend renders."""
        return f"backend={self.backend!r}"

    def evaluation(self) -> Layer | None:
        """Return the validation preprocessing."""
        stated: Layer | None = self.__dict__["_eval"]
        return stated if stated is not None else Compose(self._evaluated_children())

    def __getitem__(self, index: int | slice) -> Layer:
        """Return a child, or a Compose of some with the same settings and a state of its own."""
        if isinstance(index, int):
            return self._children()[index]
        return self.of(self._children()[index])

    def of(self, children: Sequence[Layer]) -> Compose:
        """Return a pipeline of other children with the settings and the state of this one."""
        part = Compose(children, rank=self._rank, save_state=self._save_state)
        for setting in SETTINGS:
            setattr(part, setting, getattr(self, setting))
        part.__dict__[GIVEN] = {**self.__dict__[GIVEN], "eval": None}
        part._state, part._seeded = self._state.clone(), self._seeded
        part._explicit_seed = self._explicit_seed
        return part


class RandomApply(Container):
    """Apply a list of transforms together to each sample with probability `p`.

    Args:
        transforms: transforms that keep the canvas.
        p: probability for each sample; 0 is neutral.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        As each transform.

    Raises:
        ValueError: where a transform changes the canvas or the dtype, which cannot differ within a batch.

    Source: torchvision.transforms.v2.RandomApply, with a decision for each sample.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomApply([ga.ColorJitter(0.4)], p=0.8)(torch.zeros(4, 3, 8, 10)).shape
        torch.Size([4, 3, 8, 10])
    """

    def __init__(self, transforms: Sequence[nn.Module], p: Number = 0.5) -> None:
        """Build the container; see the class."""
        super().__init__(transforms)
        self.p = check_p(p, "RandomApply")
        self._build()
        for node in self.nodes:
            refuse_changing(node.transform, "RandomApply")

    def flatten(self, names: Names, gates: tuple[Gate, ...], channels: tuple[int, ...] | None) -> Iterator[Node]:
        """Go over the children, under one more gate."""
        name = names.take("RandomApply")
        names.declarations.append(Declaration(name, {}, self.p))
        yield from super().flatten(names, (*gates, Gate(name)), channels)

    def evaluation(self) -> Layer | None:
        """Return the deterministic children where p is 1, else None: the identity."""
        return Compose(self._evaluated_children()) if self.p == 1 else None

    def extra_repr(self) -> str:
        """Show p."""
        return f"p={self.p:g}"


class SelectiveChannelTransform(Container):
    """Apply photometric transforms to some bands of a multi-band image only.

    Args:
        transforms: one photometric transform, or a list.
        channels: indices of the bands, in the order in which the transforms see them.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Raises:
        TypeError: where a transform moves pixels.

    Source: albumentations.SelectiveChannelTransform.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.SelectiveChannelTransform(ga.ColorJitter(hue=0.1), channels=(2, 1, 0))(torch.zeros(2, 8, 6, 5)).shape
        torch.Size([2, 8, 6, 5])
    """

    def __init__(self, transforms: nn.Module | Sequence[nn.Module], channels: Sequence[int] = (0, 1, 2)) -> None:
        """Build the container; see the class."""
        super().__init__([transforms] if isinstance(transforms, nn.Module) else transforms)
        self.channels = as_channels(channels, "SelectiveChannelTransform") or ()
        self._build()
        for node in self.nodes:
            if not node.transform.selectable:
                raise TypeError(
                    f"SelectiveChannelTransform: transforms must change values only and keep the dtype, got {node.name}"
                )

    def flatten(self, names: Names, gates: tuple[Gate, ...], channels: tuple[int, ...] | None) -> Iterator[Node]:
        """Go over the children, limited to the bands."""
        yield from super().flatten(names, gates, self.channels)

    def evaluation(self) -> Layer | None:
        """Return the deterministic children, limited to the bands."""
        children = self._evaluated_children()
        return SelectiveChannelTransform(children, self.channels) if children else None

    def extra_repr(self) -> str:
        """Show the bands."""
        return f"channels={self.channels}"


def joined(first: Layer, second: Layer) -> Compose:
    """Return a pipeline of two, with the settings and the state of the first where it is a Compose."""
    children = [child for part in (first, second) for child in (part if isinstance(part, Compose) else [part])]
    return first.of(children) if isinstance(first, Compose) else Compose(children)


def refuse_changing(transform: Transform, owner: str) -> None:
    """Raise where a transform changes canvas, channels or dtype: that cannot differ from sample to sample."""
    probe = (61, 47)
    if (
        transform.output_canvas(probe) != probe
        or transform.output_channels(3) != 3
        or transform.normalizes
        or transform.changes_dtype
        or transform.box_format is not None
        or transform.copies > 1
        or transform.retimes
    ):
        raise ValueError(
            f"{owner}: a transform that changes size, channels, dtype, box format or the number of samples or frames"
            f" cannot be applied to some samples only, got {type(transform).__name__}"
        )
