"""SaliencyMix: the rectangle is where the other image stands out, by a map that equals the paper's in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage import data as pictures
from skimage.transform import resize
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

import gpuaug as ga
from gpuaug.diagnose import count
from gpuaug.functional import spectral_saliency


def photographs(h: int, w: int) -> Tensor:
    """Return (4, 3, h, w) in float64."""
    images = [pictures.astronaut(), pictures.chelsea(), pictures.coffee(), pictures.rocket()]
    return torch.from_numpy(np.stack([resize(image, (h, w), anti_aliasing=True) for image in images])).permute(
        0, 3, 1, 2
    )


def reference(gray: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the spectral residual's map of a gray image of 64 columns, with SciPy, as the paper and its code say."""
    waves = np.fft.fft2(gray)
    log = np.log(np.abs(waves))
    residual = log - ndimage.uniform_filter(log, 3, mode="nearest")
    shown = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(waves)))) ** 2
    return ndimage.gaussian_filter(shown, 2.5, mode="constant", truncate=100)


def noise(h: int, w: int) -> Tensor:
    """Return (3, 3, h, w) images of which no frequency is nearly missing beside the mean."""
    generator = torch.Generator().manual_seed(1)
    return torch.rand((3, 3, h, w), generator=generator, dtype=torch.float64) - 0.45


@pytest.mark.parametrize("size", [(41, 64), (30, 37), (64, 64)], ids=str)
def test_the_spectral_residual_equals_scipy(size: tuple[int, int]) -> None:
    images = noise(*size)
    found = spectral_saliency(images)
    gray = tv.rgb_to_grayscale(images)[:, 0].numpy()
    for one, plane in zip(found, gray, strict=True):
        waves = np.abs(np.fft.fft2(plane))
        assert waves.min() > 1e-4 * waves.max()  # else the map is not the paper's
        want = reference(plane)
        np.testing.assert_allclose(one.numpy(), want / want.max(), atol=2e-6)


def test_large_images_are_looked_at_in_64_columns() -> None:
    """Equal to SciPy's map of torchvision's antialiased resize, enlarged; the peaks of photographs are the same."""
    images = photographs(150, 200)
    found = spectral_saliency(images)
    small = tv.rgb_to_grayscale(tv.resize(images, [48, 64], antialias=True))[:, 0].numpy()
    for one, plane in zip(found, small, strict=True):
        want = torch.from_numpy(reference(plane))
        large = torch.nn.functional.interpolate(want[None, None], (150, 200), mode="bilinear")[0, 0]
        large = large / large.max()
        y, x = divmod(int(one.argmax()), 200)
        assert float(large[y, x]) > 0.8  # where frequencies are nearly missing the two differ
        assert np.corrcoef(one.flatten().numpy(), large.flatten().numpy())[0, 1] > 0.97


def test_what_stands_out_is_found() -> None:
    """A bright patch on noise, anywhere, in any dtype and number of channels."""
    generator = torch.Generator().manual_seed(3)
    for channels, dtype in ((3, torch.float32), (1, torch.float32), (5, torch.bfloat16), (3, torch.uint8)):
        images = torch.rand((6, channels, 60, 90), generator=generator) * 0.2
        for b in range(6):
            images[b, :, 5 + 8 * b : 13 + 8 * b, 70 - 11 * b : 78 - 11 * b] = 1
        given = (images * 255).to(dtype) if dtype == torch.uint8 else images.to(dtype)
        found = spectral_saliency(given)
        assert found.shape == (6, 60, 90) and found.dtype == torch.float32
        assert torch.allclose(found.amax((1, 2)), torch.ones(6))
        for b in range(6):
            y, x = divmod(int(found[b].argmax()), 90)
            assert 3 + 8 * b <= y <= 14 + 8 * b and 68 - 11 * b <= x <= 79 - 11 * b
    flat = spectral_saliency(torch.full((2, 3, 20, 30), 0.5))
    assert torch.isfinite(flat).all()
    assert spectral_saliency(torch.zeros(0, 3, 20, 30)).shape == (0, 20, 30)
    assert torch.isfinite(spectral_saliency(torch.rand(2, 3, 1, 1))).all()


def test_the_map_of_a_sample_does_not_depend_on_its_batch() -> None:
    images = photographs(60, 80).float()
    whole = spectral_saliency(images)
    for b in range(4):
        assert torch.allclose(spectral_saliency(images[b : b + 1])[0], whole[b], atol=1e-6)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.allclose(spectral_saliency(images[b : b + 1])[0], whole[b], atol=1e-6)


def coded(batch: int, h: int, w: int) -> Tensor:
    """Return images whose pixels say whose they are."""
    return ((1 + torch.arange(batch)) / 16)[:, None, None, None].expand(batch, 3, h, w)


