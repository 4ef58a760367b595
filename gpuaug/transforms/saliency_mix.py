"""SaliencyMix: CutMix about what stands out in the other sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gpuaug.functional.saliency import spectral_residual
from gpuaug.sampling.law import Number
from gpuaug.transforms.base import Drawn
from gpuaug.transforms.cutmix import CutMix
from gpuaug.transforms.layer import Context
from gpuaug.transforms.mix import as_share

__all__ = ["SaliencyMix"]


class SaliencyMix(CutMix):
    """Paste a rectangle about the most salient place of another sample of the batch into each, at the same place.

    To know what stands out it looks at the images as they are at its place: what comes before it is rendered twice,
    once for drawing. At the head of a pipeline that costs nothing.

    Args:
        alpha: of the law Beta(alpha, alpha) of `lam`, the share of a sample's own before the cut; up to 64.
        saliency: a function of images (B, C, H, W), as they are there, that returns how much places stand out,
            (B, h, w) of any resolution; None takes the spectral residual, `gpuaug.functional.spectral_saliency`.
        num_classes: for integer labels; None for labels (B, classes).
        labels_getter: "default" takes the second of several inputs, or the key `label`, or (where there are no
            objects) `labels`; a function of what a call is given returns a tensor of it; None looks for none.
        mode: "elem" draws for each sample, "pair" for pairs from both ends of the batch, "batch" once for all; the
            place is each one's own.
        pairing: whom samples meet: "perm" the one before in a random circle, "roll" the one before in the batch (the
            first meets the last), "flip" the one as far from the other end; None is "perm", and "flip" with
            mode="pair". Nobody meets itself: where nobody else is left, a sample stays as it is.
        correct_lam: whether labels go by the pixels that are left (True) or by `lam` as it was drawn.
        label_smoothing: share of the labels that is spread over all classes, 0 to 1; 0 is neutral.
        multi_label: labels (B, classes) are independent, so that smoothing draws them to one half.
        return_pairs: give (labels, labels of the others, lam) in place of soft labels.
        p: probability for each sample (or pair, or batch); 0 is neutral.

    Shape:
        (B, C, H, W) to the same; labels (B,) or (B, classes) to (B, classes), in float32 if they were integers. Of a
        clip the first frame is looked at.

    Boxes and masks:
        As `CutMix`: masks are pasted, boxes cut where the rectangle covers a whole side, the other's at the rectangle.

    Raises:
        ValueError: for arguments out of range; for integer labels without `num_classes`; for images of several sizes;
            where what `saliency` returns is not (B, h, w).

    Source: Uddin et al. 2020, https://arxiv.org/abs/2006.01791, whose code takes the place of one sample for a batch.

    Example:
        >>> import torch, gpuaug as ga
        >>> images, labels = ga.SaliencyMix(num_classes=10)(torch.rand(4, 3, 8, 10), torch.arange(4))
        >>> images.shape, labels.shape
        (torch.Size([4, 3, 8, 10]), torch.Size([4, 10]))
    """

    sees = ("image",)

    def __init__(
        self,
        *,
        alpha: Number = 1.0,
        saliency: Callable[[Tensor], Tensor] | None = None,
        num_classes: int | None = None,
        labels_getter: Any = "default",
        mode: str = "elem",
        pairing: str | None = None,
        correct_lam: bool = True,
        label_smoothing: float = 0.0,
        multi_label: bool = False,
        return_pairs: bool = False,
        p: Number = 1.0,
    ) -> None:
        """See the class."""
        super().__init__(
            alpha=alpha,
            num_classes=num_classes,
            labels_getter=labels_getter,
            mode=mode,
            pairing=pairing,
            correct_lam=correct_lam,
            label_smoothing=label_smoothing,
            multi_label=multi_label,
            return_pairs=return_pairs,
            p=p,
        )
        if saliency is not None and not callable(saliency):
            raise TypeError(f"SaliencyMix: saliency must be a function of images or None, got {saliency!r}")
        self.saliency = saliency
        self.declare_mix(lam=as_share(alpha, "SaliencyMix"))

    def centre(self, drawn: Drawn, span: Tensor, context: Context) -> Tensor:
        """Return the centre (B, 2) of the most salient pixel of whom each sample meets."""
        image = context.image
        assert isinstance(image, Tensor)
        found = spectral_residual(image) if self.saliency is None else self.saliency(image)
        if not isinstance(found, Tensor) or found.dim() != 3 or found.shape[0] != image.shape[0]:
            got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(f"SaliencyMix: saliency must return ({image.shape[0]}, h, w), as many images, got {got}")
        h, w = found.shape[1:]
        peak = found.detach().flatten(1).argmax(1)
        place = torch.stack(((peak % w + 0.5) / w, (peak // w + 0.5) / h), dim=-1)
        return place.index_select(0, drawn["partner"]) * span

    def extra_repr(self) -> str:
        """Show the function, where it is not the default."""
        own = "" if self.saliency is None else f"saliency={getattr(self.saliency, '__name__', self.saliency)}"
        return ", ".join(part for part in (super().extra_repr(), own) if part)
