# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The recipe of our detector."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ivif_ros.detection.base import OURS, SHIPPED
from ivif_ros.errors import ParameterError
from ivif_ros.training import detection_network
from ivif_ros.training.data.detection import DetectionBatch, DetectionData, make_detection_loader
from ivif_ros.training.objective import Objective
from ivif_ros.training.pseudo_labels import describe_labels
from ivif_ros.training.recipe import Recipe
from ivif_ros.training.validate import Validation
from ivif_ros.training.validate_detection import DetectionValidation


def in_all_situations(metrics: Mapping[str, float]) -> float:
    """Mean of AP50 and mAP50-95: fused images count half, each single camera a quarter.

    Without any object to be found there is nothing to choose by: minus infinity.
    """
    score = sum(share * (metrics[f'{view}/AP50'] + metrics[f'{view}/mAP50-95']) / 2
                for view, share in (('fused', 0.5), ('rgb', 0.25), ('thermal', 0.25)))
    return score if math.isfinite(score) else -math.inf


@dataclass(frozen=True, kw_only=True)
class DetectionRecipe(Recipe):
    """All that makes the weights of the detector, apart from the data themselves.

    Attributes:
        score: see `Recipe`.
        crop: width and height of the training images in pixels, a multiple of 32. Objects are as
            large in them as at run time, in images 640 wide.
        data: what the batches are made of.
    """

    score: Callable[[Mapping[str, float]], float] = in_all_situations
    crop: int = 320
    data: DetectionData = field(default_factory=DetectionData)

    def build(self) -> nn.Module:
        """Make the network; see `Recipe.build`."""
        try:
            network = detection_network.build_network(**self.config)
        except TypeError as error:
            raise ParameterError(
                f'the detector does not take the configuration {self.config}: {error}') from error
        # Convolutions on a CPU take two thirds of the time in this order.
        return network.to(memory_format=torch.channels_last)

    def batches(self, root: Path, seed: int, start_step: int, rank: int, world: int,
                workers: int) -> Iterator[DetectionBatch]:
        """Yield views of labelled crops; see `Recipe.batches`."""
        return make_detection_loader(
            self.data, root, 'train', self.batch_size // world, self.crop, seed, start_step, rank,
            world, workers)

    def validation(self, root: Path, objective: Objective) -> Validation:
        """Read labelled pairs of the validation split; see `Recipe.validation`."""
        data = self.data
        return DetectionValidation(root, data.datasets, Path(data.labels) if data.labels else None,
                                   self.validation_pairs, data.fusion_weights)

    def save(self, path: Path, network: nn.Module, training: Mapping[str, Any]) -> None:
        """Write a file for `detection.weights`, with the origin of its labels."""
        origin = {}
        if self.data.labels:
            origin['pseudo_labels'] = describe_labels(Path(self.data.labels))
        detection_network.save_network(path, network, {**training, **origin})

    def start_from(self, network: nn.Module, path: Path) -> None:
        """Load a file of the same network; see `Recipe.start_from`."""
        detection_network.start_from(network, path)

    def shipped_path(self) -> Path:
        """Path of the detector in the package."""
        return SHIPPED / f'{OURS}.pt'
