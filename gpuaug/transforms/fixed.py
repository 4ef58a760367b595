"""What was drawn for one sample, as a pipeline that draws nothing."""

from __future__ import annotations

import copy as copying
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from gpuaug.sampling.params import Params
from gpuaug.transforms.layer import SETTINGS, Layer
from gpuaug.transforms.node import Gate, Given, Names, Node

__all__ = ["Fixed", "undoing"]


class Fixed(Layer):
    """Do to every sample of any batch what was drawn for one: what `augment.fixed(params, i)` returns.

    It may stand alone, with the settings of its pipeline, or in another pipeline; it does the same in `eval()` mode.

    Args:
        pipeline: the transform or container that drew the parameters; a copy of it is kept.
        params: the parameters, or what their `to_dict` returned.
        index: of the sample.

    Raises:
        TypeError: for a pipeline that is none.
        IndexError: for a sample that is not there.
        ValueError: for a pipeline in which samples meet, and where images have another size than the one drawn for.
    """

    def __init__(self, pipeline: Layer, params: Params | Mapping[str, Any], index: int = 0) -> None:
        """Take over what was drawn; see the class."""
        super().__init__()
        if not isinstance(pipeline, Layer):
            raise TypeError(f"Fixed: pipeline must be a gpuaug transform, got {type(pipeline).__name__}")
        drawn = params if isinstance(params, Params) else Params.from_dict(params)
        if not -len(drawn) <= index < len(drawn):
            raise IndexError(f"Fixed: sample {index} of {len(drawn)}")
        index %= len(drawn)
        self.params = drawn[index : index + 1]
        pipeline = copying.deepcopy(pipeline)
        self.__dict__["pipeline"] = pipeline  # not a submodule: its state is nobody's
        mixing = [node.name for node in pipeline._unsized if node.transform.mixes]
        if mixing:
            raise ValueError(
                f"Fixed: what was drawn for one sample must be about that sample alone, got {', '.join(mixing)}, in "
                "which it meets others of its batch"
            )
        more = [node.name for node in pipeline._unsized if node.transform.copies > 1 or node.transform.retimes]
        if more:
            raise ValueError(f"Fixed: what was drawn for one sample gives one sample of its frames, got {more[0]}")
        expected = {node.name for node in pipeline._unsized}
        if expected != set(self.params.values):
            raise ValueError(
                f"Fixed: params must be of the pipeline, which has {sorted(expected)}, got {sorted(self.params.values)}"
            )
        for setting in SETTINGS:
            setattr(self, setting, getattr(pipeline, setting))
        self._build()

    def flatten(self, names: Names, gates: tuple[Gate, ...], channels: tuple[int, ...] | None) -> Iterator[Node]:
        """Go over the transforms of the pipeline, with what they were given."""
        if gates:
            raise ValueError("Fixed: it applies to all samples, and must stand in no container that decides")
        own, canvas = names.take("Fixed"), self.params.canvas
        size = canvas[0] if canvas and isinstance(canvas[0], tuple) else canvas
        for i, node in enumerate(self.__dict__["pipeline"]._nodes_of(self.params.sizes)):
            given = Given(self.params.values[node.name], size if i == 0 else None)
            bands = node.channels if node.channels is not None else channels
            yield replace(node, name=f"{own}.{node.name}", gates=(), of=None, given=given, channels=bands)

    def evaluation(self) -> Layer:
        """Return itself."""
        return self

    def written(self) -> dict[str, Any]:
        """Return the parameters of the sample as plain values."""
        return {"pipeline": self.__dict__["pipeline"], "params": self.params.to_dict(), "index": 0}

    def _apply(self, *args: Any, **kwargs: Any) -> nn.Module:
        """Leave what was drawn as it is: it goes to the device of a batch by itself."""
        return self

    def extra_repr(self) -> str:
        """Show what is done."""
        steps = self.params[0] if self.params.ids.device.type != "meta" else []
        return ", ".join(f"{name}({', '.join(f'{k}={v}' for k, v in values.items())})" for name, values in steps)


def undoing(layer: Layer, params: Params) -> Layer:
    """Return the pipeline of one given map that inverse parameters are for, with the settings of another."""
    from gpuaug.transforms.affine import GivenMap
    from gpuaug.transforms.compose import Compose

    made = Compose([GivenMap(params.geometry, params.ids.device)])
    for setting in SETTINGS:
        setattr(made, setting, getattr(layer, setting))
    # What is left of objects was judged on the way there.
    bbox = replace(
        layer.settings.bbox, min_area=0.0, min_visibility=0.0, min_size=0.0, max_aspect=None, max_objects=None
    )
    made.settings = replace(layer.settings, bbox=bbox, pad_to=None, pad_divisor=None)
    made.nodes[0].name = "Inverse"
    return made
