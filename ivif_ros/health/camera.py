# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Trust in the two cameras, with hysteresis, and the mode that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from ivif_ros.errors import ImageError
from ivif_ros.health.measures import brightness, contrast
from ivif_ros.parameters import HealthParameters
from ivif_ros.thermal.freeze import FreezeState
from ivif_ros.types import Array, Mode, Sensor, check_image

_FROZEN_QUALITY = 0.5


@dataclass(frozen=True)
class HealthState:
    """What the cameras are good for at the moment.

    Attributes:
        mode: what to make the result of.
        reason: why it is not a full fusion, such as `rgb dark; thermal missing`; empty for a
            fusion.
        rgb_ok: True where the RGB image is there and trusted.
        thermal_ok: True where the thermal image is there and trusted.
    """

    mode: Mode
    reason: str
    rgb_ok: bool
    thermal_ok: bool


class _Trust:
    """One camera: lost at the first bad image, back after some good ones in a row."""

    def __init__(self, sensor: Sensor) -> None:
        self._sensor = sensor
        self._fault = ''
        self._good = 0
        self.quality = 1.0

    def update(self, fault: str, quality: float, recover_frames: int) -> None:
        """Take the verdict on one image; an empty fault is a good one."""
        self.quality = quality
        if fault:
            self._fault, self._good = fault, 0
        elif self._fault:
            self._good += 1
            if self._good >= recover_frames:
                self._fault = ''

    @property
    def fault(self) -> str:
        """Why the camera is not trusted, or nothing."""
        if not self._fault:
            return ''
        return f'{self._sensor} {self._fault}' + (', recovering' if self._good else '')


class CameraHealth:
    """Decides from pair to pair whether to fuse or to show one camera.

    RGB is distrusted where it is black (`dark_level`), blinded (`glare_share`) or flat
    (`flat_level`). An image that is merely dark, or has some glare, stays in the fusion, which
    weighs each place by itself. Thermal is distrusted where the camera is frozen or the image is
    flat. Trust is lost at the first bad image and comes back after `recover_frames` good ones in a
    row. A missing image is no fault of the next one: it counts for its own pair only. Where both
    are bad, the better one is shown, and it stays as long as both are bad.
    """

    def __init__(self, params: HealthParameters) -> None:
        """Trust both cameras at first."""
        self.set_parameters(params)
        self.reset()

    def set_parameters(self, params: HealthParameters) -> None:
        """Take new thresholds; the trust stays as it is."""
        self._params = params

    def reset(self) -> None:
        """Trust both cameras again."""
        self._rgb = _Trust('rgb')
        self._thermal = _Trust('thermal')
        self._better: Mode | None = None

    def update(
            self, rgb: Array | None, thermal: Array | None,
            freeze: FreezeState | None = None) -> HealthState:
        """Judge one pair.

        Args:
            rgb: (H, W, 3) uint8 BGR, or None where it is missing.
            thermal: (H, W) uint8 from ThermalNormaliser, or None where it is missing.
            freeze: what FreezeDetector says about the thermal image, if known.

        Raises:
            ImageError: another shape or dtype, or an empty image.
            ValueError: neither image is there.
        """
        if rgb is None and thermal is None:
            raise ValueError('health needs at least one image')
        if rgb is not None:
            self._rgb.update(*self._judge_rgb(rgb), self._params.recover_frames)
        if thermal is not None:
            self._thermal.update(
                *self._judge_thermal(thermal, freeze), self._params.recover_frames)
        rgb_fault = 'rgb missing' if rgb is None else self._rgb.fault
        thermal_fault = 'thermal missing' if thermal is None else self._thermal.fault
        reasons = [fault for fault in (rgb_fault, thermal_fault) if fault]
        both_bad = len(reasons) == 2 and rgb is not None and thermal is not None
        if not both_bad:
            self._better = None
        if not reasons:
            mode = Mode.FUSED
        elif both_bad:
            mode = self._better = self._better or self._choose()
            reasons.append(f'{"rgb" if mode is Mode.RGB_ONLY else "thermal"} is the better one')
        elif rgb is None or (rgb_fault and thermal is not None):
            mode = Mode.THERMAL_ONLY
        else:
            mode = Mode.RGB_ONLY
        return HealthState(mode, '; '.join(reasons), not rgb_fault, not thermal_fault)

    def _choose(self) -> Mode:
        if self._rgb.quality >= self._thermal.quality:
            return Mode.RGB_ONLY
        return Mode.THERMAL_ONLY

    def _judge_rgb(self, rgb: Array) -> tuple[str, float]:
        """Fault of an RGB image (empty for none) and its quality, 0 to 1."""
        check_image(rgb, 'RGB image')
        if rgb.ndim != 3:
            raise ImageError(f'RGB image has shape {rgb.shape}, expected (H, W, 3)', 'bad_shape')
        params, seen = self._params, brightness(rgb)
        if seen.high < params.dark_level:
            return 'dark', seen.high / params.dark_level
        if params.glare_share < 1 and seen.saturated > params.glare_share:
            return 'blinded', (1 - seen.saturated) / (1 - params.glare_share)
        return self._judge_contrast(seen.contrast)

    def _judge_thermal(self, thermal: Array, freeze: FreezeState | None) -> tuple[str, float]:
        """Fault of a thermal image (empty for none) and its quality, 0 to 1."""
        check_image(thermal, 'thermal image')
        if thermal.ndim != 2 or thermal.dtype.name != 'uint8':
            raise ImageError(
                f'thermal image has shape {thermal.shape} and dtype {thermal.dtype}, expected '
                '(H, W) uint8 from ThermalNormaliser', 'bad_shape')
        if freeze is not None and freeze.frozen:
            return 'frozen', _FROZEN_QUALITY
        return self._judge_contrast(contrast(thermal))

    def _judge_contrast(self, seen: int) -> tuple[str, float]:
        if seen < self._params.flat_level:
            return 'flat', seen / self._params.flat_level
        return '', 1.0
