"""The command `gpuaug preview`: photographs beside what a pipeline makes of them."""

from __future__ import annotations

import inspect
import json
import runpy
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpuaug._draw import fill_polygon
from gpuaug.data.batch import Batch
from gpuaug.data.instances import Instances
from gpuaug.transforms.layer import Layer
from gpuaug.viz import Look, lay_out, row_tiles, save_png

__all__ = ["Annotations", "Problem", "load_policy", "read_coco", "read_image", "run"]

NAMES = ("augment", "policy")
"""What a pipeline is called in the file that defines it."""


class Problem(Exception):
    """Something about a file that its user can mend."""


@dataclass
class Annotations:
    """What a COCO file says: objects by image, and the names of their classes."""

    path: Path
    images: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """The entries of images by file name, without folders."""
    objects: dict[Any, list[dict[str, Any]]] = field(default_factory=dict)
    """The annotations by id of the image, without crowds."""
    class_names: dict[int, str] = field(default_factory=dict)
    skeleton: tuple[tuple[int, int], ...] = ()


def run(
    images: Sequence[Path | str],
    *,
    policy: Path | str,
    out: Path | str,
    copies: int = 5,
    seed: int | None = None,
    size: int | None = 320,
    annotations: Path | str | None = None,
) -> Tensor:
    """Write a sheet with a row for each image: the image, then draws of a pipeline.

    Args:
        images: files.
        policy: a Python file that defines the pipeline, see `load_policy`.
        out: where the PNG goes.
        copies: draws of each image.
        seed: of the draws; None takes the pipeline's own.
        size: longer side in pixels above which tiles are made smaller; the pipeline sees images as they are.
        annotations: a COCO file with boxes, polygons and keypoints of the images.

    Raises:
        Problem: for a file that is not there or not what it should be.
    """
    augment = load_policy(Path(policy))
    if seed is not None:
        augment.reseed(seed)
    known = None if annotations is None else read_coco(Path(annotations))
    look: Look = {"max_size": size}
    if known is not None:
        look["class_names"], look["skeleton"] = known.class_names, known.skeleton
    tiles: list[Tensor] = []
    captions: list[str] = []
    for i, path in enumerate(map(Path, images)):
        image = read_image(path, upright=known is None)  # COCO counts the pixels as they are stored
        batch = Batch(image[None], instances=None if known is None else objects_of(known, path, image))
        try:
            row, _, texts = row_tiles(augment, batch, copies, i * copies, [path.name], **look)
        except (TypeError, ValueError) as error:
            raise Problem(f"the pipeline of {policy} does not take {path}: {error}") from error
        tiles += row
        captions += texts or []
    sheet = lay_out(tiles, 1 + copies, captions)
    try:
        save_png(sheet, out)
    except OSError as error:
        raise Problem(f"{out}: cannot be written ({error})") from error
    print(Path(out).resolve())
    return sheet


def load_policy(path: Path) -> Layer:
    """Run a Python file and return the pipeline it defines.

    Args:
        path: the file; it names the pipeline `augment` or `policy`, or a function without arguments that returns it.

    Raises:
        Problem: where there is no such file, or no pipeline in it.
    """
    if not path.is_file():
        raise Problem(f"{path}: no such file")
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)  # as when Python runs it: it may import what lies beside it
    try:
        found = runpy.run_path(str(path))
    finally:
        sys.path.remove(folder)
    name = next((name for name in NAMES if name in found), None)
    if name is None:
        raise Problem(f"{path}: must define a pipeline named augment or policy, got neither")
    value = found[name]
    if inspect.isfunction(value):
        needed = [p.name for p in inspect.signature(value).parameters.values() if _is_needed(p)]
        if needed:
            raise Problem(f"{path}: {name}() must take no arguments, got {', '.join(needed)}")
        value = value()
    if not isinstance(value, Layer):
        raise Problem(f"{path}: {name} must be a gpuaug transform, got {type(value).__name__}")
    return value


def _is_needed(parameter: inspect.Parameter) -> bool:
    spread = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in spread


