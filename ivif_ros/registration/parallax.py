# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the rig leaves: displacements that belong to objects and move with them.

Each node carries a displacement and its expected error. Estimates are combined by these errors
(a Kalman filter per node), motion of the RGB image carries them along, and age makes the error
grow, so that the displacement fades towards the rig by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ivif_ros.registration.maps import (
    grid_nodes,
    points_to_thermal,
    resampled_confidence,
    sample_grid,
)
from ivif_ros.registration.motion import Motion
from ivif_ros.registration.trust import REFERENCE_WIDTH, confidence_of, error_of, reference_px
from ivif_ros.types import Array, Deformation

_TYPICAL_PX = 6.0
"""Parallax that is not surprising, in pixels of an image 640 wide: standard deviation of the prior
that there is none."""
_LARGEST_PX = 40.0
"""Parallax that is not believed."""
_UNBELIEVED_PX = 30.0
_DEVIATIONS = 3.0
_SHARED = 0.7
"""Share of the error of an estimate that the next one is likely to repeat."""
_AGEING_PX_S2 = 4.0
_SAME_LEVELS = 10.0
_LOST_PX_PER_LEVEL = 0.3
_NEGLIGIBLE_PX = 0.25
_FADED = 0.05
"""Share of a displacement below which it is left out everywhere."""
_COARSE = 9, 13


@dataclass(frozen=True, eq=False)
class Parallax:
    """Displacements beyond the rig.

    Attributes:
        offset: (rows, columns, 2) float32 thermal pixels; nodes like those of a grid.
        error: (rows, columns) float32 expected error, in pixels of an image 640 wide.
        stamp_ns: when it was last measured; the error grows from then on.
    """

    offset: Array
    error: Array
    stamp_ns: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.offset.shape[0], self.offset.shape[1]


def measured(estimate: Deformation, rig: Deformation, stamp_ns: int) -> Parallax:
    """What an estimate says beyond the rig.

    Args:
        estimate: accepted estimate.
        rig: deformation for images of the same sizes.
        stamp_ns: stamp of the pair of the estimate.
    """
    shape = _COARSE if estimate.grid is None else estimate.grid.shape[:2]
    trust = estimate.confidence_map
    error = (np.full(shape, error_of(estimate.confidence)) if trust is None else
             error_of(resampled_confidence(trust, shape[1], shape[0])))
    offset = _apart(estimate, rig, shape)
    length = np.linalg.norm(offset, axis=2) / reference_px(rig)
    error = np.where(length > _LARGEST_PX, np.maximum(error, _UNBELIEVED_PX), error)
    return Parallax(offset.astype(np.float32), error.astype(np.float32), stamp_ns)


def rebased(parallax: Parallax, old: Deformation, new: Deformation) -> Parallax:
    """The same map as displacements beyond another rig."""
    if old is new:
        return parallax
    offset = parallax.offset + _apart(old, new, parallax.shape)
    return replace(parallax, offset=offset.astype(np.float32))


def fused(known: Parallax, found: Parallax, unit: float) -> Parallax:
    """Combine what was known with a new estimate of the same image.

    A sudden contradiction counts little at first (its error is enlarged until it lies at three
    standard deviations) but makes what was known doubtful, so that a second one is followed.

    Args:
        known: carried along to the image of the new one.
        found: the new one; its nodes are kept.
        unit: thermal pixels per pixel of an image 640 wide.
    """
    if known.shape != found.shape:
        return found
    prior = _aged(known, found.stamp_ns) ** 2
    noise = found.error.astype(np.float64) ** 2
    apart = np.sum((found.offset - known.offset) ** 2, axis=2) / unit**2
    noise = noise * np.maximum(apart / (_DEVIATIONS**2 * (prior + noise)), 1.0)
    gain = prior / (prior + noise)
    variance = gain * noise + gain * (1.0 - gain) * apart
    offset = known.offset + gain[..., None] * (found.offset - known.offset)
    error = np.maximum(np.sqrt(variance), _SHARED * np.minimum(found.error, np.sqrt(prior)))
    return Parallax(offset.astype(np.float32), error.astype(np.float32), found.stamp_ns)


def carried(parallax: Parallax, motion: Motion) -> Parallax:
    """Move displacements along with what they belong to.

    Args:
        parallax: of an earlier image.
        motion: where each node was in it.
    """
    x, y = cv2.split(motion.before)
    offset = cv2.remap(parallax.offset, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    error = cv2.remap(parallax.error, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    # Content that was not there before has no displacement yet.
    lost = _LOST_PX_PER_LEVEL * np.maximum(motion.mismatch - _SAME_LEVELS, 0.0)
    return replace(parallax, offset=np.asarray(offset), error=np.hypot(error, lost))


def laid_on(rig: Deformation, parallax: Parallax, stamp_ns: int) -> Deformation | None:
    """Rig and parallax in one; each displacement counts as far as it can be believed.

    With a displacement d of error e and the prior that there is none (standard deviation s), the
    most likely one is `s^2 / (s^2 + e^2) d`.

    Args:
        rig: deformation for images of these sizes.
        parallax: of the image with the stamp.
        stamp_ns: now.

    Returns:
        The deformation with a confidence map, its grid that of the rig while the parallax is
        negligible; None where the parallax has faded.
    """
    error = _aged(parallax, stamp_ns)
    share = _TYPICAL_PX**2 / (_TYPICAL_PX**2 + error**2)
    if share.max() < _FADED:
        return None
    to_reference = REFERENCE_WIDTH / rig.rgb_size[0]
    of_rig = (float(error_of(rig.confidence)) if np.isnan(rig.residual_px)
              else rig.residual_px * to_reference)
    # Variance after both the measurement and the prior; the rig itself, and how far it is known to
    # lie off, are no worse than that.
    off = np.linalg.norm(parallax.offset, axis=2) / reference_px(rig)
    expected = np.sqrt(np.minimum(share * error**2, of_rig**2 + off**2))
    shown: Array = parallax.offset * share[..., None].astype(np.float32)
    grid: Array | None = shown
    if np.abs(shown).max() < _NEGLIGIBLE_PX * reference_px(rig):
        grid = rig.grid
    elif rig.grid is not None:
        lens = rig.grid
        if lens.shape != parallax.offset.shape:
            nodes = grid_nodes(rig.rgb_size, parallax.shape[1], parallax.shape[0])
            lens = sample_grid(lens, rig.rgb_size, nodes)
        grid = shown + lens
    mean = float(expected.mean())
    return replace(rig, grid=grid, confidence=float(confidence_of(mean)),
                   residual_px=mean / to_reference, confidence_map=confidence_of(expected))


def _aged(parallax: Parallax, stamp_ns: int) -> Array:
    """(rows, columns) expected error at a later time."""
    age_s = max(stamp_ns - parallax.stamp_ns, 0) / 1e9
    return np.hypot(parallax.error, _AGEING_PX_S2 * age_s**2)


def _apart(first: Deformation, second: Deformation, shape: tuple[int, int]) -> Array:
    nodes = grid_nodes(first.rgb_size, shape[1], shape[0])
    return points_to_thermal(first, nodes) - points_to_thermal(second, nodes)
