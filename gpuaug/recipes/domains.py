"""Recipes for images that are not natural photographs: what may be changed there, and what may not."""

from __future__ import annotations

from gpuaug.recipes.ends import Numbers, Size, normalized
from gpuaug.transforms.affine import RandomAffine, RandomPerspective
from gpuaug.transforms.blur import GaussianBlur
from gpuaug.transforms.color import RandomBrightnessContrast
from gpuaug.transforms.compose import Compose
from gpuaug.transforms.correlate import MotionBlur
from gpuaug.transforms.flip import RandomHorizontalFlip, RandomVerticalFlip, SquareSymmetry
from gpuaug.transforms.layer import Layer
from gpuaug.transforms.noise import GaussianNoise
from gpuaug.transforms.resize import RandomResizedCrop
from gpuaug.transforms.tone import RandomGamma

__all__ = ["document", "industrial", "medical", "satellite"]


def medical(
    *,
    degrees: float = 180.0,
    mean: Numbers = None,
    std: Numbers = None,
    seed: int | None = None,
    **settings: object,
) -> Compose:
    """Return a recipe for gray medical slices, with masks: rotation, scale, noise, blur, brightness, contrast, gamma.

    Args:
        degrees: range of the rotation; 15 where up is up, as in radiographs.
        mean: of the normalisation; None leaves it out.
        std: likewise.
        seed: of the draws.
        settings: of the Compose, such as `value_range=(-1024, 3071)` for computed tomography in int16.

    Source: Isensee et al. 2021 (nnU-Net), supplementary 4, for two dimensions: rotation p=0.2; scale 0.7 to 1.4 p=0.2;
    noise p=0.1 (its variance up to 0.1 is in units of the image's deviation: here sigma up to 0.1 of the range); blur
    0.5 to 1 p=0.2; brightness and contrast 0.75 to 1.25 p=0.15; gamma 0.7 to 1.5 p=0.3; mirrors. Low resolution is left
    out.
    """
    steps: list[Layer] = [
        RandomAffine(degrees, p=0.2),
        RandomAffine(0, scale=(0.7, 1.4), p=0.2),
        RandomHorizontalFlip(),
        RandomVerticalFlip(),
        GaussianNoise(sigma=(0.0, 0.1), p=0.1),
        GaussianBlur(7, (0.5, 1.0), p=0.2),
        RandomBrightnessContrast((-0.25, 0.25), (0.0, 0.0), p=0.15),
        RandomBrightnessContrast((0.0, 0.0), (-0.25, 0.25), p=0.15),
        RandomGamma((70, 150), p=0.3),
    ]
    return Compose([*steps, *normalized(mean, std)], seed=seed, **settings)  # type: ignore[arg-type]


def satellite(
    size: Size = 224, *, mean: Numbers = None, std: Numbers = None, seed: int | None = None, **settings: object
) -> Compose:
    """Return a recipe for satellite images of any number of bands: no up, and bands that vary on their own.

    Args:
        size: of the output, a square.
        mean: of the normalisation, one number for each band; None leaves it out.
        std: likewise.
        seed: of the draws.
        settings: of the Compose, such as `value_range` for uint16 reflectances.

    Source: Wang et al. 2023 (SSL4EO-S12) for crop 0.2 to 1 and blur 0.5 with sigma 0.1 to 2; its colours of 0.4 become
    brightness and contrast for each band, p=0.8; the square's symmetries in place of its two flips.
    """
    steps: list[Layer] = [
        RandomResizedCrop(size, (0.2, 1.0)),
        SquareSymmetry(),
        RandomBrightnessContrast((-0.4, 0.4), (-0.4, 0.4), p=0.8, per_channel=True),
        GaussianBlur(9, (0.1, 2.0), p=0.5),
    ]
    return Compose([*steps, *normalized(mean, std)], seed=seed, **settings)  # type: ignore[arg-type]


def document(*, white: float = 255, mean: Numbers = None, std: Numbers = None, seed: int | None = None) -> Compose:
    """Return a recipe for pages and lines of text: as a camera or a scanner sees them, never mirrored.

    Args:
        white: the largest value of the images: what is outside the page is paper.
        mean: of the normalisation; None leaves it out.
        std: likewise.
        seed: of the draws.

    Source: none; distortions of the size that scanned and photographed pages have.
    """
    steps: list[Layer] = [
        RandomAffine(3, (0.02, 0.02), (0.95, 1.05), 3, p=0.7),
        RandomPerspective(0.08, p=0.3),
        RandomBrightnessContrast((-0.2, 0.2), (-0.3, 0.2), p=0.5),
        RandomGamma((70, 140), p=0.3),
        MotionBlur((3, 5), p=0.1),
        GaussianBlur(5, (0.1, 1.2), p=0.2),
        GaussianNoise(sigma=(0.0, 0.05), p=0.3),
    ]
    return Compose([*steps, *normalized(mean, std)], fill=white, seed=seed)


def industrial(
    *, symmetric: bool = False, mean: Numbers = None, std: Numbers = None, seed: int | None = None
) -> Compose:
    """Return a recipe for inspection by a fixed camera: small moves and light, so that no defect is made or hidden.

    Args:
        symmetric: whether parts may lie any way round: square images are turned and mirrored.
        mean: of the normalisation; None leaves it out.
        std: likewise.
        seed: of the draws.

    Source: none; no crop, no erasing and no strong blur, which would cut or imitate defects.
    """
    steps: list[Layer] = [SquareSymmetry()] if symmetric else []
    steps += [
        RandomAffine(3, (0.02, 0.02), (0.98, 1.02), p=0.8),
        RandomBrightnessContrast((-0.1, 0.1), (-0.1, 0.1), p=0.5),
        RandomGamma((90, 110), p=0.3),
        GaussianBlur(3, (0.1, 0.6), p=0.1),
        GaussianNoise(sigma=(0.0, 0.02), p=0.3),
    ]
    return Compose([*steps, *normalized(mean, std)], seed=seed)
