# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Validation of TDFusion: the loss of the task on fused images that training does not see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ivif_ros.training.data.labelled import LabelledSource
from ivif_ros.training.data.labelled_crops import whole
from ivif_ros.training.tdfusion import TDFusionObjective, recolour
from ivif_ros.training.validate import Validation, Verdict, side_by_side
from ivif_ros.types import Array


def least_task_loss(metrics: Mapping[str, float]) -> float:
    """Score of TDFusion: minus the loss of the task, as it is then, on the fused images."""
    return -metrics['task']


class TDFusionValidation:
    """Labelled pairs of the validation split, judged by the task, and the figures of fusion."""

    picture_name = 'visible_thermal_or_weight_fused'

    def __init__(self, fusion: Validation, sources: Sequence[LabelledSource],
                 objective: TDFusionObjective, most: int) -> None:
        """Choose the pairs.

        Args:
            fusion: gives the figures of fusion.
            sources: labelled pairs of the validation split.
            objective: has the task and the loss generator; both as they are when `judge` is called.
            most: at most this many pairs of each source, spread evenly.
        """
        self._fusion = fusion
        self._objective = objective
        self._pairs = [[source[i * len(source) // count] for i in range(count)]
                       for source in sources if (count := min(most, len(source)))]

    @property
    def figures(self) -> Sequence[str]:
        """Names of the metrics that people are shown in the course of a run."""
        return ('task', *self._fusion.figures)

    def __len__(self) -> int:
        """Number of labelled pairs."""
        return sum(len(pairs) for pairs in self._pairs)

    @torch.no_grad()
    def judge(self, network: nn.Module, device: torch.device) -> Verdict:
        """Add `task` to the figures of fusion, the mean loss; see `Validation.judge`.

        Below the picture of the fusion, each source adds a row: visible image, weight of the
        thermal image that the loss generator gives (white is 1), fused image.
        """
        verdict = self._fusion.judge(network, device)
        task, generator = self._objective.task, self._objective.generator
        modes = {module: module.training for module in (network, task, generator)}
        for module in modes:
            module.eval()
        losses: list[float] = []
        rows = [verdict.picture]
        for pairs in self._pairs:
            for index, pair in enumerate(pairs):
                batch = whole(pair, task.MULTIPLE).to(device)
                planes = batch.planes
                fused = network(planes.visible, planes.thermal).float()
                losses.append(float(task(recolour(batch, fused), batch.targets)))
                if index == 0:
                    weight, _ = generator(planes.thermal, planes.visible)
                    high, wide = pair.thermal.shape
                    rows.append(side_by_side(*(_levels(plane[..., :high, :wide])
                                               for plane in (planes.visible, weight, fused))))
        for module, training in modes.items():
            module.train(training)
        return Verdict({'task': float(np.mean(losses)), **verdict.metrics}, np.concatenate(rows))


def _levels(plane: Tensor) -> Array:
    """(1, 1, h, w) in 0..1 as (h, w) uint8."""
    image: Array = plane[0, 0].clamp(0, 1).mul(255).round().to(torch.uint8).cpu().numpy()
    return image
