# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Validation: what a network is worth on data that training does not see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import nn

from ivif_ros.types import Array

PICTURE_WIDTH = 480
"""Pixels of one image in the picture of a validation."""


@dataclass(frozen=True)
class Verdict:
    """Outcome of one validation.

    Attributes:
        metrics: figures over all pairs (EN, SD, ...), and over those of each data set
            ('msrs/EN', ...) where there are several.
        picture: images of one pair of each data set, (H, W) uint8.
    """

    metrics: dict[str, float]
    picture: Array


class Validation(Protocol):
    """Data that choose the best weights."""

    @property
    def figures(self) -> Sequence[str]:
        """Names of the metrics that people are shown in the course of a run."""

    @property
    def picture_name(self) -> str:
        """What the picture shows, as a name for TensorBoard."""

    def __len__(self) -> int:
        """Number of pairs."""

    def judge(self, network: nn.Module, device: torch.device) -> Verdict:
        """Measure a network.

        Args:
            network: called in `eval` mode and left in the mode that it was in.
            device: where the network is.
        """


def with_datasets(means: dict[str, float],
                  single: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Add the figures of each data set under 'name/figure', where there are several.

    Args:
        means: figures over all pairs.
        single: data set -> the same figures over its pairs.
    """
    if len(single) < 2:
        return means
    return {**means, **{f'{name}/{key}': value for name, figures in single.items()
                        for key, value in figures.items()}}


def side_by_side(*images: Array) -> Array:
    """Put grey images of one size next to each other, each PICTURE_WIDTH wide."""
    height = round(PICTURE_WIDTH * images[0].shape[0] / images[0].shape[1])
    return np.concatenate([
        np.asarray(cv2.resize(image, (PICTURE_WIDTH, height), interpolation=cv2.INTER_AREA))
        for image in images], axis=1)
