# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The truth about a recording: where each RGB pixel really lies in the thermal image, and when.

`ivif import` writes it as `NAME.truth.json` beside the recording `NAME`:

    {"format": "ivif_ros truth 1",
     "thermal_offset_ms": what must be added to thermal stamps, or null where nobody knows,
     "simulator": text of the simulated rig ("sim:night,seed=3") that made the images, or null,
     "deformation": {"rgb_size": [w, h], "thermal_size": [w, h], "homography": 3x3,
                     "grid": (rows, columns, 2) or null}, or null,
     "misalignment": {"size": [w, h], "homography": 3x3, "bend": (rows, columns, 2)}, or null}

An RGB pixel lies where `deformation` says (a map as in calibration files: homography, then a
bilinear displacement), or where the simulated rig says at the stamp of the RGB image. Where there
is a `misalignment`, the thermal image was deformed after that: pixel q of the recorded thermal
image shows pixel `homography q + bend(q)` of the one before, so the true place is that map
inverted. All coordinates are (x, y) in pixels, (0, 0) is the centre of the top left one.

A calibration file with a `deformation` is a truth file as well: a rig that was measured well.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ivif_ros.errors import CalibrationError, SourceError
from ivif_ros.frame_source import FrameSource
from ivif_ros.registration import dense_map, load_calibration
from ivif_ros.sources.shaping import WrappedSource
from ivif_ros.training.data.deformations import BackwardMap
from ivif_ros.types import Array, Deformation

if TYPE_CHECKING:
    from ivif_ros.sources.simulated import SimulatedSource

FORMAT = 'ivif_ros truth 1'


def truth_path(recording: Path) -> Path:
    """Where the truth about a recording stands: beside it, under its name."""
    return recording.with_name(f'{recording.name}.truth.json')


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known for sure about a recording.

    Attributes:
        thermal_offset_ms: what must be added to thermal stamps so that they agree with RGB stamps;
            None where nobody knows.
        deformation: map from RGB pixels to the pixels of the thermal camera; None where a
            simulated rig says it.
        simulator: text of the simulated rig, such as `sim:night,seed=3`; empty for none.
        misalignment: how the thermal images were deformed afterwards: pixel of the recorded image
            -> pixel of the image before; None where they were not.
    """

    thermal_offset_ms: float | None = None
    deformation: Deformation | None = None
    simulator: str = ''
    misalignment: BackwardMap | None = None

    def __post_init__(self) -> None:
        """Check that there is one source of the map.

        Raises:
            CalibrationError: none or two.
        """
        if (self.deformation is None) == (not self.simulator):
            raise CalibrationError(
                "truth needs either a 'deformation' or a 'simulator' that says where pixels lie")

    def moved(self, thermal_xy: Array) -> Array:
        """Take places in the thermal image before the misalignment to those in the recorded one.

        Args:
            thermal_xy: (h, w, 2) float32 pixels x, y; NaN stays NaN.
        """
        return thermal_xy if self.misalignment is None else self.misalignment.inverse(thermal_xy)

    def save(self, path: Path) -> None:
        """Write it as JSON.

        Raises:
            OSError: the file cannot be written.
        """
        deformation, misalignment = self.deformation, self.misalignment
        path.write_text(json.dumps({
            'format': FORMAT,
            'thermal_offset_ms': self.thermal_offset_ms,
            'simulator': self.simulator or None,
            'deformation': None if deformation is None else {
                'rgb_size': list(deformation.rgb_size),
                'thermal_size': list(deformation.thermal_size),
                'homography': deformation.homography.tolist(),
                'grid': None if deformation.grid is None else deformation.grid.tolist()},
            'misalignment': None if misalignment is None else {
                'size': list(misalignment.size), 'homography': misalignment.homography.tolist(),
                'bend': misalignment.bend.tolist()},
        }, indent=1) + '\n', encoding='utf-8')


def load_truth(path: Path | str) -> Truth:
    """Read a truth file of `ivif import`, or a calibration file with a deformation.

    Raises:
        SourceError: missing, unreadable, of another format, or without any map.
    """
    path = Path(path)
    try:
        if path.suffix.lower() in ('.yaml', '.yml'):
            return Truth(deformation=load_calibration(path).deformation)
        content = json.loads(path.read_text(encoding='utf-8'))
        if not isinstance(content, dict) or content.get('format') != FORMAT:
            raise SourceError(
                f"truth file '{path}' is not in the format '{FORMAT}', which 'ivif import' writes; "
                'a calibration file (.yaml) with a deformation is accepted as well')
        return _truth(content)
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"truth file '{path}' cannot be read: {error}") from error
    except CalibrationError as error:
        raise SourceError(f"truth file '{path}': {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(f"truth file '{path}' is damaged: {type(error).__name__} {error}; write "
                          "it anew with 'ivif import'") from error


def _truth(content: dict[str, Any]) -> Truth:
    deformation, misalignment = content['deformation'], content['misalignment']
    if deformation is not None:
        grid = deformation['grid']
        deformation = Deformation(
            _size(deformation['rgb_size']), _size(deformation['thermal_size']),
            np.array(deformation['homography'], np.float64),
            None if grid is None else np.array(grid, np.float32), confidence=1.0, residual_px=0.0)
    if misalignment is not None:
        homography = np.array(misalignment['homography'], np.float64)
        bend = np.array(misalignment['bend'], np.float32)
        if homography.shape != (3, 3) or bend.ndim != 3 or bend.shape[2] != 2 or not (
                np.isfinite(homography).all() and np.isfinite(bend).all()):
            raise ValueError('misalignment needs a 3x3 homography and a (rows, columns, 2) bend')
        misalignment = BackwardMap(_size(misalignment['size']), homography, bend)
    offset_ms = content['thermal_offset_ms']
    return Truth(None if offset_ms is None else float(offset_ms), deformation,
                 str(content['simulator'] or ''), misalignment)


def _size(value: Any) -> tuple[int, int]:
    width, height = value
    return int(width), int(height)


class KnownSource(WrappedSource):
    """Another source, with the truth about it.

    Args:
        source: the frames; it is closed with this one.
        truth: what is known about them.
    """

    def __init__(self, source: FrameSource, truth: Truth) -> None:
        """Keep both."""
        super().__init__(source)
        self.truth = truth
        self._rig: SimulatedSource | None = None
        self._constant: Array | None = None

    def true_map(self, rgb_stamp_ns: int) -> Array | None:
        """Where each RGB pixel lies in the recorded thermal image.

        The map of a standing deformation is computed once.
        """
        if self.truth.deformation is not None:
            if self._constant is None:
                self._constant = self.truth.moved(dense_map(self.truth.deformation))
            return self._constant
        if self._rig is None:
            from ivif_ros.sources.simulated import SimulatedSource

            self._rig = SimulatedSource.from_text(self.truth.simulator)
        found = self._rig.true_map(rgb_stamp_ns)
        assert found is not None, 'the simulator knows the truth'
        return self.truth.moved(found)
