"""Clips: which frames are shown, and in which order. Pixels are read once, where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.render.plan import Plan
from gpuaug.sampling.distributions import Uniform, as_distribution
from gpuaug.sampling.law import Number, Range
from gpuaug.sampling.noise import uniform_noise
from gpuaug.transforms.base import Drawn, Transform
from gpuaug.transforms.layer import Context, Layer, Node
from gpuaug.transforms.noise import KEY, as_key
from gpuaug.transforms.sizes import as_size

__all__ = ["CenterTemporalCrop", "RandomFrameDrop", "RandomSpeed", "RandomTemporalCrop", "UniformTemporalSubsample"]


class Temporal(Transform):
    """A transform that says which frames of a clip are shown."""

    retimes: ClassVar[bool] = True
    mute: ClassVar[bool] = True

    num_frames: int | None = None
    """T of the output; None keeps it."""

    def frames_after(self, frames: int) -> int:
        """Return T of the output."""
        return self.num_frames or frames

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `frames` (B, T'), the frame of the input that each frame of the output shows."""
        return {**raw, "frames": self.frames(raw, context)}

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Let samples that the gate leaves out keep their frames."""
        values = self.parameters_for(raw, context)
        if gate is not None:
            values["gate"] = gate
            values["frames"] = torch.where(gate[:, None], values["frames"], self.left(context))
        return values

    def frames(self, raw: Drawn, context: Context) -> Tensor:
        """Return (B, T') int64."""
        raise NotImplementedError  # pragma: no cover

    def left(self, context: Context) -> Tensor:
        """Return (T',) int64: the frames of a sample that is left out."""
        return torch.arange(context.frames, device=context.like.device)

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Leave the plan: which rows are read stands in it already."""

    def extra_repr(self) -> str:
        """Show the number of frames."""
        rest = super().extra_repr()
        return rest if self.num_frames is None else ", ".join(filter(None, [f"num_frames={self.num_frames}", rest]))


def _spaced(start: Tensor, step: Tensor, count: int, frames: int) -> Tensor:
    """Return (B, count) whole positions from `start` (B,) on, `step` (B,) apart, within a clip of some frames."""
    place = start[:, None] + step[:, None] * torch.arange(count, device=start.device)
    return torch.floor(place + 0.5).clamp(0, frames - 1).to(torch.int64)


class UniformTemporalSubsample(Temporal):
    """Show a number of frames at even distances, the first and the last among them.

    Args:
        num_samples: number of frames of the output; where the clip has fewer, some are shown several times.

    Shape:
        (B, T, C, H, W) to (B, num_samples, C, H, W); bit-exact.

    Boxes and masks:
        Those of the frames that are shown.

    Raises:
        ValueError: for a number below 1; when called on images, which have no frames.

    Source: torchvision.transforms.v2.UniformTemporalSubsample, with its positions (rounded down).

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.UniformTemporalSubsample(4)(torch.zeros(2, 9, 3, 8, 10)).shape
        torch.Size([2, 4, 3, 8, 10])
    """

    def __init__(self, num_samples: int) -> None:
        """See the class."""
        super().__init__()
        self.num_frames = as_size(num_samples, "UniformTemporalSubsample", "num_samples")[0]

    def frames(self, raw: Drawn, context: Context) -> Tensor:
        """Return the positions."""
        assert self.num_frames is not None
        place = torch.linspace(0, context.frames - 1, self.num_frames, device=context.like.device).to(torch.int64)
        return place.expand(len(context.like), -1)


class CenterTemporalCrop(Temporal):
    """Show consecutive frames from the middle of a clip.

    Args:
        num_frames: number of frames of the output.
        stride: distance of two frames in the clip; where they do not fit they stand nearer, evenly.

    Shape:
        (B, T, C, H, W) to (B, num_frames, C, H, W); bit-exact.

    Boxes and masks:
        Those of the frames that are shown.

    Raises:
        ValueError: for numbers below 1; when called on images, which have no frames.

    Source: the middle clip of the usual evaluation, as pytorchvideo's ConstantClipsPerVideoSampler with one clip.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.CenterTemporalCrop(4, stride=2)(torch.zeros(2, 9, 3, 8, 10)).shape
        torch.Size([2, 4, 3, 8, 10])
    """

    num_frames: int

    def __init__(self, num_frames: int, stride: int = 1) -> None:
        """See the class."""
        super().__init__()
        self.num_frames = as_size(num_frames, type(self).__name__, "num_frames")[0]
        self.stride = as_size(stride, type(self).__name__, "stride")[0]

    def frames(self, raw: Drawn, context: Context) -> Tensor:
        """Return the positions."""
        span = min((self.num_frames - 1) * self.stride, context.frames - 1)
        room = context.frames - span
        zero = torch.zeros_like(context.like)
        start = zero + (room - 1) // 2
        if "place" in raw:
            start = torch.floor(raw["place"].to(zero.dtype) * room).clamp(max=room - 1)
        return _spaced(start, zero + span / max(self.num_frames - 1, 1), self.num_frames, context.frames)


class RandomTemporalCrop(CenterTemporalCrop):
    """Show consecutive frames of a clip, from a place drawn for it.

    Args:
        num_frames: number of frames of the output.
        stride: distance of two frames in the clip; where they do not fit they stand nearer, evenly.

    Shape:
        (B, T, C, H, W) to (B, num_frames, C, H, W); bit-exact. In `eval()` mode the middle.

    Boxes and masks:
        Those of the frames that are shown.

    Raises:
        ValueError: for numbers below 1; when called on images, which have no frames.

    Source: the random clip of pytorchvideo's RandomClipSampler, in frames.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomTemporalCrop(4, stride=2)(torch.zeros(2, 9, 3, 8, 10)).shape
        torch.Size([2, 4, 3, 8, 10])
    """

    def __init__(self, num_frames: int, stride: int = 1) -> None:
        """See the class."""
        super().__init__(num_frames, stride)
        self.declare(place=Uniform(0.0, 1.0))

    def evaluation(self) -> Layer:
        """Return the middle."""
        return CenterTemporalCrop(self.num_frames, self.stride)


class RandomSpeed(Temporal):
    """Show a part of each clip at a speed drawn for it, from a place drawn for it.

    Args:
        num_frames: number of frames of the output.
        speed_range: range of the distance of two frames in the clip; 1 is neutral. Where they do not fit they stand
            nearer, evenly.
        p: probability for each sample; others have speed 1.

    Shape:
        (B, T, C, H, W) to (B, num_frames, C, H, W); every frame is the nearest one of the clip. In `eval()` mode the
        middle at speed 1.

    Boxes and masks:
        Those of the frames that are shown.

    Raises:
        ValueError: for a number below 1 or speeds that are not positive; when called on images, which have no frames.

    Source: the sampling rates of Feichtenhofer et al. 2019 (SlowFast), drawn for each clip.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomSpeed(4, (0.5, 2.0))(torch.zeros(2, 9, 3, 8, 10)).shape
        torch.Size([2, 4, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"speed": 1.0}

    num_frames: int

    def __init__(self, num_frames: int, speed_range: Range = (0.5, 2.0), p: float = 1.0) -> None:
        """See the class."""
        super().__init__(p)
        self.num_frames = as_size(num_frames, "RandomSpeed", "num_frames")[0]
        self.speed = as_distribution(speed_range, owner="RandomSpeed", name="speed_range", low=1e-9)
        self.declare(speed=self.speed, place=Uniform(0.0, 1.0))

    def evaluation(self) -> Layer:
        """Return the middle at speed 1."""
        return CenterTemporalCrop(self.num_frames)

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Give samples that the gate leaves out speed 1."""
        drawn = raw
        if gate is not None:
            drawn = {**raw, "speed": torch.where(gate, raw["speed"], torch.ones_like(raw["speed"]))}
        values = {**raw, "frames": self.frames(drawn, context)}
        return values if gate is None else {**values, "gate": gate}

    def frames(self, raw: Drawn, context: Context) -> Tensor:
        """Return the positions."""
        last = float(context.frames - 1)
        speed = raw["speed"].to(context.like.dtype)
        span = (speed * (self.num_frames - 1)).clamp(max=last)
        # Every first frame that fits, to the nearest, is as likely.
        start = raw["place"].to(speed.dtype) * (last - span + 1) - 0.5
        start = torch.minimum(start.clamp(min=0.0), last - span)
        return _spaced(start, span / max(self.num_frames - 1, 1), self.num_frames, context.frames)


class RandomFrameDrop(Temporal):
    """Lose frames of each clip: in place of a lost one the frame before it is shown again.

    Args:
        rate: range of the share of frames that is lost; 0 is neutral. The first frame is never lost.
        p: probability for each sample.

    Shape:
        (B, T, C, H, W) to the same; bit-exact. In `eval()` mode the identity.

    Boxes and masks:
        Those of the frames that are shown.

    Raises:
        ValueError: for rates outside 0..1; when called on images, which have no frames.

    Source: a stalled stream, as in video quality benchmarks (frame drop of Yi et al. 2021, VideoC).

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomFrameDrop(0.3)(torch.zeros(2, 9, 3, 8, 10)).shape
        torch.Size([2, 9, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"rate": 0.0}

    def __init__(self, rate: Range = (0.0, 0.3), p: Number = 0.5) -> None:
        """See the class."""
        super().__init__(p)
        self.rate = as_distribution(rate, owner="RandomFrameDrop", name="rate", low=0.0, high=1.0)
        self.declare(rate=self.rate, _key=KEY)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return the `rate` and the `frames`."""
        return {"rate": raw["rate"], "frames": self.frames(raw, context)}

    def frames(self, raw: Drawn, context: Context) -> Tensor:
        """Return the last frame that is not lost."""
        u = uniform_noise(as_key(raw["_key"]), 1, 1, context.frames)[:, 0, 0]
        place = torch.arange(context.frames, device=u.device)
        shown: Any = torch.cummax(torch.where(u >= raw["rate"][:, None], place, torch.zeros_like(place)), dim=1)
        return shown.values  # type: ignore[no-any-return]
