"""Models whose predictions are known, for the tests of test-time augmentation."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Pointwise(nn.Module):
    """What a place holds says what is there: moving the image moves the prediction, exactly."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack((x.mean(1), x[:, 0] * x[:, 1], x.amax(1) * 0.5 + 0.1), dim=1)


def finding(x: Tensor) -> list[dict[str, Tensor]]:
    """Find the box of what is bright in each image, with its mask and its corner nearest to the origin."""
    found = []
    for image in x:
        bright = image[0] > 0.9
        rows, columns = (bright.any(d).nonzero()[:, 0] for d in (1, 0))
        if not len(rows):
            found.append(
                {
                    "boxes": torch.zeros(0, 4),
                    "scores": torch.zeros(0),
                    "labels": torch.zeros(0, dtype=torch.int64),
                    "masks": torch.zeros(0, 1, *x.shape[2:]),
                }
            )
            continue
        box = torch.stack((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)).float()
        found.append(
            {
                "boxes": box[None],
                "scores": image.mean()[None],
                "labels": torch.ones(1, dtype=torch.int64),
                "masks": bright[None, None].float(),
            }
        )
    return found
