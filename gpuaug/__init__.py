"""Image augmentation that runs where the batch already is: one nn.Module between the batch and the model."""

from gpuaug import functional
from gpuaug.data.collate import collate
from gpuaug.data.compact import compact
from gpuaug.data.instances import BboxParams, KeypointParams
from gpuaug.data.pad import Padded
from gpuaug.data.ragged import Ragged
from gpuaug.files import fingerprint, from_dict, load, register, save, to_dict
from gpuaug.loss import jensen_shannon
from gpuaug.sampling.distributions import (
    Beta,
    Categorical,
    Constant,
    Distribution,
    Integers,
    LogUniform,
    Normal,
    TruncatedNormal,
    Uniform,
)
from gpuaug.sampling.params import Params
from gpuaug.sampling.varying import Learned, PerClass
from gpuaug.schedule import Cosine, Linear, Piecewise, Ramp, Schedule
from gpuaug.transforms.affine import RandomAffine, RandomPerspective, RandomRotation
from gpuaug.transforms.augmix import AugMix
from gpuaug.transforms.auto_augment import AutoAugment, RandAugment, TrivialAugmentWide
from gpuaug.transforms.bend import ElasticTransform, GridDistortion, OpticalDistortion, ThinPlateSpline
from gpuaug.transforms.blur import GaussianBlur, RandomAdjustSharpness
from gpuaug.transforms.boxes import ClampBoundingBoxes, ConvertBoundingBoxFormat, SanitizeBoundingBoxes
from gpuaug.transforms.channels import ChannelDropout, RandomChannelPermutation, RandomPhotometricDistort
from gpuaug.transforms.choice import OneOf, RandomChoice, RandomOrder, SomeOf
from gpuaug.transforms.color import (
    ColorJitter,
    Grayscale,
    HueSaturationValue,
    RandomBrightnessContrast,
    RandomGrayscale,
)
from gpuaug.transforms.compose import Compose, RandomApply, SelectiveChannelTransform
from gpuaug.transforms.compress import JPEG
from gpuaug.transforms.copy_paste import CopyPaste
from gpuaug.transforms.crop import CenterCrop, Pad, RandomCrop
from gpuaug.transforms.cutmix import CutMix, ResizeMix
from gpuaug.transforms.drawn_size import RandomResize, RandomShortestSize
from gpuaug.transforms.ends import IMAGENET_MEAN, IMAGENET_STD, Normalize, ToDtype
from gpuaug.transforms.flip import (
    RandomHorizontalFlip,
    RandomRotate90,
    RandomTranspose,
    RandomVerticalFlip,
    SquareSymmetry,
)
from gpuaug.transforms.function import Lambda
from gpuaug.transforms.masking import GridMask, XYMasking
from gpuaug.transforms.mix import MixUp
from gpuaug.transforms.mosaic import Mosaic
from gpuaug.transforms.noise import GaussianNoise, MultiplicativeNoise, SaltAndPepper
from gpuaug.transforms.object_crop import BBoxSafeRandomCrop, RandomIoUCrop
from gpuaug.transforms.object_dropout import ConstrainedCoarseDropout
from gpuaug.transforms.occlude import CoarseDropout, GridDropout, RandomErasing
from gpuaug.transforms.patch_mask import RandomBlockMask, RandomJEPAMask, RandomPatchMask
from gpuaug.transforms.pixel_dropout import PixelDropout
from gpuaug.transforms.placed_crop import AtLeastOneBBoxRandomCrop, CropNonEmptyMaskIfExists
from gpuaug.transforms.resize import LetterBox, LongestMaxSize, RandomResizedCrop, Resize, SmallestMaxSize
from gpuaug.transforms.saliency_mix import SaliencyMix
from gpuaug.transforms.sensor import BandingNoise, ISONoise, ShotNoise
from gpuaug.transforms.timm import ThreeAugment, auto_augment
from gpuaug.transforms.tone import (
    RandomAutocontrast,
    RandomEqualize,
    RandomGamma,
    RandomInvert,
    RandomPosterize,
    RandomSolarize,
)
from gpuaug.transforms.zoom import RandomZoomOut, ScaleJitter

__version__ = "0.1.0"

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "JPEG",
    "AtLeastOneBBoxRandomCrop",
    "AugMix",
    "AutoAugment",
    "BBoxSafeRandomCrop",
    "BandingNoise",
    "BboxParams",
    "Beta",
    "Categorical",
    "CenterCrop",
    "ChannelDropout",
    "ClampBoundingBoxes",
    "CoarseDropout",
    "ColorJitter",
    "Compose",
    "Constant",
    "ConstrainedCoarseDropout",
    "ConvertBoundingBoxFormat",
    "CopyPaste",
    "Cosine",
    "CropNonEmptyMaskIfExists",
    "CutMix",
    "Distribution",
    "ElasticTransform",
    "GaussianBlur",
    "GaussianNoise",
    "Grayscale",
    "GridDistortion",
    "GridDropout",
    "GridMask",
    "HueSaturationValue",
    "ISONoise",
    "Integers",
    "KeypointParams",
    "Lambda",
    "Learned",
    "LetterBox",
    "Linear",
    "LogUniform",
    "LongestMaxSize",
    "MixUp",
    "Mosaic",
    "MultiplicativeNoise",
    "Normal",
    "Normalize",
    "OneOf",
    "OpticalDistortion",
    "Pad",
    "Padded",
    "Params",
    "PerClass",
    "Piecewise",
    "PixelDropout",
    "Ragged",
    "Ramp",
    "RandAugment",
    "RandomAdjustSharpness",
    "RandomAffine",
    "RandomApply",
    "RandomAutocontrast",
    "RandomBlockMask",
    "RandomBrightnessContrast",
    "RandomChannelPermutation",
    "RandomChoice",
    "RandomCrop",
    "RandomEqualize",
    "RandomErasing",
    "RandomGamma",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomIoUCrop",
    "RandomJEPAMask",
    "RandomOrder",
    "RandomPatchMask",
    "RandomPerspective",
    "RandomPhotometricDistort",
    "RandomPosterize",
    "RandomResize",
    "RandomResizedCrop",
    "RandomRotate90",
    "RandomRotation",
    "RandomShortestSize",
    "RandomSolarize",
    "RandomTranspose",
    "RandomVerticalFlip",
    "RandomZoomOut",
    "Resize",
    "ResizeMix",
    "SaliencyMix",
    "SaltAndPepper",
    "SanitizeBoundingBoxes",
    "ScaleJitter",
    "Schedule",
    "SelectiveChannelTransform",
    "ShotNoise",
    "SmallestMaxSize",
    "SomeOf",
    "SquareSymmetry",
    "ThinPlateSpline",
    "ThreeAugment",
    "ToDtype",
    "TrivialAugmentWide",
    "TruncatedNormal",
    "Uniform",
    "XYMasking",
    "auto_augment",
    "collate",
    "compact",
    "fingerprint",
    "from_dict",
    "functional",
    "jensen_shannon",
    "load",
    "register",
    "save",
    "to_dict",
]
