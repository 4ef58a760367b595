"""Detections of several views of one image, as one list."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["non_maximum_suppression", "weighted_boxes_fusion"]

Found = dict[str, Tensor]


def non_maximum_suppression(found: Found, iou_threshold: float = 0.5, most: int | None = None) -> Found:
    """Keep of detections that overlap, class by class, the one with the highest score.

    Args:
        found: `boxes` (M, 4) xyxy, `scores` (M,), `labels` (M,) and any further rows.
        iou_threshold: overlap from which two are the same object.
        most: how many are kept, the best ones; None is all.

    Shape:
        Rows in the order of their scores.

    Source: torchvision.ops.batched_nms.

    Example:
        >>> import torch
        >>> from gpuaug.tta import non_maximum_suppression
        >>> boxes = torch.tensor([[0.0, 0, 9, 9], [0, 0, 9, 8], [0, 0, 9, 9]])
        >>> found = {"boxes": boxes, "scores": torch.tensor([0.5, 0.9, 0.4]), "labels": torch.tensor([1, 1, 2])}
        >>> non_maximum_suppression(found)["scores"].tolist() == found["scores"][[1, 2]].tolist()
        True
    """
    from torchvision.ops import batched_nms  # which imports Dynamo: seconds in every process

    scores = found["scores"]
    kept = batched_nms(found["boxes"].to(scores.dtype), scores, found["labels"], iou_threshold)
    return {key: value[kept[:most]] for key, value in found.items()}


def weighted_boxes_fusion(found: Found, views: int, iou_threshold: float = 0.55, most: int | None = None) -> Found:
    """Average detections that overlap, class by class, weighted by their scores.

    Args:
        found: `boxes` (M, 4) xyxy, `scores` (M,) and `labels` (M,), of all views.
        views: how many views there were: an object that few of them found has a lower score.
        iou_threshold: overlap with a fused box from which a box joins it.
        most: how many are kept, the best ones; None is all.

    Shape:
        As many rows as there are objects, in the order of their scores.

    Raises:
        ValueError: for further rows, such as masks, which have no average.

    Source: Solovyev, Wang and Gabruseva, Weighted boxes fusion (2021); scores times min(views, boxes) / views.

    Example:
        >>> import torch
        >>> from gpuaug.tta import weighted_boxes_fusion
        >>> boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 12, 10]])
        >>> found = {"boxes": boxes, "scores": torch.tensor([0.75, 0.25]), "labels": torch.tensor([1, 1])}
        >>> weighted_boxes_fusion(found, views=2)["boxes"].tolist()
        [[0.0, 0.0, 10.5, 10.0]]
    """
    from torchvision.ops import box_iou

    if set(found) != {"boxes", "scores", "labels"}:
        raise ValueError(f"weighted_boxes_fusion: found must be boxes, scores and labels, got {', '.join(found)}")
    device, order = found["scores"].device, found["scores"].argsort(descending=True, stable=True).cpu()
    # One box after another, each against what the ones before it have become: a walk, and a short one.
    boxes, scores, labels = (found[key].cpu()[order] for key in ("boxes", "scores", "labels"))
    fused = torch.empty((0, 4), dtype=torch.float64)
    sums, weights, counts, kinds = torch.empty((0, 4), dtype=torch.float64), [], [], torch.empty(0, dtype=labels.dtype)
    for box, score, label in zip(boxes.double(), scores.double(), labels, strict=True):
        overlap = box_iou(box[None], fused)[0] * (kinds == label)
        if len(fused) and overlap.max() > iou_threshold:
            at = int(overlap.argmax())
        else:
            at = len(fused)
            fused, sums = torch.cat((fused, box[None])), torch.cat((sums, torch.zeros(1, 4, dtype=torch.float64)))
            kinds = torch.cat((kinds, label[None]))
            weights.append(0.0)
            counts.append(0)
        share = max(float(score), 1e-12)  # boxes that are worth nothing have an average too
        sums[at] += box * share
        weights[at] += share
        counts[at] += 1
        fused[at] = sums[at] / weights[at]
    numbers = torch.tensor(counts, dtype=torch.float64)
    total = torch.tensor(weights, dtype=torch.float64) / numbers * numbers.clamp(max=views) / views
    best = total.argsort(descending=True, stable=True)[:most]
    return {
        "boxes": fused[best].to(device, found["boxes"].dtype),
        "scores": total[best].to(device, found["scores"].dtype),
        "labels": kinds[best].to(device),
    }
