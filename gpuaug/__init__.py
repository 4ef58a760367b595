"""Image augmentation that runs where the batch already is: one nn.Module between the batch and the model."""

from gpuaug import functional, recipes, tta
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
from gpuaug.transforms.blur import GaussianBlur, MedianBlur, RandomAdjustSharpness
from gpuaug.transforms.boxes import ClampBoundingBoxes, ConvertBoundingBoxFormat, SanitizeBoundingBoxes
from gpuaug.transforms.channels import ChannelDropout, RandomChannelPermutation, RandomPhotometricDistort
from gpuaug.transforms.choice import OneOf, RandomChoice, RandomOrder, SomeOf
from gpuaug.transforms.clahe import CLAHE
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
from gpuaug.transforms.correlate import AdvancedBlur, Blur, Defocus, MotionBlur
from gpuaug.transforms.crop import CenterCrop, Pad, RandomCrop
from gpuaug.transforms.crop_and_pad import CropAndPad, PadIfNeeded
from gpuaug.transforms.cutmix import CutMix, ResizeMix
from gpuaug.transforms.domain import FDA, HistogramMatching, PixelDistributionAdaptation
from gpuaug.transforms.drawn_size import RandomResize, RandomShortestSize
from gpuaug.transforms.ends import IMAGENET_MEAN, IMAGENET_STD, Normalize, ToDtype
from gpuaug.transforms.flip import (
    RandomHorizontalFlip,
    RandomRotate90,
    RandomTranspose,
    RandomVerticalFlip,
    SquareSymmetry,
)
from gpuaug.transforms.fog import AtmosphericFog, RandomClouds, RandomFog
from gpuaug.transforms.function import Lambda
from gpuaug.transforms.grid_shuffle import RandomGridShuffle
from gpuaug.transforms.intensity import RandScaleIntensity, RandShiftIntensity
from gpuaug.transforms.lens import ChromaticAberration, Downscale, GlassBlur, ZoomBlur
from gpuaug.transforms.light import FlickerBanding, Illumination, RandomBiasField, Vignetting
from gpuaug.transforms.linear import LinearTransformation
from gpuaug.transforms.mask_dropout import MaskDropout
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
from gpuaug.transforms.planckian import PlanckianJitter
from gpuaug.transforms.plasma import PlasmaBrightnessContrast, PlasmaShadow
from gpuaug.transforms.principal import FancyPCA
from gpuaug.transforms.random_scale import RandomScale, RandomSizedCrop
from gpuaug.transforms.repeat import FiveCrop, Repeat, TenCrop
from gpuaug.transforms.resize import LetterBox, LongestMaxSize, RandomResizedCrop, Resize, SmallestMaxSize
from gpuaug.transforms.safe_rotate import SafeRotate
from gpuaug.transforms.saliency_mix import SaliencyMix
from gpuaug.transforms.sensor import BandingNoise, ISONoise, ShotNoise
from gpuaug.transforms.shadow import RandomPageShadow, RandomPaperCreases, RandomShadow
from gpuaug.transforms.sharpen import Emboss, Sharpen, UnsharpMask
from gpuaug.transforms.stain import HEStain
from gpuaug.transforms.temporal import (
    CenterTemporalCrop,
    RandomFrameDrop,
    RandomSpeed,
    RandomTemporalCrop,
    UniformTemporalSubsample,
)
from gpuaug.transforms.timm import ThreeAugment, auto_augment
from gpuaug.transforms.tint import RandomHSV, RandomToneCurve, RGBShift, ToSepia
from gpuaug.transforms.tone import (
    RandomAutocontrast,
    RandomEqualize,
    RandomGamma,
    RandomInvert,
    RandomPosterize,
    RandomSolarize,
)
from gpuaug.transforms.water import WaterRefraction
from gpuaug.transforms.weather import RandomRain, RandomSnow, RandomSunFlare
from gpuaug.transforms.zoom import RandomZoomOut, ScaleJitter
from gpuaug.tta import TTA
from gpuaug.views import MultiView, TwoViews, ViewParams

__version__ = "0.1.0"