def read_image(path: Path, upright: bool = True) -> Tensor:
    """Return an image of a file: uint8 (3, H, W), or uint16 (1, H, W) for 16-bit gray.

    Args:
        path: anything that Pillow opens.
        upright: whether to turn it as its EXIF data say.

    Raises:
        Problem: where there is no such file, or no image in it.
    """
    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not path.is_file():
        raise Problem(f"{path}: no such file")
    try:
        with Image.open(path) as opened:
            image: Image.Image = ImageOps.exif_transpose(opened) if upright else opened
            if image.mode.startswith("I;16"):
                return torch.from_numpy(np.array(image, dtype=np.uint16))[None]
            return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()
    except UnidentifiedImageError:
        raise Problem(f"{path}: not an image that can be read") from None
    except OSError as error:  # a truncated file
        raise Problem(f"{path}: not an image that can be read ({error})") from error


# --- COCO ---


def read_coco(path: Path) -> Annotations:
    """Read a COCO file of objects or keypoints.

    Raises:
        Problem: where there is no such file, or it is none of COCO's.
    """
    if not path.is_file():
        raise Problem(f"{path}: no such file")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Problem(f"{path}: not a JSON file ({error})") from error
    if not isinstance(data, dict) or not all(isinstance(data.get(k), list) for k in ("images", "annotations")):
        raise Problem(f"{path}: not a COCO file, which has lists of images and of annotations")
    known = Annotations(path)
    try:
        for entry in data["images"]:
            known.images.setdefault(_last(entry["file_name"]), []).append(entry)
        for thing in data["annotations"]:
            if not thing.get("iscrowd"):
                known.objects.setdefault(thing["image_id"], []).append(thing)
        for category in data.get("categories", []):
            known.class_names[int(category["id"])] = str(category["name"])
            if not known.skeleton:
                known.skeleton = tuple((a - 1, b - 1) for a, b in category.get("skeleton", []))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Problem(f"{path}: not a COCO file ({type(error).__name__}: {error})") from error
    return known


def _last(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def objects_of(known: Annotations, path: Path, image: Tensor) -> Instances | None:
    """Return the objects of one image, as a batch of one; None where it has none.

    Args:
        known: what the file says.
        path: the image's; where several have its name, the one whose folders fit.
        image: (C, H, W).

    Raises:
        Problem: where the file does not know the image, or knows it by another size.
    """
    entries = known.images.get(path.name, [])
    if len(entries) > 1:
        whole = path.resolve().as_posix()
        entries = [e for e in entries if whole.endswith("/" + e["file_name"].replace("\\", "/").lstrip("/"))]
    if len(entries) != 1:
        raise Problem(f"{known.path}: must have one image {path.name}, got {len(entries) or 'none'}")
    entry = entries[0]
    height, width = image.shape[1:]
    if (entry.get("height", height), entry.get("width", width)) != (height, width):
        raise Problem(
            f"{known.path}: {path.name} is {entry.get('width')}x{entry.get('height')} there, but the file is "
            f"{width}x{height}"
        )
    things = known.objects.get(entry["id"], [])
    if not things:
        return None
    try:
        return _as_instances(things, height, width)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise Problem(f"{known.path}: annotations of {path.name} cannot be read ({error})") from error


def _as_instances(things: list[dict[str, Any]], height: int, width: int) -> Instances:
    boxes = torch.tensor([thing["bbox"] for thing in things], dtype=torch.float32).view(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    labels = torch.tensor([int(thing["category_id"]) for thing in things])
    masks = keypoints = visible = None
    if any(isinstance(thing.get("segmentation"), list) for thing in things):  # run lengths are left out
        masks = torch.zeros(1, len(things), height, width, dtype=torch.bool)
        for i, thing in enumerate(things):
            for polygon in thing["segmentation"] if isinstance(thing.get("segmentation"), list) else []:
                masks[0, i] |= fill_polygon(torch.tensor(polygon).view(-1, 2), height, width)
    if any(thing.get("keypoints") for thing in things):
        tables = [torch.tensor(thing.get("keypoints") or [], dtype=torch.float32).view(-1, 3) for thing in things]
        most = max(len(table) for table in tables)
        points = torch.stack([torch.nn.functional.pad(table, (0, 0, 0, most - len(table))) for table in tables])[None]
        keypoints, visible = points[..., :2], points[..., 2].to(torch.int64)
    valid = torch.ones(1, len(things), dtype=torch.bool)
    return Instances(valid, boxes[None], labels[None], masks, keypoints, visible)
