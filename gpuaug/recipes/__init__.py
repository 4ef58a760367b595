"""Policies by the name of the method that published them: plain pipelines, to print, to edit and to save.

Numbers are those of the papers and of the code released with them; where the two differ, the docstring says which.
Images are uint8 unless `white` says otherwise; `mean=None` leaves normalising to the model. Where a source blurs with
Pillow, which knows no kernel size, the kernel has about a tenth of the image's side, as SimCLR's paper has it.

Example:
    >>> import torch, gpuaug as ga
    >>> views = ga.recipes.dino(global_size=32, local_size=16)
    >>> {name: tuple(view.shape) for name, view in views(torch.zeros(2, 3, 40, 48, dtype=torch.uint8)).items()}
    {'global_1': (2, 3, 32, 32), 'global_2': (2, 3, 32, 32), 'local': (16, 3, 16, 16)}
    >>> ga.recipes.imagenet(32)(torch.zeros(2, 3, 40, 48, dtype=torch.uint8)).shape
    torch.Size([2, 3, 32, 32])
"""

from gpuaug.recipes.classification import (
    cifar,
    deit,
    deit_3,
    imagenet,
    large_images,
    medium_images,
    small_images,
    timm_a1,
    timm_a2,
    timm_a3,
    torchvision_v2,
)
from gpuaug.recipes.contrastive import (
    barlow_twins,
    byol,
    dino,
    dinov2,
    fixmatch,
    mae,
    moco_v1,
    moco_v2,
    moco_v3,
    simclr,
    simsiam,
    swav,
    uda,
    vicreg,
)
from gpuaug.recipes.dense import detr, keypoints, segmentation, ssd, yolo
from gpuaug.recipes.domains import document, industrial, medical, satellite

__all__ = [
    "barlow_twins",
    "byol",
    "cifar",
    "deit",
    "deit_3",
    "detr",
    "dino",
    "dinov2",
    "document",
    "fixmatch",
    "imagenet",
    "industrial",
    "keypoints",
    "large_images",
    "mae",
    "medical",
    "medium_images",
    "moco_v1",
    "moco_v2",
    "moco_v3",
    "satellite",
    "segmentation",
    "simclr",
    "simsiam",
    "small_images",
    "ssd",
    "swav",
    "timm_a1",
    "timm_a2",
    "timm_a3",
    "torchvision_v2",
    "uda",
    "vicreg",
    "yolo",
]
