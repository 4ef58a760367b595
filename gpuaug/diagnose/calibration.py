"""Whether a model is right as often as it says."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gpuaug._chart import chart

__all__ = ["Calibration", "Tally", "calibration"]


@dataclass(frozen=True)
class Calibration:
    """How often a model is right, by how sure it is: samples in bins of equal width of the highest probability."""

    counts: Tensor
    """(bins,) samples in each bin."""
    confidence: Tensor
    """(bins,) mean of the highest probability; NaN in an empty bin."""
    accuracy: Tensor
    """(bins,) share that is right."""

    @property
    def error(self) -> float:
        """The expected calibration error: the mean over samples of |accuracy - confidence| of their bin."""
        gaps = (self.accuracy - self.confidence).abs().nan_to_num(0.0)
        return float((gaps * self.counts).sum() / self.counts.sum().clamp(min=1))

    @property
    def largest(self) -> float:
        """The largest |accuracy - confidence| of a bin."""
        return float((self.accuracy - self.confidence).abs().nan_to_num(0.0).max())

    def __str__(self) -> str:
        """Show the bins."""
        lines = [f"calibration error {self.error:.2%} over {int(self.counts.sum()):,} samples"]
        for i, count in enumerate(self.counts.tolist()):
            if count:
                low, high = i / len(self.counts), (i + 1) / len(self.counts)
                lines.append(
                    f"  sure {low:4.0%} to {high:4.0%}: {count:7,} samples, mean {self.confidence[i]:6.1%}, "
                    f"right {self.accuracy[i]:6.1%}"
                )
        return "\n".join(lines)

    def points(self) -> list[tuple[float, float]]:
        """Return (confidence, accuracy) of the bins that hold samples."""
        there = self.counts > 0
        return list(zip(self.confidence[there].tolist(), self.accuracy[there].tolist(), strict=True))

    def plot(self) -> Tensor:
        """Draw the reliability diagram: uint8 (3, H, W)."""
        lines = {"MODEL": self.points(), "CALIBRATED": [(0.0, 0.0), (1.0, 1.0)]}
        return chart(lines, x_label="CONFIDENCE", y_label="ACCURACY", x_range=(0, 1), y_range=(0, 1))


class Tally:
    """Count what a model gets right, by class and by how sure it is, on the device."""

    def __init__(self, classes: int, bins: int, device: torch.device) -> None:
        """Begin at nothing."""
        self.samples = torch.zeros(classes, dtype=torch.int64, device=device)
        self.hits = torch.zeros_like(self.samples)
        self.binned = torch.zeros(bins, dtype=torch.int64, device=device)
        self.right = torch.zeros_like(self.binned)
        self.sure = torch.zeros(bins, dtype=torch.float64, device=device)

    def add(self, probabilities: Tensor, labels: Tensor) -> None:
        """Take in (B, classes) and (B,)."""
        bins = len(self.binned)
        confidence, predicted = probabilities.max(1)
        right = (predicted == labels).to(torch.int64)
        self.samples.index_add_(0, labels, torch.ones_like(right))
        self.hits.index_add_(0, labels, right)
        confidence = confidence.to(torch.float64)
        place = (confidence * bins).to(torch.int64).clamp(0, bins - 1)
        self.binned.index_add_(0, place, torch.ones_like(right))
        self.right.index_add_(0, place, right)
        self.sure.index_add_(0, place, confidence)

    def calibration(self) -> Calibration:
        """Return what the bins hold."""
        counts = self.binned.cpu()
        return Calibration(counts, self.sure.cpu() / counts, self.right.cpu().double() / counts)

    def accuracy(self) -> float:
        """Return the share that is right."""
        return float(self.hits.sum() / self.samples.sum())

    def per_class(self) -> Tensor:
        """Return (classes,) the share that is right; NaN for a class without samples."""
        return self.hits.cpu().double() / self.samples.cpu()


def calibration(probabilities: Tensor, labels: Tensor, bins: int = 15) -> Calibration:
    """Compare how sure predictions are with how often they are right.

    Args:
        probabilities: (B, classes), rows that sum to 1.
        labels: (B,) integers.
        bins: number of bins of equal width.

    Raises:
        ValueError: for other shapes, or values that are no probabilities.

    Source: Guo et al. 2017, the expected calibration error.

    Example:
        >>> import torch
        >>> from gpuaug.diagnose import calibration
        >>> sure = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7]])
        >>> round(calibration(sure, torch.tensor([0, 1, 1])).error, 3)  # (2 * |0.5 - 0.9| + |1 - 0.7|) / 3
        0.367
    """
    check_labels("calibration", probabilities, labels)
    if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
        raise ValueError(f"calibration: bins must be a positive integer, got {bins!r}")
    if len(probabilities) and not bool(((probabilities >= 0) & (probabilities <= 1)).all()):
        raise ValueError("calibration: probabilities must be between 0 and 1, got others (logits?)")
    tally = Tally(probabilities.shape[1], bins, probabilities.device)
    tally.add(probabilities, labels)
    return tally.calibration()


def check_labels(owner: str, prediction: object, labels: object) -> None:
    """Raise unless these are (B, classes) floats and (B,) integers."""
    if not isinstance(prediction, Tensor) or prediction.dim() != 2 or not prediction.is_floating_point():
        given = tuple(prediction.shape) if isinstance(prediction, Tensor) else type(prediction).__name__
        raise ValueError(f"{owner}: predictions must be floats (B, classes), got {given}")
    if (
        not isinstance(labels, Tensor)
        or labels.shape != prediction.shape[:1]
        or labels.is_floating_point()
        or labels.dtype == torch.bool
    ):
        given = f"{labels.dtype} {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
        raise ValueError(f"{owner}: labels must be integers ({len(prediction)},), got {given}")
