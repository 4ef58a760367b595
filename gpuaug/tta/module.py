"""The layer around a model that sees each batch in many views."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gpuaug.data.instances import KeypointParams
from gpuaug.sampling.params import Params
from gpuaug.transforms.layer import Layer
from gpuaug.tta.back import Frame
from gpuaug.tta.boxes import non_maximum_suppression, weighted_boxes_fusion
from gpuaug.tta.merge import MODES, Merge, activated, check_activation
from gpuaug.tta.tiles import Tiled
from gpuaug.tta.views import made, views_of

__all__ = ["KINDS", "TTA"]

KINDS = ("label", "mask", "keypoints", "boxes")
Size = tuple[int, int]
Shown = tuple[Tensor, Params]


class TTA(nn.Module):
    """Show each batch to a model in several views, and merge what it says in the frame of the batch.

    Views of one size go through the model together. Masks, keypoints and boxes go back through the inverse of their
    view's map; where a view shows a part only, that part counts. Views that draw draw the same at every call.

    Args:
        model: what takes images (B, C, H, W).
        views: a name (`hflip`, `vflip`, `flips`, `rot90`, `d4`, `five_crop`, `ten_crop`, `multiscale`, `none`), a
            product of names (`"multiscale*hflip"`), a list of pipelines, or with `n` one pipeline that draws.
        merge_mode: mean, gmean, max, min, sum, or tsharpen (the mean of square roots). Keypoints are always averaged.
        outputs: what the model gives: `label` (B, classes), `mask` (B, classes, h, w) at any fraction of the
            resolution, which dense regression is too, `keypoints` (B, K, 2 or more) or `boxes` (torchvision's list of
            dicts); in a dict by its keys, in a tuple by place. None: a tensor of two dimensions is a label, one of
            four a mask.
        n: number of draws, for a pipeline that draws.
        activation: what turns logits into probabilities before they are merged: None, `softmax` (over dimension 1),
            `sigmoid`, a function, or a dict of them by output.
        max_batch: most images in one call of the model; None is no limit.
        std: also return the standard deviation over the views, as a second result of the same structure.
        tile: (height, width) of tiles in which large images go through the model; None shows them whole.
        overlap: of tiles, in pixels.
        scaled: whether keypoints are shares of the image's width and height.
        keypoint_params: their origin, and which are left and right of each other.
        box_merge: `nms`, or `wbf` for weighted boxes fusion.
        iou_threshold: overlap from which boxes are one object.
        max_boxes: how many are kept of an image; None is all.

    Shape:
        Images (B, C, H, W) to what the model gives for them, floats merged in float32 or wider.

    Raises:
        ValueError: for unknown names, modes and outputs; for views in which samples meet; at the call, for outputs of
            another shape than their kind's, and for views that bend where positions must come back.

    Source: the interfaces of ttach; boxes by torchvision.ops.batched_nms or weighted boxes fusion.

    Example:
        >>> import torch, gpuaug as ga
        >>> model = torch.nn.Conv2d(3, 2, 1)
        >>> ga.TTA(model, "d4", activation="softmax")(torch.rand(2, 3, 9, 7)).shape
        torch.Size([2, 2, 9, 7])
    """

    def __init__(
        self,
        model: Callable[..., Any],
        views: Any = "hflip",
        merge_mode: str = "mean",
        outputs: Any = None,
        *,
        n: int | None = None,
        activation: Any = None,
        max_batch: int | None = None,
        std: bool = False,
        tile: Any = None,
        overlap: int = 0,
        scaled: bool = False,
        keypoint_params: KeypointParams | None = None,
        box_merge: str = "nms",
        iou_threshold: float = 0.5,
        max_boxes: int | None = None,
    ) -> None:
        """See the class."""
        super().__init__()
        if merge_mode not in MODES:
            raise ValueError(f"TTA: merge_mode must be one of {', '.join(MODES)}, got {merge_mode!r}")
        if box_merge not in ("nms", "wbf"):
            raise ValueError(f"TTA: box_merge must be 'nms' or 'wbf', got {box_merge!r}")
        if max_batch is not None and (isinstance(max_batch, bool) or not isinstance(max_batch, int) or max_batch < 1):
            raise ValueError(f"TTA: max_batch must be a positive integer or None, got {max_batch!r}")
        for one in activation.values() if isinstance(activation, Mapping) else [activation]:
            check_activation(one)
        self.views = views_of(views)
        if n is None and isinstance(views, Layer) and views._random:
            raise ValueError("TTA: n must say how often a pipeline that draws is drawn, got None")
        if n is not None and (not isinstance(views, Layer) or isinstance(n, bool) or not isinstance(n, int) or n < 1):
            raise ValueError(f"TTA: n must be a positive integer, and go with one pipeline that draws, got {n!r}")
        self.n = n
        self.kinds = _kinds(outputs)
        self.model: Any = model
        if tile is not None:
            self.model = Tiled(model, tile, overlap, outputs=outputs, max_batch=max_batch, iou_threshold=iou_threshold)
        self.merge_mode, self.activation, self.max_batch, self.std = merge_mode, activation, max_batch, std
        self.scaled, self.keypoint_params = scaled, keypoint_params or KeypointParams(flip_pairs=())
        self.box_merge, self.iou_threshold, self.max_boxes = box_merge, iou_threshold, max_boxes
        if std and "boxes" in _flat(self.kinds):
            raise ValueError("TTA: std must be False with boxes, which have no average over views, got True")

    def forward(self, images: Tensor) -> Any:
        """Return the merged prediction; with `std` a pair of it and the deviation."""
        if not isinstance(images, Tensor) or images.dim() != 4:
            given = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
            raise ValueError(f"TTA: images must be one tensor (B, C, H, W), got {given}")
        merged: dict[Any, _Output] = {}
        structure: Any = None
        for number, frame, rows, prediction in self._predictions(images):
            structure = prediction
            for key, kind, value in self._parts(prediction):
                if key not in merged:
                    merged[key] = _Output(self, key, kind, images.shape[0])
                merged[key].add(value, frame, rows, number)
        results = {key: output.results() for key, output in merged.items()}
        out = _rebuilt(structure, {key: result[0] for key, result in results.items()})
        return (out, _rebuilt(structure, {key: result[1] for key, result in results.items()})) if self.std else out

    def _shown(self, images: Tensor) -> Iterator[Callable[[], Shown]]:
        """Yield what shows the images in each view."""
        canvas = (images.shape[2], images.shape[3])
        layers = [made(view, canvas) for view in self.views] * (self.n or 1)
        for copy, layer in enumerate(layers):

            def show(layer: Layer = layer, copy: int = copy) -> Shown:
                params = layer.sample(images, copy=copy)
                return layer.replay(images, params), params

            yield show

    def _predictions(self, images: Tensor) -> Iterator[tuple[int, Frame | None, slice, Any]]:
        """Yield what the model says of some rows of each view, in as few calls as `max_batch` lets."""
        waiting: dict[tuple[int, ...], list[tuple[int, Params, slice, Tensor]]] = {}
        most = self.max_batch or max(images.shape[0], 1) * len(self.views) * (self.n or 1)
        for number, show in enumerate(self._shown(images)):
            shown, params = show()
            parts = waiting.setdefault(tuple(shown.shape[1:]), [])
            for first in range(0, max(len(shown), 1), most):
                free = most - sum(len(part[3]) for part in parts)
                for start, stop in _pieces(first, min(first + most, len(shown)), free):
                    parts.append((number, params, slice(start, stop), shown[start:stop]))
                    if sum(len(part[3]) for part in parts) >= most:
                        yield from self._call(parts)
                        parts.clear()
        for parts in waiting.values():
            if parts:
                yield from self._call(parts)

    def _call(self, parts: list[tuple[int, Params, slice, Tensor]]) -> Iterator[tuple[int, Frame | None, slice, Any]]:
        shown = torch.cat([part[3] for part in parts])
        prediction = self.model(shown)
        at = 0
        positions = set(_flat(self.kinds)) != {"label"}
        for number, params, rows, piece in parts:
            size = (piece.shape[2], piece.shape[3])
            one = _rows(prediction, at, at + len(piece))
            at += len(piece)
            labels_only = not positions or all(kind == "label" for _, kind, _ in self._parts(one))
            frame = None if labels_only else Frame.of(params, size).rows(rows.start, rows.stop)
            yield number, frame, rows, one

    def _parts(self, prediction: Any) -> Iterator[tuple[Any, str, Any]]:
        """Yield the parts of a prediction that are merged, with their kinds."""
        kinds = self.kinds
        if isinstance(kinds, dict):
            if not isinstance(prediction, Mapping) or not set(kinds) <= set(prediction):
                got = ", ".join(map(str, prediction)) if isinstance(prediction, Mapping) else type(prediction).__name__
                raise ValueError(f"TTA: the model must give a dict with {', '.join(kinds)} (outputs=), got {got}")
            for key, kind in kinds.items():
                yield key, kind, prediction[key]
        elif isinstance(kinds, tuple):
            if not isinstance(prediction, (tuple, list)) or len(prediction) < len(kinds):
                raise ValueError(
                    f"TTA: the model must give {len(kinds)} results, as outputs says, got {prediction!r:.60}"
                )
            for key, kind in enumerate(kinds):
                yield key, kind, prediction[key]
        else:
            if kinds is None and (not isinstance(prediction, Tensor) or prediction.dim() not in (2, 4)):
                given: Any = tuple(prediction.shape) if isinstance(prediction, Tensor) else type(prediction).__name__
                raise ValueError(f"TTA: outputs must say what the model gives ({', '.join(KINDS)}), got {given}")
            yield None, kinds or ("label" if prediction.dim() == 2 else "mask"), prediction

    def extra_repr(self) -> str:
        """Show what is merged, and how."""
        return f"views={len(self.views) * (self.n or 1)}, merge_mode={self.merge_mode}"


class _Output:
    """One output of the model, gathered over views."""

    def __init__(self, tta: TTA, key: Any, kind: str, samples: int) -> None:
        self.tta, self.key, self.kind, self.samples = tta, key, kind, samples
        activation = tta.activation
        self.activation = activation.get(key) if isinstance(activation, Mapping) else activation
        self.merge = Merge("mean" if kind == "keypoints" else tta.merge_mode, tta.std)
        self.waiting: dict[int, list[tuple[Tensor, Tensor | None]]] = {}
        """Of views whose rows went through the model in several calls: those that are there."""
        self.found: list[list[dict[str, Tensor]]] = [[] for _ in range(samples)]
        self.views: set[int] = set()
        self.size: Size | None = None

    def add(self, value: Any, frame: Frame | None, rows: slice, view: int) -> None:
        """Take in what the model says of some rows of a view."""
        self.views.add(view)
        if self.kind == "boxes":
            assert frame is not None
            for at, found in enumerate(value):
                self.found[rows.start + at].append(self._detected(found, frame.rows(at, at + 1)))
            return
        if not isinstance(value, Tensor) or value.dim() != {"label": 2, "mask": 4, "keypoints": 3}[self.kind]:
            given = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"TTA: an output of kind {self.kind!r} has another shape, got {given}")
        if not value.is_floating_point():
            raise TypeError(f"TTA: what is merged must be floats (logits or probabilities), got {value.dtype}")
        value = value if value.dtype == torch.float64 else value.to(torch.float32)
        weight: Tensor | None = None
        if self.kind == "keypoints":
            assert frame is not None
            value = frame.points(value, self.tta.scaled, self.tta.keypoint_params)
        else:
            value = activated(value, self.activation)
        if self.kind == "mask":
            assert frame is not None
            self.size = self.size or frame.size_of(value)
            value, weight = frame.maps(value, self.size)
        parts = self.waiting.setdefault(view, [])
        parts.append((value, weight))
        if rows.stop == self.samples:
            whole, shares = zip(*self.waiting.pop(view), strict=True)
            self.merge.add(torch.cat(whole), None if weight is None else torch.cat(shares))

    def _detected(self, found: Mapping[str, Tensor], frame: Frame) -> dict[str, Tensor]:
        if not {"boxes", "scores", "labels"} <= set(found):
            raise ValueError(f"TTA: detections must have boxes, scores and labels, got {', '.join(found)}")
        moved = dict(found)
        moved["boxes"] = frame.boxes(found["boxes"][None])[0]
        if "keypoints" in found:
            one = [frame.points(row[None], False, self.tta.keypoint_params)[0] for row in found["keypoints"]]
            moved["keypoints"] = torch.stack(one) if one else found["keypoints"]
        if "masks" in found and len(found["masks"]):
            masks = found["masks"].transpose(0, 1)
            maps, seen = frame.maps(masks.to(torch.float32), frame.source)
            moved["masks"] = (maps * (seen > 0)).transpose(0, 1).to(found["masks"].dtype)
        elif "masks" in found:
            moved["masks"] = found["masks"].new_zeros((0, 1, *frame.source))
        return moved

    def results(self) -> tuple[Any, Any]:
        """Return the merged output, and its deviation."""
        if self.kind == "boxes":
            return [self._one(found) for found in self.found], None
        return self.merge.result(), self.merge.std() if self.tta.std else None

    def _one(self, found: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        whole = {key: torch.cat([one[key] for one in found]) for key in found[0]}
        tta = self.tta
        if tta.box_merge == "wbf":
            return weighted_boxes_fusion(whole, len(self.views), tta.iou_threshold, tta.max_boxes)
        return non_maximum_suppression(whole, tta.iou_threshold, tta.max_boxes)


def _kinds(outputs: Any) -> Any:
    """Return kinds as they stand, or raise."""
    if isinstance(outputs, Mapping):
        kinds: Any = dict(outputs)
    elif isinstance(outputs, Sequence) and not isinstance(outputs, str):
        kinds = tuple(outputs)
    else:
        kinds = outputs
    if any(kind not in (None, *KINDS) for kind in _flat(kinds)):
        raise ValueError(f"TTA: outputs must be of {', '.join(KINDS)}, got {outputs!r}")
    return kinds


def _flat(kinds: Any) -> list[Any]:
    return list(kinds.values()) if isinstance(kinds, dict) else list(kinds) if isinstance(kinds, tuple) else [kinds]


def _pieces(first: int, last: int, free: int) -> list[tuple[int, int]]:
    """Return rows cut where a call of the model is full."""
    if 0 < free < last - first:
        return [(first, first + free), (first + free, last)]
    return [(first, last)]


def _rows(prediction: Any, first: int, last: int) -> Any:
    """Return the prediction of some rows."""
    if isinstance(prediction, Tensor):
        return prediction[first:last]
    if isinstance(prediction, Mapping):
        return {key: _rows(value, first, last) for key, value in prediction.items()}
    if isinstance(prediction, list) and all(isinstance(one, Mapping) for one in prediction):
        return prediction[first:last]
    if isinstance(prediction, (tuple, list)):
        return tuple(_rows(value, first, last) for value in prediction)
    return prediction


def _rebuilt(structure: Any, parts: dict[Any, Any]) -> Any:
    """Return merged outputs as the model gives its own."""
    if None in parts:
        return parts[None]
    return parts if isinstance(structure, Mapping) else tuple(parts[key] for key in sorted(parts))
