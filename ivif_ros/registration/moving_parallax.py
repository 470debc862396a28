# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The parallax of a stream: measured now and then, carried along with each image between."""

from __future__ import annotations

from typing import NamedTuple

from ivif_ros.registration.motion import MotionFinder, small_image
from ivif_ros.registration.parallax import Parallax, carried, fused, laid_on, measured, rebased
from ivif_ros.registration.trust import reference_px
from ivif_ros.types import Array, Deformation, Size


class Snapshot(NamedTuple):
    """An image on which an estimate was started.

    Attributes:
        image: (h, w) uint8 small grey image.
        rgb_size: width, height of the RGB image that it was made of.
        stamp_ns: its stamp.
        parallax: what was known of it then, or None.
    """

    image: Array
    rgb_size: Size
    stamp_ns: int
    parallax: Parallax | None


class MovingParallax:
    """Parallax at the newest image.

    Motion is always found between the newest image and the one that the parallax was measured on:
    adding up the motion from frame to frame would add up its errors.
    """

    def __init__(self) -> None:
        """Start without any."""
        self._finder = MotionFinder()
        self._newest: Snapshot | None = None
        self.reset()

    def reset(self) -> None:
        """Forget it."""
        self._anchor: Snapshot | None = None
        self._now: Parallax | None = None

    def show(self, rgb: Array, stamp_ns: int) -> None:
        """Carry the parallax along to the next image, (H, W, 3) uint8."""
        self._newest = Snapshot(small_image(rgb), (rgb.shape[1], rgb.shape[0]), stamp_ns, None)
        if self._anchor is not None:
            self._carry()

    def anchor(self) -> Snapshot:
        """Take the image shown last as the one that the parallax belongs to."""
        assert self._newest is not None
        snapshot = self._newest._replace(parallax=self._now)
        if self._now is not None:
            self._anchor = snapshot
        return snapshot

    def take(self, snapshot: Snapshot, found: Deformation, before: Deformation,
             rig: Deformation) -> None:
        """Take an accepted estimate.

        Args:
            snapshot: of the image that it was made of.
            found: the estimate.
            before: the rig so far, to which the parallax of the snapshot is relative.
            rig: the rig from now on.
        """
        parallax = measured(found, rig, snapshot.stamp_ns)
        if self._now is not None and snapshot.parallax is not None:
            known = rebased(snapshot.parallax, before, rig)
            parallax = fused(known, parallax, reference_px(rig))
        self._anchor = snapshot._replace(parallax=parallax)
        self._now = parallax
        self._carry()

    def laid_on(self, rig: Deformation, stamp_ns: int) -> Deformation | None:
        """Rig and parallax in one, None where there is none or it has faded."""
        if self._now is None:
            return None
        both = laid_on(rig, self._now, stamp_ns)
        if both is None:
            self.reset()
        return both

    def _carry(self) -> None:
        anchor, newest = self._anchor, self._newest
        assert anchor is not None
        assert anchor.parallax is not None
        self._now = anchor.parallax
        if newest is not None and newest.image is not anchor.image:
            motion = self._finder.find(
                newest.image, anchor.image, anchor.rgb_size, anchor.parallax.shape)
            self._now = carried(anchor.parallax, motion)