@pytest.mark.parametrize("resolution", [1, 2])
def test_the_rectangle_lies_about_the_peak_of_the_other(resolution: int) -> None:
    """By pixels: its centre is the most salient pixel's, cut at the canvas; labels go by what is left."""
    b, h, w = 24, 40, 56
    generator = torch.Generator().manual_seed(0)
    given = torch.rand((b, h // resolution, w // resolution), generator=generator)
    seen: list[Any] = []

    def saliency(images: Tensor) -> Tensor:
        seen.append(images)
        return given

    layer = ga.Compose([ga.SaliencyMix(saliency=saliency, num_classes=b)], seed=1)
    images, labels = coded(b, h, w), torch.arange(b)
    (out, soft), params = layer(images, labels, return_params=True)
    assert torch.equal(seen[0], images)
    drawn = params["SaliencyMix"]
    boxes, found = drawn.box, 0
    for i in range(b):
        j = int(drawn.partner[i])
        y, x = divmod(int(given[j].argmax()), w // resolution)
        cx, cy = (x + 0.5) * resolution, (y + 0.5) * resolution
        theirs = (out[i, 0] - images[j, 0, 0, 0]).abs() < 1e-6
        assert j != i and soft[i, j].item() == pytest.approx(theirs.double().mean().item(), abs=1e-6)
        assert soft[i].sum().item() == pytest.approx(1)
        x0, y0, x1, y1 = (int(v) for v in boxes[i])
        want = torch.zeros(h, w, dtype=torch.bool)
        want[y0:y1, x0:x1] = True
        assert torch.equal(theirs, want)
        if x1 > x0 and y1 > y0:
            assert x0 <= cx <= x1 and y0 <= cy <= y1
        if 0 < x0 and x1 < w and x1 > x0:
            assert abs((x0 + x1) / 2 - cx) <= 0.5
            found += 1
        if 0 < y0 and y1 < h and y1 > y0:
            assert abs((y0 + y1) / 2 - cy) <= 0.5
    assert found > 4


def test_it_looks_at_images_as_they_are_at_its_place() -> None:
    """After a flip and a crop the peak is elsewhere, and what comes later does not matter."""
    b, h, w = 6, 40, 60
    images = torch.rand(b, 3, h, w, generator=torch.Generator().manual_seed(2)) * 0.2
    for i in range(b):
        images[i, :, 10 + 3 * i : 16 + 3 * i, 8 + 2 * i : 14 + 2 * i] = 1
    before: list[Any] = [ga.RandomHorizontalFlip(p=1.0), ga.CenterCrop((36, 50))]
    alone = ga.Compose([ga.SaliencyMix()], seed=3)
    layer = ga.Compose([*before, ga.SaliencyMix(), ga.RandomRotation(30)], seed=3)
    shown = ga.Compose(before)(images)
    a, c = layer.sample(images)["SaliencyMix"], alone.sample(shown)["SaliencyMix"]
    assert torch.equal(a.box, c.box) and not torch.equal(a.box, alone.sample(images)["SaliencyMix"].box)


def test_objects_and_masks_go_as_those_of_cutmix() -> None:
    b, h, w = 5, 40, 56
    data = {
        "image": torch.rand(b, 3, h, w, generator=torch.Generator().manual_seed(2)),
        "mask": torch.arange(b)[:, None, None].expand(b, h, w),
        "boxes": torch.tensor([[5.0, 5, 20, 30], [22, 8, 50, 36]]).expand(b, 2, 4),
        "labels": torch.arange(2 * b).view(b, 2),
    }
    out, params = ga.Compose([ga.SaliencyMix()], seed=5)(data, return_params=True)
    drawn = params["SaliencyMix"]
    cut = ga.Compose([ga.CutMix()], seed=5)
    same = cut.sample(data)
    same.values["CutMix"] = dict(params.values["SaliencyMix"])
    want = cut.replay(data, same)
    for key in ("image", "mask", "boxes", "labels", "valid"):
        assert torch.equal(out[key], want[key]), key
    assert torch.equal(out["labels"], torch.cat((data["labels"], data["labels"][drawn.partner]), dim=1))


def test_a_clip_has_one_rectangle() -> None:
    clips = torch.rand(3, 4, 3, 30, 44, generator=torch.Generator().manual_seed(1))
    layer = ga.Compose([ga.SaliencyMix()], seed=0)
    out, params = layer(clips, return_params=True)
    first = ga.Compose([ga.SaliencyMix()], seed=0).sample(clips[:, 0])
    assert torch.equal(params["SaliencyMix"].box, first["SaliencyMix"].box)
    for t in range(4):
        assert torch.equal(out[:, t], layer.replay(clips[:, t].contiguous(), params))


def test_nothing_waits_and_few_operations_are_asked_for() -> None:
    layer = ga.Compose([ga.SaliencyMix(num_classes=9)], seed=0)
    images, labels = torch.empty((8, 3, 96, 80), device="meta"), torch.zeros(8, dtype=torch.int64, device="meta")
    layer(images, labels)
    counts = count(lambda x: layer(x, labels), images)
    assert (counts.synchronising, counts.host_to_device) == (0, 0), counts.names
    assert counts.operations <= 110


def test_what_is_refused() -> None:
    with pytest.raises(TypeError, match="SaliencyMix: saliency must be a function of images or None, got 3"):
        ga.SaliencyMix(saliency=3)  # type: ignore[arg-type]
    layer = ga.Compose([ga.SaliencyMix(saliency=lambda images: images)])
    with pytest.raises(ValueError, match=r"SaliencyMix: saliency must return \(2, h, w\).*got \(2, 3, 8, 9\)"):
        layer(torch.rand(2, 3, 8, 9))
    with pytest.raises(ValueError, match=r"spectral_saliency: image must have shape \(B, C, H, W\), got \(3, 8, 9\)"):
        spectral_saliency(torch.rand(3, 8, 9))
