# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Track ids: the same number for the same object in image after image."""

from __future__ import annotations

import dataclasses
import importlib.util
from types import SimpleNamespace
from typing import Any

import numpy as np

from ivif_ros.errors import MissingDependencyError
from ivif_ros.parameters import DetectionParameters
from ivif_ros.sync.stream import JUMP_NS
from ivif_ros.types import Array, Detections

TRACKERS = {'bytetrack': 'BYTETracker', 'botsort': 'BOTSORT'}
"""`detection.track` -> class in ultralytics.trackers; its defaults are in a file of the first name.

ByteTrack: Zhang et al., ECCV 2022, https://arxiv.org/abs/2110.06864. BoT-SORT without appearance:
Aharon et al., 2022, https://arxiv.org/abs/2206.14651.
"""

PAUSE_NS = 2_000_000_000
"""Where nothing was detected for longer than this and a period, objects are not the same ones."""

UNTRACKED = -1


def load_tracker(params: DetectionParameters) -> ObjectTracker | None:
    """Make the tracker that the parameters name.

    Returns:
        The tracker, or None where `track` is off.

    Raises:
        MissingDependencyError: a package that the tracker needs is not installed.
    """
    if params.track == 'off':
        return None
    # Without lap, ultralytics tries to install it while it is imported.
    for package in ('ultralytics', 'lap'):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(
                f"tracking with '{params.track}' needs the Python package {package}, which is not "
                f'installed: pip install {package} (or set detection.track to off)')
    return ObjectTracker(params)


class ObjectTracker:
    """Gives the objects of one stream their track ids with a tracker of ultralytics.

    The tracker predicts where each object is next and matches the boxes with that, first the sure
    ones, then the others: an object that is hard to see for a moment keeps its id. So the detector
    must be asked for more than is told in the end, see `search`. An object gets its id when it was
    seen in two images, those of the first image at once, and keeps it over 30 images without it.
    Classes do not matter for the match.

    Ids count from 1 and do not come again, not even in a new stream.

    Args:
        params: which tracker, and the least score that is told.

    Raises:
        MissingDependencyError: a package that ultralytics needs for it is not installed.
    """

    def __init__(self, params: DetectionParameters) -> None:
        """Make the tracker."""
        # Imports PyTorch, which `ivif --help` does not wait for.
        from ivif_ros.detection.isolation import go_offline, process_settings_kept

        with process_settings_kept():
            go_offline()
            try:
                from ultralytics import trackers
                from ultralytics.engine.results import Boxes
                from ultralytics.utils import ROOT, YAML
            except ModuleNotFoundError as error:
                raise MissingDependencyError(
                    f"tracking with '{params.track}' needs the Python package {error.name}, which "
                    f'is not installed: pip install {error.name} (or set detection.track to off)'
                ) from error
        self._kind = getattr(trackers, TRACKERS[params.track])
        self._boxes = Boxes
        self._defaults = YAML.load(ROOT / 'cfg' / 'trackers' / f'{params.track}.yaml')
        # Appearance would need another network.
        self._settings = SimpleNamespace(**{**self._defaults, 'with_reid': False})
        self._last: tuple[int, tuple[int, ...]] | None = None
        self._given = 0
        self.set_parameters(params)
        self.reset()

    def set_parameters(self, params: DetectionParameters) -> None:
        """Take new thresholds; the objects keep their ids."""
        # A score below the defaults continues a track at most: with what is tuned for sure boxes
        # (match_thresh, on overlap times score), boxes of low scores would never match.
        high = max(params.confidence, self._defaults['track_high_thresh'])
        self._settings.track_high_thresh = high
        self._settings.new_track_thresh = max(high, self._defaults['new_track_thresh'])
        self._params = params

    def search(self, params: DetectionParameters) -> DetectionParameters:
        """Parameters for the detector: those given, with the scores that the tracker needs."""
        least = min(params.confidence, self._settings.track_low_thresh)
        return dataclasses.replace(params, confidence=least)

    def reset(self) -> None:
        """Forget all objects: what comes next is another stream."""
        self._tracker: Any = self._kind(self._settings)
        self._before = self._given
        self._last = None

    def update(self, found: Detections, bgr: Array, stamp_ns: int) -> Detections:
        """Match what was found with the objects that are known.

        A stamp that goes back (a bag starts again), a long pause and an image of another size begin
        a new stream.

        Args:
            found: what the detector gave for `search`, in pixels of the image.
            bgr: (H, W, 3) uint8, the image; BoT-SORT reads the motion of the camera from it.
            stamp_ns: its stamp in nanoseconds.

        Returns:
            The objects of at least `detection.confidence` in the given order, with track ids.
        """
        if self._is_new(stamp_ns, bgr.shape):
            self.reset()
        self._last = stamp_ns, bgr.shape
        # Trackers divide by the height.
        usable = np.flatnonzero((found.boxes[:, 2:] > found.boxes[:, :2]).all(1))
        # Tracks carry the class of their last box and do not look at it; with the place of the box
        # in that column they name it. (The column for that is wrong in some releases.)
        table = np.column_stack([found.boxes[usable], found.scores[usable], usable])
        rows = np.asarray(self._tracker.update(
            self._boxes(table.astype(np.float32), bgr.shape[:2]), bgr), np.float64).reshape(-1, 8)
        track_ids = np.full(len(found), UNTRACKED, np.int64)
        track_ids[rows[:, 6].astype(np.int64)] = rows[:, 4].astype(np.int64) + self._before
        self._given = max(self._given, int(track_ids.max(initial=0)))
        tracked = dataclasses.replace(found, track_ids=track_ids)
        return tracked.where(found.scores >= self._params.confidence)

    def _is_new(self, stamp_ns: int, shape: tuple[int, ...]) -> bool:
        if self._last is None:
            return False
        step_ns = stamp_ns - self._last[0]
        pause_ns = PAUSE_NS + self._params.period_ms * 1e6
        return shape != self._last[1] or not -JUMP_NS <= step_ns <= pause_ns
