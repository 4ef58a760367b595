"""How much worse a model gets when its images are changed in one way at a time."""

from __future__ import annotations

import copy as copying
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gpuaug._chart import table
from gpuaug.diagnose.calibration import Tally, check_labels
from gpuaug.diagnose.leak import draws_of
from gpuaug.diagnose.suite import default_suite
from gpuaug.transforms.layer import Layer
from gpuaug.tta.merge import activated, check_activation

__all__ = ["Robustness", "Row", "evaluating", "robustness"]

_SHOWN_CLASSES = 24


@dataclass(frozen=True)
class Row:
    """What a model did on images that were changed in one way."""

    name: str
    level: str
    accuracy: Tensor
    """(seeds,) share that is right."""
    per_class: Tensor
    """(seeds, classes); NaN for a class without samples."""
    calibration_error: Tensor
    """(seeds,) expected calibration error."""

    @property
    def mean(self) -> float:
        """Mean accuracy over the seeds."""
        return float(self.accuracy.mean())

    @property
    def spread(self) -> float:
        """Standard deviation of the accuracy over the seeds; 0 for one seed."""
        return float(self.accuracy.std(correction=1)) if len(self.accuracy) > 1 else 0.0

    @property
    def title(self) -> str:
        """Name and strength."""
        return f"{self.name} {self.level}".strip()


