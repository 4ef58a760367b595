"""Make the pictures of the README from scikit-image's photographs: `python notebooks/pictures.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from skimage import data
from torch import Tensor, nn

import gpuaug as ga
from gpuaug.testing import annotated
from gpuaug.viz import contact_sheet, save_png

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))
from cases import CASES, Case  # noqa: E402

TILE = (120, 160)


def photographs() -> Tensor:
    """Return (4, 3, 120, 160) uint8."""
    fit = ga.Compose([ga.SmallestMaxSize(200), ga.CenterCrop((150, 200)), ga.Resize(TILE)])
    photos = [torch.from_numpy(getattr(data, name)()) for name in ("astronaut", "chelsea", "coffee", "rocket")]
    return torch.stack([fit(photo.permute(2, 0, 1)) for photo in photos])


def opening() -> Tensor:
    """Return four photographs, each with six draws of one pipeline."""
    augment = ga.Compose(
        [
            ga.RandomResizedCrop(TILE, scale=(0.3, 1.0)),
            ga.RandomHorizontalFlip(),
            ga.RandomAffine(15, shear=8, fill=255),
            ga.ColorJitter(0.4, 0.4, 0.4, 0.1),
            ga.RandomGrayscale(0.1),
            ga.RandomApply([ga.GaussianBlur(9, (0.5, 2.0))], p=0.2),
            ga.RandomErasing(p=0.3, value=(124, 116, 104)),
        ],
        seed=2,
    )
    photos = photographs()
    draws = augment(photos.repeat_interleave(5, dim=0)).unflatten(0, (4, 5))
    return contact_sheet(torch.cat((photos[:, None], draws), dim=1).flatten(0, 1), columns=6)


def always(layer: nn.Module) -> nn.Module:
    """Let every transform apply to every sample."""
    for part in layer.modules():
        if getattr(part, "p", 1.0) < 1 and not isinstance(part, ga.Compose):
            part.p = 1.0
            if hasattr(part, "_build"):
                part._build()
    if hasattr(layer, "_build"):
        layer._build()
    return layer


def tile(case: Case, photos: Tensor) -> Tensor:
    """Return one photograph after a transform, (1, 3, 120, 160)."""
    layer = always((case.shown or case.make)())
    bands, height, width = case.shape
    images = photos if height != width else ga.CenterCrop(TILE[0])(photos)
    if bands == 5:
        images = torch.cat((images, images[:, :2]), dim=1)
    layer.reseed(9)
    sees = any(node.transform.sees for node in layer.nodes)
    out = layer(annotated(images))["image"] if sees else layer(images)
    if out.dtype.is_floating_point:
        low, high = out.amin(dim=(1, 2, 3), keepdim=True), out.amax(dim=(1, 2, 3), keepdim=True)
        out = ((out - low) / (high - low) * 255).round().to(torch.uint8)
    return ga.LetterBox(TILE, fill=255)(out[1:2, :3])


def gallery() -> Tensor:
    """Return a tile for every transform."""
    photos = photographs()
    tiles = torch.cat([photos[1:2], *(tile(case, photos) for case in CASES)])
    return contact_sheet(tiles, columns=6, labels=["the photograph", *(case.name for case in CASES)])


if __name__ == "__main__":
    save_png(opening(), HERE / "opening.png")
    save_png(gallery(), HERE / "gallery.png")
