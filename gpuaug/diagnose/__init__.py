"""Look into pipelines and models: what a call costs, what a model bears, whether a validation pipeline draws."""

from gpuaug.diagnose.calibration import Calibration, calibration
from gpuaug.diagnose.counts import Counts, count
from gpuaug.diagnose.invariance import Invariance, invariance
from gpuaug.diagnose.leak import Leak, leak_check
from gpuaug.diagnose.robustness import Robustness, Row, robustness
from gpuaug.diagnose.suite import default_suite

__all__ = [
    "Calibration",
    "Counts",
    "Invariance",
    "Leak",
    "Robustness",
    "Row",
    "calibration",
    "count",
    "default_suite",
    "invariance",
    "leak_check",
    "robustness",
]
