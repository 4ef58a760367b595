"""Make the pictures of the README from scikit-image's photographs: `python notebooks/pictures.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from skimage import data
from torch import Tensor, nn

import gpuaug as ga
from gpuaug.viz import Look, contact_sheet, draw, lay_out, save_png

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))
from cases import CASES, Case  # noqa: E402

TILE = (120, 160)
LOOK: Look = {
    "scale": 2,
    "max_size": 320,
    "opacity": 0.3,
    "class_names": ["face"],
    "skeleton": [(0, 2), (1, 2), (2, 3), (2, 4), (3, 4)],  # eyes, nose, ends of the mouth
}


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


def astronaut() -> dict[str, Tensor]:
    """Return a photograph of 120x160 with a face on it: its box, its ellipse as a mask, its eyes, nose and mouth.

    They are marked on the photograph as it is, so that the way to 120x160 moves them too.
    """
    photo = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[:, :240, 40:360]
    y, x = torch.meshgrid(torch.arange(240) + 0.5, torch.arange(320) + 0.5, indexing="ij")
    face = ((x - 184) / 47) ** 2 + ((y - 118) / 66) ** 2 <= 1
    marked = {
        "image": photo,
        "boxes": torch.tensor([[137.0, 52.0, 231.0, 184.0]]),
        "labels": torch.tensor([0]),
        "masks": face[None],
        "keypoints": torch.tensor([[[161.5, 100.5], [208.5, 102.5], [184.0, 120.0], [168.0, 144.0], [202.0, 146.0]]]),
    }
    return ga.Resize(TILE)(marked)


def companions() -> dict[str, Tensor]:
    """Return two more photographs with what is on them, a cat's head and a cup: whom the astronaut meets in a mix."""
    found = []
    for name, box in (("chelsea", (118.0, 22.0, 346.0, 262.0)), ("coffee", (160.0, 62.0, 420.0, 300.0))):
        photo = torch.from_numpy(getattr(data, name)()).permute(2, 0, 1)
        h, w = photo.shape[1:]
        y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
        x0, y0, x1, y1 = box
        inside = ((2 * x - x0 - x1) / (x1 - x0)) ** 2 + ((2 * y - y0 - y1) / (y1 - y0)) ** 2 <= 1
        marked = {"image": photo, "boxes": torch.tensor([box]), "labels": torch.tensor([1]), "masks": inside[None]}
        found.append(ga.Resize(TILE)(marked))
    both = {key: torch.stack([one[key] for one in found]) for key in found[0]}
    return {**both, "keypoints": torch.zeros(2, 1, 5, 2), "visible": torch.zeros(2, 1, 5, dtype=torch.int64)}


def always(layer: nn.Module) -> nn.Module:
    """Let every transform apply to every sample."""
    for part in layer.modules():
        p = getattr(part, "p", None)
        if isinstance(p, float) and p < 1:
            part.p = 1.0
            if hasattr(part, "_build"):
                part._build()
    if hasattr(layer, "_build"):
        layer._build()
    return layer


def tile(case: Case, marked: dict[str, Tensor]) -> Tensor:
    """Return the photograph after a transform, with what is marked on it where the transform moves pixels."""
    layer = always((case.shown or case.make)())
    bands, height, width = case.shape
    if height == width:
        marked = ga.CenterCrop(TILE[0])(marked)
    batch = {key: value.repeat(2, *[1] * value.dim()) for key, value in marked.items()}
    if any(node.transform.mixes or getattr(node.transform, "adapts", False) for node in layer.nodes):
        others, own = companions(), {**marked, "visible": torch.full((1, 5), 2)}
        batch = {key: torch.cat((others[key][:1], own[key][None], others[key][1:])) for key in others}
    if bands == 5:
        batch["image"] = torch.cat((batch["image"], batch["image"][:, :2]), dim=1)
    layer.reseed(9)
    if "mask" in {kind for node in layer.nodes for kind in node.transform.sees}:
        batch["mask"] = batch["masks"][:, 0].long()
    if any(node.transform.blends for node in layer.nodes):
        return draw(layer(batch["image"]), **LOOK)[1]
    out = layer(batch)
    moved = not torch.equal(out["boxes"], batch["boxes"]) or not torch.equal(out["keypoints"], batch["keypoints"])
    return draw({k: v for k, v in out.items() if k != "mask"} if moved else out["image"], **LOOK)[1]


def gallery() -> Tensor:
    """Return a tile for every transform that changes pixels."""
    marked = astronaut()
    made = [(case, case.make()) for case in CASES]
    cases = [case for case, layer in made if not any(getattr(layer, n, None) for n in ("treats_boxes", "outputs"))]
    tiles = [*draw(marked, **LOOK), *(tile(case, marked) for case in cases)]
    sheet = lay_out(tiles, 6, ["the photograph", *(case.name for case in cases)])
    return ((sheet >> 2).int() * 255 // 63).to(torch.uint8)  # 64 levels look the same in two thirds of the bytes


if __name__ == "__main__":
    save_png(opening(), HERE / "opening.png")
    save_png(gallery(), HERE / "gallery.png")
