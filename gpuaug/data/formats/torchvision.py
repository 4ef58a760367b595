"""torchvision's structures: `tv_tensors` of one sample in any tree, and detection's lists of images and of targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as tree
from torchvision import tv_tensors as tvt

from gpuaug.data.batch import Batch, Settings, Write, as_images
from gpuaug.data.instances import FORMATS, Instances, boxes_from_xyxy, boxes_to_xyxy
from gpuaug.data.pad import Padded
from gpuaug.data.ragged import Ragged
from gpuaug.render.values import movable

__all__ = ["read", "read_detection", "read_targets"]


def _box_format(boxes: Tensor, owner: str, otherwise: str = "xyxy") -> str:
    if not isinstance(boxes, tvt.BoundingBoxes):
        return otherwise
    name = str(boxes.format.value).lower()
    if name not in FORMATS:
        raise ValueError(f"{owner}: boxes must be in one of the formats {', '.join(FORMATS)}, got {boxes.format}")
    return name


def _wrapped(value: Tensor, like: Tensor, canvas: tuple[int, int], box_format: str) -> Any:
    """Return a tensor as the kind of tv_tensor that came in; boxes in the format they are in now."""
    if isinstance(like, tvt.BoundingBoxes):
        mode = {"clamping_mode": like.clamping_mode} if hasattr(like, "clamping_mode") else {}
        layout, fractions = FORMATS[box_format]
        if fractions:
            raise ValueError(f"gpuaug: BoundingBoxes must be in pixels, got a conversion to {box_format!r}")
        return tvt.BoundingBoxes(value, format=layout.upper(), canvas_size=canvas, **mode)
    if isinstance(like, tvt.KeyPoints):
        return tvt.KeyPoints(value, canvas_size=canvas)
    for kind in (tvt.Image, tvt.Mask):
        if isinstance(like, kind):
            return kind(value)
    return value


def read(inputs: tuple[Any, ...], owner: str, settings: Settings) -> tuple[Batch, Write]:
    """Read one sample: the image, and the boxes, masks and keypoints on it, wherever they are in the structure."""
    structure = inputs[0] if len(inputs) == 1 else inputs
    leaves, spec = tree.tree_flatten(structure)
    found: dict[str, int] = {}
    kinds = {"image": tvt.Image, "boxes": tvt.BoundingBoxes, "mask": tvt.Mask, "keypoints": tvt.KeyPoints}
    for i, leaf in enumerate(leaves):
        for name, kind in kinds.items():
            if isinstance(leaf, kind) or (name == "image" and isinstance(leaf, tvt.Video)):
                if name in found:
                    raise ValueError(f"{owner}: a sample must have one {kind.__name__}, got two")
                found[name] = i
    image = leaves[found["image"]]
    if isinstance(image, tvt.Video):
        return _read_video(leaves, spec, found, owner)
    given = as_images(image.as_subclass(Tensor), owner)
    if given.shape[0] != 1 and len(found) > 1:
        raise ValueError(
            f"{owner}: boxes, masks and keypoints as tv_tensors go with one image, got {tuple(image.shape)}"
        )
    plain = {name: leaves[i].as_subclass(Tensor)[None] for name, i in found.items()}
    canvas = (given.shape[2], given.shape[3])
    boxes = keypoints = masks = mask = None
    box_format, rows = "xyxy", None
    if "boxes" in plain:
        box_format = _box_format(leaves[found["boxes"]], owner)
        boxes = boxes_to_xyxy(plain["boxes"], box_format, canvas)
        rows = boxes.shape[1]
    alone = "keypoints" in plain and plain["keypoints"].dim() == 3
    if "keypoints" in plain:
        keypoints = plain["keypoints"][:, None] if alone else plain["keypoints"]
        rows = keypoints.shape[1] if rows is None else rows
    by_object = "mask" in plain and plain["mask"].dim() == 4 and plain["mask"].shape[1] == rows
    if by_object:
        masks = plain["mask"]
    elif "mask" in plain:
        mask = plain["mask"] if plain["mask"].dim() == 4 else plain["mask"][:, None]
    instances = None
    if rows is not None:
        valid = torch.ones((1, rows), dtype=torch.bool, device=given.device)
        points = None if keypoints is None else keypoints.to(torch.promote_types(keypoints.dtype, torch.float32))
        instances = Instances(valid, boxes, None, masks, points)

    def write(out: Batch) -> Any:
        size, form = (out.image.shape[2], out.image.shape[3]), out.box_format
        results = list(leaves)

        def put(name: str, value: Tensor) -> None:
            like = leaves[found[name]]
            results[found[name]] = _wrapped(
                value if value.dtype == like.dtype else value.to(like.dtype), like, size, form
            )

        if out.image is not given:
            results[found["image"]] = tvt.Image(out.image if image.dim() == 4 else out.image[0])
        rows = out.instances
        if out.mask is not None and not by_object:
            put("mask", out.mask[0] if plain["mask"].dim() == 4 else out.mask[0, 0])
        if rows is not None and rows.boxes is not None:
            put("boxes", boxes_from_xyxy(rows.boxes, form, size)[0])
        if rows is not None and rows.masks is not None:
            put("mask", rows.masks[0])
        if rows is not None and rows.keypoints is not None:
            put("keypoints", rows.keypoints[0, 0] if alone else rows.keypoints[0])
        return tree.tree_unflatten(results, spec)

    return Batch(given, mask, instances, box_format=box_format), write


def _read_video(leaves: list[Any], spec: Any, found: dict[str, int], owner: str) -> tuple[Batch, Write]:
    """Read a clip (..., T, C, H, W), whose frames share parameters, and a mask for each frame."""
    video = leaves[found["image"]]
    if video.dim() not in (4, 5) or {"boxes", "keypoints"} & found.keys():
        raise ValueError(
            f"{owner}: a Video must be (T, C, H, W) or (B, T, C, H, W), with masks at most, got {tuple(video.shape)}"
            f" and {', '.join(found)}"
        )
    plain = video.as_subclass(Tensor)
    given = as_images(plain if plain.dim() == 5 else plain[None], owner)
    mask = leaves[found["mask"]].as_subclass(Tensor) if "mask" in found else None
    flat = None if mask is None else mask.reshape(given.shape[0], -1, *given.shape[2:])

    def write(out: Batch) -> Any:
        results = list(leaves)
        if out.image is not given:
            results[found["image"]] = tvt.Video(out.image.reshape(*video.shape[:-3], *out.image.shape[1:]))
        if mask is not None and out.mask is not None:
            results[found["mask"]] = tvt.Mask(out.mask.reshape(*mask.shape[:-2], *out.mask.shape[2:]))
        return tree.tree_unflatten(results, spec)

    return Batch(given, flat, frames=video.shape[-4], clips=True), write


def _padded(values: Sequence[Tensor], rows: int, like: Tensor) -> Tensor:
    out = like.new_zeros((len(values), rows, *like.shape[1:]))
    for i, value in enumerate(values):
        out[i, : value.shape[0]] = value
    return out


def read_detection(inputs: tuple[Any, ...], owner: str, settings: Settings) -> tuple[Batch, Write]:
    """Read `images, targets` as torchvision's detection models take them.

    Rows are padded to the largest number of objects; what comes out has only the valid ones, which waits for the
    device once.
    """
    images, targets = inputs[0] if len(inputs) == 1 else inputs
    as_one = len(inputs) == 1
    if len(images) != len(targets) or not images:
        raise ValueError(f"{owner}: images and targets must be of one number, got {len(images)} and {len(targets)}")
    plain = [image.as_subclass(Tensor) for image in images]
    one_size = len({image.shape for image in plain}) == 1
    formats = _box_format(targets[0]["boxes"], owner, settings.bbox.format)
    given = Batch(as_images(torch.stack(plain) if one_size else plain, owner), box_format=formats)
    given.instances, write_targets = read_targets(targets, given, owner)

    def write(out: Batch) -> Any:
        form = out.box_format
        new = [_wrapped(x, like, tuple(x.shape[1:]), form) for x, like in zip(out.image, images, strict=True)]
        first: Any = type(images)(new)
        if out.padding_mask is not None and out.sizes is not None:
            first = Padded(out.image, out.padding_mask, out.sizes)
        pair = (first, write_targets(out))
        return type(inputs[0])(pair) if as_one else pair

    return given, write


OF_SAMPLES = ("image_id", "orig_size", "size")
"""What the targets of detection say of a sample, and never of its objects, whatever their number."""


def read_targets(
    targets: Sequence[Any],
    given: Batch,
    owner: str,
    change: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Instances, Callable[[Batch], Any]]:
    """Read one dict for each sample, with `boxes` and whatever else has a row for each box; and how to write them.

    Args:
        targets: the dicts.
        given: the images, and the format of the boxes.
        owner: name of the class that was called, for messages.
        change: what is done to boxes that are read as fractions of the canvas and are of something else; or None.
    """
    if len(targets) != len(given) or any("boxes" not in t for t in targets):
        raise ValueError(f"{owner}: targets must be {len(given)} dicts with boxes, as the images, got {len(targets)}")
    device, one_size = given.image.device, not isinstance(given.image, Ragged)
    counts = [int(t["boxes"].shape[0]) for t in targets]
    most = max([*counts, 1])
    example = dict(targets[0]) if len(targets) else {"boxes": torch.zeros((0, 4), device=device)}
    rowed = [
        key
        for key, value in example.items()
        if isinstance(value, Tensor)
        and value.dim() >= 1
        and key not in OF_SAMPLES
        and all(key in t and t[key].shape[:1] == (n,) for t, n in zip(targets, counts, strict=True))
    ]
    tables: dict[str, Any] = {
        key: _padded([t[key].as_subclass(Tensor) for t in targets], most, example[key].as_subclass(Tensor))
        for key in rowed
        if one_size or key != "masks"
    }
    if not one_size and "masks" in rowed:  # of their images' sizes; rows that are not there are empty
        masks = [t["masks"].as_subclass(Tensor) for t in targets]
        tables["masks"] = Ragged.pack([_padded([m], most, m.new_zeros((1, *m.shape[1:])))[0] for m in masks])
    place = torch.arange(most, device=device)
    valid = torch.stack([place < n for n in counts]) if counts else place.new_zeros((0, most), dtype=torch.bool)
    points = tables.pop("keypoints", None)
    boxes = boxes_to_xyxy(tables.pop("boxes"), given.box_format, given.canvas)
    named = "labels" if "labels" in tables else "class_labels"
    instances = Instances(
        valid,
        boxes if change is None else change(boxes),
        tables.pop(named, None),
        tables.pop("masks", None),
        None if points is None else points[..., :2].to(torch.promote_types(points.dtype, torch.float32)),
        None if points is None or points.shape[-1] < 3 else points[..., 2].to(torch.int64),
        tables,
    )

    def write(out: Batch) -> Any:
        rows = out.instances
        assert rows is not None and rows.boxes is not None
        sizes = [tuple(image.shape[1:]) for image in out.image]
        found: dict[str, Any] = {
            "boxes": boxes_from_xyxy(rows.boxes, out.box_format, out.canvas),
            named: rows.labels,
            "masks": rows.masks,
            **rows.columns,
        }
        if points is not None and rows.keypoints is not None and rows.visible is not None:
            shown = rows.visible[..., None].to(rows.keypoints.dtype)
            found["keypoints"] = rows.keypoints if points.shape[-1] < 3 else torch.cat((rows.keypoints, shown), dim=-1)
        results = []
        for i, target in enumerate(targets):
            result = dict(target)
            for key, value in found.items():
                if value is not None:
                    own, like = value[i], target[key]
                    kept = movable(own)[rows.valid[i]].view(own.dtype)
                    kept = kept.to(like.dtype) if like.is_floating_point() else kept
                    result[key] = _wrapped(kept, like, sizes[i], out.box_format)
            results.append(result)
        return type(targets)(results)  # type: ignore[call-arg]

    return instances, write
