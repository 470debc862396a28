# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What one pair of images says about the deformation between the cameras."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ivif_ros.types import Array, Deformation

if TYPE_CHECKING:
    import torch


class Estimate(NamedTuple):
    """What one pair of images says about a deformation.

    Attributes:
        deformation: the estimated map. Its homography is the best global one (the rig), its grid
            what that leaves (lens, parallax), its confidence map where it can be believed. The
            first guess where the images say nothing. Source ESTIMATED when accepted.
        accepted: True where the images support the deformation.
        reason: why it was not accepted, for people; empty otherwise.
    """

    deformation: Deformation
    accepted: bool
    reason: str

    def of_confidence(self, least: float) -> Estimate:
        """The same, or refused where its confidence is below `least` (0 to 1)."""
        confidence = self.deformation.confidence
        if not self.accepted or confidence >= least:
            return self
        return self._replace(
            accepted=False, reason=f'confidence {confidence:.2f} is below {least:g}')


Estimator = Callable[[Array, Array, Deformation], Estimate]
"""(rgb (H, W, 3) uint8 BGR, thermal (h, w) uint8, first guess) -> estimate. With a first guess of
source NONE the search is wide (another field of view), else near."""


def default_estimator(device: torch.device | str = 'cpu') -> Estimator:
    """The registration network with the weights of the package; PyTorch is imported here.

    Args:
        device: where it runs.

    Raises:
        WeightsError: the weights are missing or damaged.
    """
    from ivif_ros.registration.network_estimator import NetworkEstimator

    return NetworkEstimator(device)
