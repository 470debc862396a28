# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Distillation: a small network learns the pictures of a large method."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ivif_ros.training.batch import Batch
from ivif_ros.training.losses.distillation import distillation
from ivif_ros.training.objective import Objective, Term

Method = Callable[[Tensor, Tensor, 'Tensor | None'], Tensor]
"""A fusion method of `fusion/registry.py`: luma planes of one pair -> fused plane."""


class DistillationObjective(Objective):
    """Distance to the fused image of a teacher, and terms of the fused image itself.

    The teacher sees the clean images, the student those of the batch: where they are degraded the
    student learns to undo it. MMDRFuse also compares features of both, which takes a teacher of
    the student's making; here any method may teach, so only the pictures are compared.
    """

    def __init__(self, network: nn.Module, teacher: Method, weight: float,
                 terms: Mapping[str, tuple[float, Term]], gradient_weight: float = 1.0) -> None:
        """Take the parts.

        Args:
            network: the student.
            teacher: method that is asked pair by pair.
            weight: weight of the distance to the teacher.
            terms: name -> (weight, term) of the fused image.
            gradient_weight: share of the gradients in the distance, see `losses.distillation`.
        """
        super().__init__(network)
        self._teacher = teacher
        self._weight = weight
        self._terms = dict(terms)
        self._gradient_weight = gradient_weight

    @torch.no_grad()
    def taught(self, batch: Batch) -> Tensor:
        """Fused images of the teacher, (n, 1, h, w) in 0..1."""
        # What a method returns holds until its next call: copy.
        return torch.cat([
            self._teacher(visible[None], thermal[None], None).clone()
            for visible, thermal in zip(batch.clean_visible, batch.clean_thermal, strict=True)
        ]).clamp(0, 1)

    def losses(self, batch: Batch, group: int) -> dict[str, Tensor]:
        """Fuse the batch and compare; see `Objective.losses`."""
        fused = self.network(batch.visible, batch.thermal).float()
        return {'teacher': self._weight * distillation(
                    fused, self.taught(batch), self._gradient_weight),
                **{name: weight * term(fused, batch)
                   for name, (weight, term) in self._terms.items()}}
