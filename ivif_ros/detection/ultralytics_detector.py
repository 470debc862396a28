# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Detection with models of the ultralytics package: .pt, .onnx, .engine and OpenVINO folders."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ivif_ros.detection.isolation import go_offline, onnxruntime_threads, process_settings_kept
from ivif_ros.errors import ImageError, MissingDependencyError, ParameterError, WeightsError
from ivif_ros.parameters import DetectionParameters
from ivif_ros.types import Array, Detections, Size, check_image


class UltralyticsDetector:
    """One ultralytics model, run with a batch of one.

    Attributes:
        names: class names by id, as the model carries them.
        image_size: height and width of the network input in pixels where the export fixes them,
            else the longer side.
    """

    def __init__(self, weights: Path, params: DetectionParameters, device: str) -> None:
        """Load the model and run it once.

        Args:
            weights: an existing .pt, .onnx or .engine file or OpenVINO folder.
            params: thresholds, classes and input size.
            device: `cpu`, `cuda` or `cuda:N`.

        Raises:
            WeightsError: the file does not load, or is no detection model with class names.
            MissingDependencyError: a package that the model needs is not installed.
            ParameterError: a class name that the model does not know.
        """
        self.image_size: int | list[int] = params.image_size
        self._device = device
        self._confidence, self._iou = params.confidence, params.iou
        self._class_ids: list[int] | None = None
        threads = params.threads if weights.suffix.lower() == '.onnx' else 0
        with process_settings_kept(), onnxruntime_threads(threads):
            go_offline()
            from ultralytics import YOLO

            try:
                self._model = YOLO(str(weights), task='detect')
                self._predict(np.zeros((64, 64, 3), np.uint8))
            except ModuleNotFoundError as error:
                raise MissingDependencyError(
                    f"'{weights}' needs the Python package {error.name}, which is not installed: "
                    f'pip install {error.name}') from error
            except Exception as error:  # the runtimes have no common type for "cannot load this"
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise WeightsError(
                    f"detector weights '{weights}' cannot be loaded: {reason}") from error
        network = self._model.predictor.model
        exported = weights.suffix.lower() != '.pt'
        task = getattr(network, 'task', None) if exported else self._model.task
        if task != 'detect' or (exported and not getattr(network, 'metadata', None)):
            raise WeightsError(
                f"'{weights}' is no detection model of ultralytics (task {task!r}, expected "
                "'detect' and class names in the metadata); export it with: yolo export model=M.pt")
        if exported and not getattr(network, 'dynamic', False):
            self.image_size = list(network.imgsz)
        self.names = {int(index): str(name) for index, name in network.names.items()}
        self.set_parameters(params)

    def set_parameters(self, params: DetectionParameters) -> None:
        """Take new thresholds and classes.

        Raises:
            ParameterError: a class name that the model does not know; nothing is changed then.
        """
        self._class_ids = self._ids([name for name in params.classes if name])
        self._confidence, self._iou = params.confidence, params.iou

    def detect(self, bgr: Array) -> Detections:
        """Find the objects in an image (H, W, 3) uint8 BGR, see `Detector.detect`.

        Raises:
            ImageError: the image has another shape or dtype.
        """
        check_image(bgr, 'image to detect in')
        if bgr.ndim != 3:
            raise ImageError(
                f'image to detect in has shape {bgr.shape}, expected (H, W, 3)', 'bad_shape')
        # Columns are x0, y0, x1, y1, score, class; one copy from the device.
        table = self._predict(bgr).boxes.data.cpu().numpy()
        table = table[np.argsort(-table[:, 4], kind='stable')]
        return Detections(table[:, :4], table[:, 4], table[:, 5], self.names)

    def warm_up(self, size: Size) -> None:
        """Run once on an empty image of this width and height."""
        self._predict(np.zeros((size[1], size[0], 3), np.uint8))

    def close(self) -> None:
        """Drop the model and return its device memory."""
        self._model = None
        if self._device.startswith('cuda'):
            torch.cuda.empty_cache()

    def _predict(self, bgr: Array) -> Any:
        return self._model.predict(
            bgr, conf=self._confidence, iou=self._iou, classes=self._class_ids,
            imgsz=self.image_size, device=self._device, verbose=False)[0]

    def _ids(self, wanted: list[str]) -> list[int] | None:
        """Return the ids of class names, None for all."""
        ids = {name.lower(): index for index, name in self.names.items()}
        for name in wanted:
            if name.lower() not in ids:
                near = difflib.get_close_matches(name.lower(), ids, 1)
                hint = f"did you mean '{near[0]}'? " if near else ''
                raise ParameterError(
                    f"detection.classes has '{name}', which the model does not know; {hint}"
                    f"it knows: {', '.join(self.names.values())}")
        return sorted(ids[name.lower()] for name in wanted) or None
