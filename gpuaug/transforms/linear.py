"""Linear transformation: whitening, of colours or of whole images."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug._compiling import exact
from gpuaug.functional._constants import Constants
from gpuaug.render.plan import Choice, Plan
from gpuaug.transforms.base import Drawn, Photometric
from gpuaug.transforms.layer import Context
from gpuaug.transforms.tint import tinted

__all__ = ["LinearTransformation"]


def transformed(image: Tensor, matrix: Tensor, mean: Tensor) -> Tensor:
    """Return images (B, C, H, W) as rows, less a mean (1, D) and times a matrix (1, D, D)."""
    with exact(image.device):
        rows = image.flatten(1) - mean[0].to(image.dtype)
        out: Tensor = rows @ matrix[0].to(image.dtype)
    return out.view_as(image)


class LinearTransformation(Photometric):
    """Subtract a mean and multiply by a matrix: whitening, of whole images or of the colours of pixels.

    Args:
        transformation_matrix: (D, D). With D the number of channels it is applied to each pixel; with D = C * H * W to
            the flattened image, as torchvision has it. A row goes in, a column comes out.
        mean_vector: (D,), on the scale black = 0, white = 1.

    Shape:
        (B, C, H, W) to the same; uint8 gives float32. Of whole images equal to rounding in batches of any size.

    Boxes and masks:
        Unchanged.

    Raises:
        TypeError: for what is no tensor.
        ValueError: for a matrix that is not square, a mean of another length; when called on images of neither size.

    Source: torchvision.transforms.v2.LinearTransformation; kornia.enhance.linear_transform.

    Example:
        >>> import torch, gpuaug as ga
        >>> swap = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        >>> whiten = ga.LinearTransformation(swap, torch.tensor([0.5, 0.0]))
        >>> whiten(torch.tensor([[[[0.25]], [[1.0]]]])).flatten().tolist()
        [1.0, -0.25]
    """

    normalizes: ClassVar[bool] = True
    clamps: ClassVar[bool] = False
    selectable: ClassVar[bool] = False

    def __init__(self, transformation_matrix: Tensor, mean_vector: Tensor) -> None:
        """See the class."""
        super().__init__()
        owner = "LinearTransformation"
        given: dict[str, Any] = {"transformation_matrix": transformation_matrix, "mean_vector": mean_vector}
        for name, value in given.items():
            if not isinstance(value, Tensor):
                raise TypeError(f"{owner}: {name} must be a tensor, got {type(value).__name__}")
        shape = tuple(transformation_matrix.shape)
        if len(shape) != 2 or shape[0] != shape[1]:
            raise ValueError(f"{owner}: transformation_matrix must be square, got {shape}")
        if tuple(mean_vector.shape) != shape[:1]:
            raise ValueError(f"{owner}: mean_vector must have shape ({shape[0]},), got {tuple(mean_vector.shape)}")
        self.size = shape[0]
        matrix, mean = (value.detach().to("cpu", torch.float64) for value in given.values())
        self._matrix, self._mean = Constants(matrix), Constants(mean)
        self._rows = Constants(torch.cat((matrix.T, -(mean @ matrix)[:, None]), dim=1).to(torch.float32))

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the map, of pixels or of images, and fix the dtype of the output."""
        canvas, channels = context.canvas, context.channels
        whole = channels * canvas[0] * canvas[1] if isinstance(canvas, tuple) else channels
        if self.size not in (channels, whole):
            raise ValueError(
                f"LinearTransformation: images must have {self.size} channels, or as many values, got"
                f" {channels} channels and {whole} values"
            )
        plan.to_unit()
        plan.normalized = True
        plan.out_dtype = plan.out_dtype if plan.out_dtype.is_floating_point else torch.float32
        device, batch = context.like.device, context.like.shape[0]
        if self.size == channels:
            return [[tinted(self._rows.on(device).expand(batch, -1, -1), clip=False)]]
        matrix, mean = self._matrix.on(device), self._mean.on(device)
        operands = (matrix.expand(batch, -1, -1), mean.expand(batch, -1))
        return [[Choice("linear_transformation", transformed, operands)]]

    def extra_repr(self) -> str:
        """Show how many values it maps."""
        return f"size={self.size}"
