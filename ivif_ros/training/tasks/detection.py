# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Detection models of the ultralytics package, with the loss that they train with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from ivif_ros.detection.isolation import process_settings_kept
from ivif_ros.errors import WeightsError
from ivif_ros.training.data.detection import DetectionBatch
from ivif_ros.training.data.labelled import CLASSES
from ivif_ros.training.detection_network import STRIDE, build_network
from ivif_ros.training.labelled_batch import Targets
from ivif_ros.training.objectives.detection import DetectionObjective
from ivif_ros.training.tasks.base import TaskNetwork

Self = TypeVar('Self', bound='UltralyticsTask')


class UltralyticsTask(TaskNetwork):
    """Our detector with fresh weights, or any detection model of ultralytics, trained further.

    Args:
        weights: a .pt file of ultralytics that knows at least our classes, by their names;
            empty for fresh weights of our own layout.

    Attributes:
        judge: has the model, as `network`, and its loss.

    Raises:
        MissingDependencyError: ultralytics is not installed.
        WeightsError: a file that does not load, is no detection model, or lacks a class.
    """

    MULTIPLE = STRIDE

    def __init__(self, weights: str = '') -> None:
        """Load or make the model."""
        super().__init__()
        fresh: Any = build_network()
        model = _loaded(Path(weights).expanduser(), fresh.args) if weights else fresh
        self.judge = DetectionObjective(model)
        self.register_buffer('own_ids', _own_ids(weights, model.names), persistent=False)
        self.own_ids: Tensor

    def loss(self, images: Tensor, targets: Targets) -> Tensor:
        """Sum of the loss terms of the model; see `TaskNetwork.loss`."""
        own = targets._replace(class_ids=self.own_ids[targets.class_ids])
        return torch.stack([*self.judge.losses(DetectionBatch(images, own), 0).values()]).sum()

    def train(self: Self, mode: bool = True) -> Self:
        """Set the mode of all layers, but let the head give what the loss needs in both modes."""
        super().train(mode)
        self.judge.network.model[-1].training = True  # type: ignore[index,union-attr]
        return self


def _loaded(path: Path, args: Any) -> Any:
    """Load a model with its weights, in float32, to train further with these settings.

    Raises:
        WeightsError: a file that cannot be trained further.
    """
    if not path.is_file():
        raise WeightsError(f"detector weights '{path}' do not exist; python -m "
                           'ivif_ros.training.detector makes some')
    with process_settings_kept():
        from ultralytics.nn.tasks import DetectionModel, load_checkpoint

        try:
            model, _ = load_checkpoint(path, inplace=False)
        except Exception as error:  # unpickling has no common type for "cannot load this"
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise WeightsError(f"detector weights '{path}' cannot be loaded: {reason}") from error
    if not isinstance(model, DetectionModel) or model.is_fused() or getattr(
            model, 'end2end', False):
        raise WeightsError(
            f"'{path}' cannot be trained further, expected a detection model of ultralytics with "
            'non-maximum suppression that is neither fused nor exported (YOLOv8, YOLO11, our own)')
    model.args = args
    model.criterion = None
    for name, parameter in model.named_parameters():
        # The weights of the expected value of a distribution are 0, 1, 2, ...: nothing to learn.
        parameter.requires_grad_('.dfl.' not in name)
    return model


def _own_ids(weights: str, names: Mapping[int, str]) -> Tensor:
    """Class ids of the model for our classes, (len(CLASSES),) int64."""
    ids = {str(name).lower(): int(index) for index, name in names.items()}
    if missing := [name for name in CLASSES if name not in ids]:
        raise WeightsError(f"detector weights '{weights}' do not know the class '{missing[0]}', "
                           f"expected {', '.join(CLASSES)} and perhaps others; they know "
                           f"{', '.join(list(ids)[:10])}")
    return torch.tensor([ids[name] for name in CLASSES])
