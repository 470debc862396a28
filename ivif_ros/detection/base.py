# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a detector is, and how one is made from the parameters."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Protocol

from ivif_ros.errors import MissingDependencyError, WeightsError
from ivif_ros.parameters import DetectionParameters
from ivif_ros.types import Array, Detections, Size

RUNTIMES = {'.pt': 'torch', '.onnx': 'onnxruntime', '.engine': 'tensorrt', 'openvino': 'openvino'}
"""Kind of model file -> Python package that runs it."""

OURS = 'ivif'
"""What `detection.weights` calls the detector of the package."""

SHIPPED = Path(__file__).parent / 'weights'
"""Folder of the detector of the package, as ivif.pt and ivif.onnx."""

OPENVINO_SUFFIX = '_openvino_model'
"""Ultralytics knows an OpenVINO export by this end of the folder's name."""


class Detector(Protocol):
    """A model that finds objects in one image at a time."""

    @property
    def names(self) -> dict[int, str]:
        """Class names by id."""

    def detect(self, bgr: Array) -> Detections:
        """Find the objects in an image.

        Args:
            bgr: (H, W, 3) uint8.

        Returns:
            Boxes in pixels of that image, best score first.

        Raises:
            ImageError: the image has another shape or dtype.
        """

    def set_parameters(self, params: DetectionParameters) -> None:
        """Take new values of the parameters that may change while the detector runs.

        Raises:
            ParameterError: a class name that the model does not know; nothing is changed then.
        """

    def warm_up(self, size: Size) -> None:
        """Run once on an empty image of this width, height: the first frame is not slow then."""

    def close(self) -> None:
        """Free the memory of the model; the detector cannot be used afterwards."""


def load_detector(params: DetectionParameters, device: str) -> Detector | None:
    """Load the model that the parameters name.

    Args:
        params: `weights` names a .pt, .onnx or .engine file or an OpenVINO folder, or is 'ivif'.
        device: `cpu`, `cuda` or `cuda:N`.

    Returns:
        The detector, or None where no weights are named.

    Raises:
        WeightsError: no such file, a file of another kind, or one that does not load.
        MissingDependencyError: ultralytics, or the package that runs this kind of file, is not
            installed.
        ParameterError: a class name that the model does not know.
    """
    if not params.weights:
        return None
    path = (shipped_weights(device) if params.weights == OURS
            else Path(params.weights).expanduser())
    kind = _kind(path)
    for package in ('ultralytics', RUNTIMES[kind]):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(
                f"detection with '{path.name}' needs the Python package {package}, which is not "
                f'installed: pip install {package} (or set detection.weights to nothing for no '
                'detection)')
    from ivif_ros.detection.ultralytics_detector import UltralyticsDetector

    return UltralyticsDetector(path, params, device)


def shipped_weights(device: str) -> Path:
    """Choose the file of our detector that is fastest on a device.

    Args:
        device: `cpu`, `cuda` or `cuda:N`.
    """
    onnx = device == 'cpu' and importlib.util.find_spec(RUNTIMES['.onnx']) is not None
    return SHIPPED / ('ivif.onnx' if onnx else 'ivif.pt')


def _kind(path: Path) -> str:
    """Return the key of RUNTIMES for a path that exists and looks like a model."""
    if not path.exists():
        raise WeightsError(
            f"detector weights '{path}' do not exist; set detection.weights to a .pt, .onnx or "
            '.engine file or an OpenVINO folder, to ivif for that of the package, or to nothing '
            'for no detection')
    if path.is_file() and path.suffix.lower() in RUNTIMES:
        return path.suffix.lower()
    if path.is_dir() and any(path.glob('*.xml')):
        if not path.resolve().name.endswith(OPENVINO_SUFFIX):
            raise WeightsError(
                f"the name of OpenVINO folder '{path}' must end in '{OPENVINO_SUFFIX}'; rename it")
        return 'openvino'
    raise WeightsError(
        f"detector weights '{path}' are of an unknown kind, expected a .pt, .onnx or .engine file "
        'or an OpenVINO folder with an .xml file')