__all__ = [
    "CLAHE",
    "FDA",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "JPEG",
    "TTA",
    "AdvancedBlur",
    "AtLeastOneBBoxRandomCrop",
    "AtmosphericFog",
    "AugMix",
    "AutoAugment",
    "BBoxSafeRandomCrop",
    "BandingNoise",
    "BboxParams",
    "Beta",
    "Blur",
    "Categorical",
    "CenterCrop",
    "CenterTemporalCrop",
    "ChannelDropout",
    "ChromaticAberration",
    "ClampBoundingBoxes",
    "CoarseDropout",
    "ColorJitter",
    "Compose",
    "Constant",
    "ConstrainedCoarseDropout",
    "ConvertBoundingBoxFormat",
    "CopyPaste",
    "Cosine",
    "CropAndPad",
    "CropNonEmptyMaskIfExists",
    "CutMix",
    "Defocus",
    "Distribution",
    "Downscale",
    "ElasticTransform",
    "Emboss",
    "FancyPCA",
    "FiveCrop",
    "FlickerBanding",
    "GaussianBlur",
    "GaussianNoise",
    "GlassBlur",
    "Grayscale",
    "GridDistortion",
    "GridDropout",
    "GridMask",
    "HEStain",
    "HistogramMatching",
    "HueSaturationValue",
    "ISONoise",
    "Illumination",
    "Integers",
    "KeypointParams",
    "Lambda",
    "Learned",
    "LetterBox",
    "Linear",
    "LinearTransformation",
    "LogUniform",
    "LongestMaxSize",
    "MaskDropout",
    "MedianBlur",
    "MixUp",
    "Mosaic",
    "MotionBlur",
    "MultiView",
    "MultiplicativeNoise",
    "Normal",
    "Normalize",
    "OneOf",
    "OpticalDistortion",
    "Pad",
    "PadIfNeeded",
    "Padded",
    "Params",
    "PerClass",
    "Piecewise",
    "PixelDistributionAdaptation",
    "PixelDropout",
    "PlanckianJitter",
    "PlasmaBrightnessContrast",
    "PlasmaShadow",
    "RGBShift",
    "Ragged",
    "Ramp",
    "RandAugment",
    "RandScaleIntensity",
    "RandShiftIntensity",
    "RandomAdjustSharpness",
    "RandomAffine",
    "RandomApply",
    "RandomAutocontrast",
    "RandomBiasField",
    "RandomBlockMask",
    "RandomBrightnessContrast",
    "RandomChannelPermutation",
    "RandomChoice",
    "RandomClouds",
    "RandomCrop",
    "RandomEqualize",
    "RandomErasing",
    "RandomFog",
    "RandomFrameDrop",
    "RandomGamma",
    "RandomGrayscale",
    "RandomGridShuffle",
    "RandomHSV",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomIoUCrop",
    "RandomJEPAMask",
    "RandomOrder",
    "RandomPageShadow",
    "RandomPaperCreases",
    "RandomPatchMask",
    "RandomPerspective",
    "RandomPhotometricDistort",
    "RandomPosterize",
    "RandomRain",
    "RandomResize",
    "RandomResizedCrop",
    "RandomRotate90",
    "RandomRotation",
    "RandomScale",
    "RandomShadow",
    "RandomShortestSize",
    "RandomSizedCrop",
    "RandomSnow",
    "RandomSolarize",
    "RandomSpeed",
    "RandomSunFlare",
    "RandomTemporalCrop",
    "RandomToneCurve",
    "RandomTranspose",
    "RandomVerticalFlip",
    "RandomZoomOut",
    "Repeat",
    "Resize",
    "ResizeMix",
    "SafeRotate",
    "SaliencyMix",
    "SaltAndPepper",
    "SanitizeBoundingBoxes",
    "ScaleJitter",
    "Schedule",
    "SelectiveChannelTransform",
    "Sharpen",
    "ShotNoise",
    "SmallestMaxSize",
    "SomeOf",
    "SquareSymmetry",
    "TenCrop",
    "ThinPlateSpline",
    "ThreeAugment",
    "ToDtype",
    "ToSepia",
    "TrivialAugmentWide",
    "TruncatedNormal",
    "TwoViews",
    "Uniform",
    "UniformTemporalSubsample",
    "UnsharpMask",
    "ViewParams",
    "Vignetting",
    "WaterRefraction",
    "XYMasking",
    "ZoomBlur",
    "auto_augment",
    "collate",
    "compact",
    "fingerprint",
    "from_dict",
    "functional",
    "jensen_shannon",
    "load",
    "recipes",
    "register",
    "save",
    "to_dict",
    "tta",
]