@dataclass(frozen=True)
class Robustness:
    """Accuracy and calibration of a model on untouched images, and on images changed in one way at a time.

    Print it for a table; `plot` draws it.
    """

    clean: Row
    rows: tuple[Row, ...]
    samples: Tensor
    """(classes,) number of samples of each class."""
    class_names: tuple[str, ...]
    seeds: int
    _by_title: dict[str, Row] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make rows found by name."""
        object.__setattr__(self, "_by_title", {row.title: row for row in self.rows})

    def __getitem__(self, title: str) -> Row:
        """Return a row, by name and strength: report["noise 0.1"]."""
        if title not in self._by_title:
            raise KeyError(f"no perturbation {title!r}; there are {', '.join(self._by_title)}")
        return self._by_title[title]

    def drop(self, title: str) -> float:
        """Return by how much the accuracy falls, 0 to 1."""
        return self.clean.mean - self[title].mean

    def drop_per_class(self, title: str) -> Tensor:
        """Return by how much the accuracy of each class falls (classes,); NaN for a class without samples."""
        return self.clean.per_class.mean(0) - self[title].per_class.mean(0)

    @property
    def mean_drop(self) -> float:
        """Mean drop over all rows."""
        return sum(self.drop(row.title) for row in self.rows) / max(len(self.rows), 1)

    def __str__(self) -> str:
        """Show a table: accuracy with its spread over the seeds, drop, calibration error, and the worst class."""
        names = max(len(row.title) for row in (*self.rows, self.clean))
        plural = "s" if self.seeds > 1 else ""
        lines = [
            f"{int(self.samples.sum()):,} samples, {len(self.samples)} classes, {self.seeds} seed{plural}",
            f"{'':{names}}  {'accuracy':>14}  {'drop':>7}  {'calibration error':>17}  worst class",
        ]
        for row in (self.clean, *self.rows):
            accuracy = f"{100 * row.mean:.1f} +- {100 * row.spread:.1f} %"
            line = f"{row.title:{names}}  {accuracy:>14}"
            drop, worst = "", ""
            if row is not self.clean:
                drop = f"{100 * self.drop(row.title):.1f}"
                falls = self.drop_per_class(row.title).nan_to_num(-2.0)
                k = int(falls.argmax())
                worst = f"{self.class_names[k]} -{100 * float(falls[k]):.1f}" if float(falls[k]) > 0 else "-"
            error = f"{100 * float(row.calibration_error.mean()):.1f} %"
            lines.append(f"{line}  {drop:>7}  {error:>17}  {worst}".rstrip())
        return "\n".join(lines)

    def plot(self, path: Path | str | None = None) -> Tensor:
        """Draw accuracies as bars with their spread, and the drop of each class as colours.

        Args:
            path: a PNG to write (needs Pillow); None writes none.

        Shape:
            -> uint8 (3, H, W). Of more than 24 classes those that fall most are shown.
        """
        rows = [(row.title, row.mean, row.spread) for row in (self.clean, *self.rows)]
        falls = torch.stack(
            [torch.zeros(len(self.samples)), *(self.drop_per_class(r.title).float() for r in self.rows)]
        )
        shown = torch.arange(len(self.samples))
        if len(shown) > _SHOWN_CLASSES:
            shown = falls.nan_to_num(0.0).mean(0).topk(_SHOWN_CLASSES).indices.sort().values
        most = max(float(falls.nan_to_num(0.0).max()), 0.1)
        title = f"ACCURACY, AND DROP OF EACH CLASS (WHITE 0, RED {100 * most:.0f} POINTS)"
        columns = [self.class_names[k] for k in shown.tolist()]
        picture = table(rows, falls[:, shown].tolist(), columns, title=title, most=most)
        if path is not None:
            from gpuaug.viz import save_png

            save_png(picture, path)
        return picture


def robustness(
    model: Callable[[Tensor], Tensor],
    loader: Iterable[Any],
    suite: Mapping[str, Layer | Mapping[Any, Layer]] | None = None,
    *,
    seeds: Sequence[int] = (0,),
    activation: Any = "softmax",
    class_names: Sequence[str] | None = None,
    bins: int = 15,
    device: torch.device | str | None = None,
) -> Robustness:
    """Show a classifier each batch of a loader untouched and under perturbations, and count what it gets right.

    The loader is read once; perturbations are applied where the batch is. What is done to a sample depends on the seed,
    the perturbation and its place in the loader, not on the size of the batches. Modules are put into `eval()` mode
    meanwhile.

    Args:
        model: what takes images as the loader gives them, and returns logits (B, classes). A model that wants them
            normalised comes with its preprocessing: `nn.Sequential(augment.eval_pipeline(), model)`.
        loader: gives (images, labels), or dicts with `image` and `label`.
        suite: pipelines by perturbation, or by perturbation and strength; None is `default_suite()`.
        seeds: of the draws; the spread over them is reported.
        activation: what turns the output into probabilities, for the calibration: `softmax`, `sigmoid`, a function,
            or None.
        class_names: names by class; None are the numbers.
        bins: of the calibration error.
        device: where batches go; None leaves them where they are.

    Returns:
        The report.

    Raises:
        ValueError: for an empty loader or suite, mixes of samples, and predictions or labels of another shape.

    Source: the perturbations of Hendrycks and Dietterich 2019, one at a time; calibration as Guo et al. 2017.

    Example:
        >>> import torch, gpuaug as ga
        >>> from gpuaug.diagnose import robustness
        >>> dark = lambda images: torch.stack((images.mean((1, 2, 3)), torch.full((len(images),), 0.5)), 1)
        >>> batches = [(torch.full((4, 3, 8, 10), 0.8), torch.zeros(4, dtype=torch.int64))]
        >>> report = robustness(dark, batches, {"invert": ga.RandomInvert(p=1.0)})
        >>> report.clean.mean, report.drop("invert")
        (1.0, 1.0)
    """
    check_activation(activation)
    if not seeds or any(isinstance(seed, bool) or not isinstance(seed, int) for seed in seeds):
        raise ValueError(f"robustness: seeds must be at least one integer, got {seeds!r}")
    steps = _steps(default_suite() if suite is None else suite)
    tallies: list[list[Tally]] = []
    first = 0
    with evaluating(model), torch.no_grad():
        for batch in loader:
            images, labels = _read(batch, device)
            ids = torch.arange(first, first + len(images), device=images.device)
            first += len(images)

            def said(shown: Tensor, labels: Tensor = labels) -> Tensor:
                prediction = model(shown)
                check_labels("robustness", prediction, labels)
                return activated(prediction.float(), activation)

            untouched = said(images)
            if not tallies:
                classes = untouched.shape[1]
                counts = [1, *((len(seeds) if drawing else 1) for *_, drawing in steps)]
                tallies = [[Tally(classes, bins, images.device) for _ in range(n)] for n in counts]
            tallies[0][0].add(untouched, labels)
            for (_, _, layer, _), row in zip(steps, tallies[1:], strict=True):
                for seed, tally in zip(seeds, row, strict=False):
                    layer.reseed(seed)
                    params = layer.sample(images, ids=ids)
                    tally.add(said(layer.replay(images, params)), labels)
    if not tallies:
        raise ValueError("robustness: loader must give at least one batch, got none")
    count = len(tallies[0][0].samples)
    if class_names is not None and len(class_names) != count:
        raise ValueError(f"robustness: class_names must be {count}, one for each class, got {len(class_names)}")
    names = tuple(map(str, range(count))) if class_names is None else tuple(map(str, class_names))
    clean, *rows = (
        _row(name, level, row, len(seeds))
        for (name, level), row in zip([("untouched", ""), *((s[0], s[1]) for s in steps)], tallies, strict=True)
    )
    return Robustness(clean, tuple(rows), tallies[0][0].samples.cpu(), names, len(seeds))


def _row(name: str, level: str, tallies: list[Tally], seeds: int) -> Row:
    tallies = tallies if len(tallies) == seeds else tallies * seeds  # what draws nothing is the same for every seed
    return Row(
        name,
        level,
        torch.tensor([tally.accuracy() for tally in tallies], dtype=torch.float64),
        torch.stack([tally.per_class() for tally in tallies]),
        torch.tensor([tally.calibration().error for tally in tallies], dtype=torch.float64),
    )


def _steps(suite: Mapping[str, Layer | Mapping[Any, Layer]]) -> list[tuple[str, str, Layer, bool]]:
    """Return name, strength, a pipeline of our own, and whether it draws."""
    if not isinstance(suite, Mapping) or not suite:
        raise ValueError(f"robustness: suite must be pipelines by name, at least one, got {suite!r:.60}")
    steps = []
    for name, given in suite.items():
        levels = given if isinstance(given, Mapping) else {"": given}
        for level, layer in levels.items():
            if not isinstance(layer, Layer):
                raise ValueError(f"robustness: suite[{name!r}] must be a pipeline, got {type(layer).__name__}")
            if any(node.transform.mixes for node in layer.nodes):
                raise ValueError(f"robustness: suite[{name!r}] mixes samples, which have no label of their own then")
            own = copying.deepcopy(layer).train()
            steps.append((str(name), str(level), own, bool(draws_of(own))))
    return steps


def _read(batch: Any, device: torch.device | str | None) -> tuple[Tensor, Tensor]:
    if isinstance(batch, Mapping):
        images, labels = batch.get("image"), batch.get("label", batch.get("labels"))
    elif isinstance(batch, (tuple, list)) and len(batch) >= 2:
        images, labels = batch[0], batch[1]
    else:
        images = labels = None
    if not isinstance(images, Tensor) or images.dim() != 4 or not isinstance(labels, Tensor):
        raise ValueError(
            "robustness: loader must give (images (B, C, H, W), labels (B,)) or dicts with image and label, got "
            f"{type(batch).__name__}"
        )
    return images.to(device or images.device), labels.to(device or images.device)


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Put the modules of a model into `eval()` mode, and back."""
    modes = [(part, part.training) for part in model.modules()] if isinstance(model, nn.Module) else []
    if modes:
        model.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
