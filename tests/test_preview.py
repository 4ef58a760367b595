"""Previews of a pipeline, from Python and from the command line: the next draws, and the pipeline as it was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from drawn import H, W, cell, frame, painted
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

import gpuaug as ga
from gpuaug import cli
from gpuaug._draw import colour
from gpuaug.preview import read_coco, run
from gpuaug.viz import draw, preview, save_png

MEAN, STD = (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)
BLACK = torch.zeros(1, 3, H, W, dtype=torch.uint8)


# --- previews of a pipeline ---


def test_a_preview_shows_originals_beside_the_next_draws(photos: torch.Tensor) -> None:
    photos = photos[:, :, ::3, ::3].cpu()
    height, width = photos.shape[2:]
    augment = ga.Compose(
        [ga.RandomAffine(20, (0.1, 0.1)), ga.ColorJitter(0.5), ga.Normalize(MEAN, STD)],
        seed=3,
        bbox_params=ga.BboxParams(format="coco"),
    )
    batch = {"image": photos, "boxes": torch.tensor([[[10.0, 20.0, 30.0, 15.0]]] * 4)}
    sheet = preview(augment, batch, copies=2)
    assert sheet.shape == (3, 4 * (height + 2) + 2, 3 * (width + 2) + 2)
    assert torch.equal(sheet, preview(augment, batch, copies=2)), "the clock is where it was"
    augment.eval()
    assert torch.equal(sheet, preview(augment, batch, copies=2))
    augment.train()
    out = augment(batch)
    drawn = draw(out, mean=MEAN, std=STD, bbox_params=ga.BboxParams(format="coco"))
    originals = draw(batch, bbox_params=ga.BboxParams(format="coco"))
    for row in range(4):
        assert torch.equal(cell(sheet, row, 0, height, width), originals[row])
        assert torch.equal(cell(sheet, row, 1, height, width), drawn[row]), "the first copy is the next call's"
        assert not torch.equal(cell(sheet, row, 2, height, width), drawn[row])
    assert (originals[0][:, 20, 10:40].T == torch.tensor(colour(0))).all()


def test_a_preview_of_changed_sizes_value_ranges_and_clips() -> None:
    augment = ga.Compose([ga.CenterCrop((10, 12))], value_range=(-1000, 1000))
    image = torch.randint(-1000, 1001, (2, 1, 14, 20), dtype=torch.int16)
    sheet = preview(augment, image, copies=1, captions=["a", "b"])
    assert sheet.shape == (3, 2 * (14 + 14 + 2) + 2, 2 * 22 + 2)
    expected = ((image[1, 0].double() + 1000) / 2000 * 255).round().to(torch.uint8)
    assert torch.equal(cell(sheet, 1, 0, 14, 20, 14)[0], expected)
    small = cell(sheet, 1, 1, 14, 20, 14)[:, 2:12, 4:16]
    assert torch.equal(small[0], expected[2:12, 4:16])
    clip = torch.rand(1, 3, 3, 8, 10)
    assert preview(ga.RandomHorizontalFlip(), clip, copies=1).shape == (3, 3 * 10 + 2, 2 * 12 + 2)


def test_a_preview_of_rotated_and_converted_boxes() -> None:
    turned = torch.tensor([[[16.0, 13.0, 20.0, 8.0, 30.0]]])
    flip = ga.RandomHorizontalFlip(p=1.0)
    augment = ga.Compose([flip], bbox_params=ga.BboxParams(format="cxcywhr"))
    sheet = preview(augment, {"image": BLACK, "boxes": turned}, copies=1)
    mirrored = torch.tensor([[[W - 16.0, 13.0, 20.0, 8.0, -30.0]]])
    seen, expected = (painted(x) for x in (cell(sheet, 0, 1, H, W), draw({"image": BLACK, "boxes": mirrored})[0]))
    assert expected.sum() > 40 and (seen ^ expected).sum() <= 4, "rounding apart"
    converted = ga.Compose([flip, ga.ConvertBoundingBoxFormat("CXCYWH")])
    sheet = preview(converted, {"image": BLACK, "boxes": torch.tensor([[[6.0, 10, 26, 18]]])}, copies=1)
    assert torch.equal(painted(cell(sheet, 0, 1, H, W)), frame(W - 26, 10, W - 6, 18))


def test_previews_refuse() -> None:
    images = torch.zeros(2, 3, 4, 5)
    with pytest.raises(TypeError, match="augment must be a gpuaug transform, got Identity"):
        preview(torch.nn.Identity(), images)
    with pytest.raises(ValueError, match="copies must be at least 1, got 0"):
        preview(ga.RandomHorizontalFlip(), images, copies=0)
    with pytest.raises(ValueError, match=r"captions must be one per sample \(2\), got 1"):
        preview(ga.RandomHorizontalFlip(), images, captions=["a"])


# --- the command ---

POLICY = "import gpuaug as ga\naugment = ga.Compose([ga.RandomHorizontalFlip(p=1.0)], seed=0)\n"


@pytest.fixture
def files(tmp_path: Path, photos: torch.Tensor) -> Path:
    """A folder with two photographs of different sizes, a pipeline and a COCO file."""
    save_png(photos[0], tmp_path / "one.png")
    save_png(photos[1, :, :100, :90], tmp_path / "two.png")
    (tmp_path / "policy.py").write_text(POLICY)
    box = {"image_id": 7, "category_id": 5, "bbox": [20, 30, 50, 40], "iscrowd": 0}
    things = [
        {**box, "segmentation": [[20, 30, 70, 30, 70, 70, 20, 70]], "keypoints": [25, 50, 2, 60, 50, 1, 0, 0, 0]},
        {**box, "bbox": [100, 10, 20, 20], "segmentation": {"counts": [0], "size": [1, 1]}},
        {**box, "bbox": [0, 0, 160, 120], "iscrowd": 1},
    ]
    coco = {
        "images": [
            {"id": 7, "file_name": "train/one.png", "height": 120, "width": 160},
            {"id": 8, "file_name": "two.png"},
        ],
        "annotations": things,
        "categories": [{"id": 5, "name": "cat", "skeleton": [[1, 2]]}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    return tmp_path


def test_the_command_writes_a_sheet(files: Path, photos: torch.Tensor, capsys: pytest.CaptureFixture[str]) -> None:
    out = files / "new" / "sheet.png"
    argv = ["preview", str(files / "one.png"), str(files / "two.png"), "--policy", str(files / "policy.py")]
    assert cli.main([*argv, "--copies", "2", "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out.resolve())
    sheet = pil_to_tensor(Image.open(out))
    assert sheet.shape == (3, 2 * (120 + 14 + 2) + 2, 3 * (160 + 2) + 2)
    one, two = photos.cpu()[0], photos.cpu()[1, :, :100, :90]
    assert torch.equal(cell(sheet, 0, 0, 120, 160, 14), one)
    assert torch.equal(cell(sheet, 0, 2, 120, 160, 14), one.flip(-1))
    assert torch.equal(cell(sheet, 1, 1, 120, 160, 14)[:, 10:110, 35:125], two.flip(-1))
    assert (sheet[:, 122:136, 2:162] == 0).any() and (sheet[:, 122:136, 164:] == 255).all(), "the name of the file"


def test_the_command_draws_annotations(files: Path, photos: torch.Tensor) -> None:
    sheet = run(
        [files / "one.png", files / "two.png"],
        policy=files / "policy.py",
        out=files / "sheet.png",
        copies=1,
        annotations=files / "coco.json",
    )
    known = read_coco(files / "coco.json")
    masks = torch.zeros(1, 2, 120, 160)
    masks[0, 0, 30:70, 20:70] = 1
    batch = {
        "image": photos[:1].cpu(),
        "boxes": torch.tensor([[[20.0, 30, 70, 70], [100, 10, 120, 30]]]),
        "labels": torch.tensor([[5, 5]]),
        "masks": masks,
        "keypoints": torch.tensor([[[[25.0, 50], [60, 50], [0, 0]], [[0, 0]] * 3]]),
        "visible": torch.tensor([[[2, 1, 0], [0, 0, 0]]]),
    }
    assert known.class_names == {5: "cat"} and known.skeleton == ((0, 1),)
    names = {"class_names": known.class_names, "skeleton": known.skeleton}
    assert torch.equal(cell(sheet, 0, 0, 120, 160, 14), draw(batch, **names)[0])
    mirrored = ga.RandomHorizontalFlip(p=1.0)(batch)
    assert torch.equal(cell(sheet, 0, 1, 120, 160, 14), draw(mirrored, **names)[0])
    assert torch.equal(cell(sheet, 1, 0, 120, 160, 14)[:, 10:110, 35:125], photos[1, :, :100, :90].cpu()), "no objects"


def test_the_command_takes_a_seed_a_size_and_functions(files: Path) -> None:
    (files / "helper.py").write_text("from gpuaug import RandomAffine\n")
    (files / "policy.py").write_text(
        "from helper import RandomAffine\ndef policy(degrees=40):\n    return RandomAffine(degrees, (0.2, 0.2))\n"
    )
    before = list(sys.path)

    def sheet(seed: int) -> torch.Tensor:
        images = [files / "one.png", files / "one.png"]
        return run(images, policy=files / "policy.py", out=files / "s.png", copies=2, seed=seed, size=80)

    first = sheet(1)
    assert sys.path == before
    assert first.shape == (3, 2 * (60 + 14 + 2) + 2, 3 * 82 + 2)
    assert torch.equal(first, sheet(1)) and not torch.equal(first, sheet(2))
    shown = [cell(first, row, column, 60, 80, 14) for row in range(2) for column in (1, 2)]
    assert all(not torch.equal(a, b) for i, a in enumerate(shown) for b in shown[:i]), "each draw is another"


def test_the_command_reads_gray_turned_and_transparent_images(files: Path) -> None:
    wide = torch.arange(6 * 8, dtype=torch.int32).view(6, 8) * 1000
    Image.fromarray(wide.to(torch.uint16).numpy()).save(files / "deep.png")
    sheet = run([files / "deep.png"], policy=files / "policy.py", out=files / "s.png", copies=1)
    assert torch.equal(cell(sheet, 0, 1, 6, 8, 14)[0].int(), (wide / 257).round().int().flip(-1))
    Image.fromarray(torch.full((6, 8), 99, dtype=torch.uint8).numpy()).convert("RGBA").save(files / "clear.png")
    sheet = run([files / "clear.png"], policy=files / "policy.py", out=files / "s.png", copies=1)
    assert (cell(sheet, 0, 0, 6, 8, 14) == 99).all()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(torch.zeros(6, 8, 3, dtype=torch.uint8).numpy()).save(files / "turned.png", exif=exif)
    sheet = run([files / "turned.png"], policy=files / "policy.py", out=files / "s.png", copies=1)
    assert sheet.shape == (3, 8 + 14 + 4, 2 * (6 + 2) + 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"one.png": None}, "one.png: no such file"),
        ({"one.png": "no image"}, "one.png: not an image that can be read"),
        ({"policy.py": None}, "policy.py: no such file"),
        ({"policy.py": "transform = 1"}, "policy.py: must define a pipeline named augment or policy, got neither"),
        ({"policy.py": "augment = 1"}, "augment must be a gpuaug transform, got int"),
        ({"policy.py": "def policy(size): pass"}, "policy() must take no arguments, got size"),
        ({"policy.py": "def policy(): pass"}, "policy must be a gpuaug transform, got NoneType"),
        ({"policy.py": "import gpuaug\naugment = gpuaug.RandomCrop(500)"}, "does not take"),
        ({"coco.json": None}, "coco.json: no such file"),
        ({"coco.json": "[1"}, "coco.json: not a JSON file"),
        ({"coco.json": "[1]"}, "coco.json: not a COCO file"),
        ({"coco.json": '{"images": [{"id": 1}], "annotations": []}'}, "not a COCO file (KeyError: 'file_name')"),
        ({"coco.json": '{"images": [], "annotations": []}'}, "must have one image one.png, got none"),
        (
            {"coco.json": '{"images": [{"id": 1, "file_name": "one.png", "width": 9}], "annotations": []}'},
            "one.png is 9xNone there, but the file is 160x120",
        ),
        (
            {
                "coco.json": '{"images": [{"id": 1, "file_name": "one.png"}],'
                ' "annotations": [{"image_id": 1, "category_id": 1}]}'
            },
            "annotations of one.png cannot be read",
        ),
        ({"sheet.png/": ""}, "sheet.png: cannot be written"),
    ],
)
def test_the_command_says_what_is_wrong(
    files: Path, change: dict[str, str | None], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in change.items():
        if name.endswith("/"):
            (files / name).mkdir()
        elif text is None:
            (files / name).unlink()
        else:
            (files / name).write_text(text)
    argv = ["preview", str(files / "one.png"), "--policy", str(files / "policy.py")]
    argv += ["--annotations", str(files / "coco.json"), "--out", str(files / "sheet.png")]
    assert cli.main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("gpuaug preview: ") and message in error and "Traceback" not in error


def test_the_command_as_a_process(files: Path) -> None:
    command = [sys.executable, "-m", "gpuaug.cli", "preview", "one.png", "--policy", "policy.py", "--copies", "1"]
    done = subprocess.run([*command, "--out", "sheet.png"], cwd=files, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert pil_to_tensor(Image.open(files / "sheet.png")).shape == (3, 120 + 14 + 4, 2 * 162 + 2)
