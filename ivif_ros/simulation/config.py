# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the simulated rig is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ivif_ros.errors import ParameterError
from ivif_ros.types import Size

Lighting = Literal['day', 'dusk', 'night']
LIGHTINGS: tuple[Lighting, ...] = ('day', 'dusk', 'night')


@dataclass(frozen=True)
class RigConfig:
    """All settings of a simulated rig; equal settings give equal images, bit for bit.

    Attributes:
        seed: chooses the street, the traffic and the noise.
        lighting: `day`, `dusk` or `night`.
        rgb_size: width, height of the colour image in pixels.
        thermal_size: width, height of the thermal image in pixels.
        rgb_fov_deg: horizontal field of view of the colour camera in degrees (without distortion).
        thermal_fov_deg: horizontal field of view of the thermal camera in degrees.
        rgb_distortion: plumb_bob coefficients k1, k2, p1, p2, k3.
        thermal_distortion: plumb_bob coefficients of the thermal lens.
        baseline_m: distance of the thermal camera to the right of the colour camera in metres.
        thermal_rotation_deg: rotation of the thermal camera about its x, y and z axis in degrees.
        camera_height_m: height of the colour camera above the road in metres.
        ego_speed_mps: mean speed of the rig along the street in metres per second; 0 stands still.
        rgb_hz: frames per second of the colour camera.
        thermal_hz: frames per second of the thermal camera (30 or, export-restricted, 9).
        thermal_phase_s: when the thermal camera exposes its first frame, after the first RGB frame.
        thermal_lag_s: how far the thermal clock is ahead of the RGB clock: the true time offset. A
            thermal stamp says `capture time + thermal_lag_s`.
        jitter_s: standard deviation of the noise on both stamps in seconds; cut off at 2.5
            deviations and at 0.45 frame periods, so that stamps of one camera never change order.
        rgb_delay_s: transport delay of the colour frames in seconds.
        thermal_delay_s: transport delay of the thermal frames in seconds.
        freeze_every_s: mean time between two shutter events (flat-field correction) of the thermal
            camera; 0 for none.
        freeze_length_s: how long the thermal camera repeats its last image then.
        celsius_per_count: degrees Celsius per thermal count.
        celsius_offset: degrees Celsius at count zero.
        netd_k: thermal noise as standard deviation in kelvin.
        smoke: drifting smoke that hides the street from the colour camera only.
        haze: even haze that thins contrast with distance in the visible.
        glare: a car with high beams (night, dusk) or a low sun (day) blinds part of the colour
            image.
        traffic: density of people and vehicles, 0 (empty street) to 2.
    """

    seed: int = 0
    lighting: Lighting = 'night'
    rgb_size: Size = (640, 480)
    thermal_size: Size = (320, 256)
    rgb_fov_deg: float = 60.0
    thermal_fov_deg: float = 50.0
    rgb_distortion: tuple[float, ...] = (-0.12, 0.03, 0.0004, -0.0003, 0.0)
    thermal_distortion: tuple[float, ...] = (-0.22, 0.06, -0.0005, 0.0006, 0.0)
    baseline_m: float = 0.10
    thermal_rotation_deg: tuple[float, float, float] = (-0.5, 0.8, 0.4)
    camera_height_m: float = 1.5
    ego_speed_mps: float = 3.0
    rgb_hz: float = 30.0
    thermal_hz: float = 30.0
    thermal_phase_s: float = 0.0
    thermal_lag_s: float = 0.008
    jitter_s: float = 0.001
    rgb_delay_s: float = 0.012
    thermal_delay_s: float = 0.020
    freeze_every_s: float = 60.0
    freeze_length_s: float = 0.5
    celsius_per_count: float = 0.04
    celsius_offset: float = -273.15
    netd_k: float = 0.05
    smoke: bool = False
    haze: bool = False
    glare: bool = False
    traffic: float = 1.0

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ParameterError: a setting lies outside its range.
        """
        if self.lighting not in LIGHTINGS:
            raise ParameterError(f"lighting is '{self.lighting}', expected one of {LIGHTINGS}")
        if self.seed < 0:
            raise ParameterError(f'seed is {self.seed}, expected 0 or more')
        for name in ('rgb_size', 'thermal_size'):
            if min(getattr(self, name)) < 32 or max(getattr(self, name)) > 4096:
                raise ParameterError(f'{name} is {getattr(self, name)}, expected 32 to 4096 pixels')
        limits = {
            'rgb_fov_deg': (10, 110),
            'thermal_fov_deg': (10, 110),
            'rgb_hz': (0.1, 1000),
            'thermal_hz': (0.1, 1000),
            'baseline_m': (-2, 2),
            'camera_height_m': (0.3, 5),
            'ego_speed_mps': (0, 30),
            'thermal_phase_s': (0, 10),
            'thermal_lag_s': (-10, 10),
            'jitter_s': (0, 1),
            'rgb_delay_s': (0, 10),
            'thermal_delay_s': (0, 10),
            'freeze_every_s': (0, 1e6),
            'freeze_length_s': (0, 60),
            'celsius_per_count': (1e-3, 1),
            'celsius_offset': (-273.15, 0),
            'netd_k': (0, 5),
            'traffic': (0, 2),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ParameterError(f'{name} is {value}, expected {low} to {high}')
        hottest = self.celsius_offset + 16383 * self.celsius_per_count
        if hottest < 50 or self.celsius_offset > -40:
            raise ParameterError(
                f'14 bits reach from {self.celsius_offset:g} to {hottest:g} degC, expected at '
                'least -40 to 50: change celsius_per_count or celsius_offset'
            )
        for name in ('rgb_distortion', 'thermal_distortion'):
            if len(getattr(self, name)) not in (0, 4, 5):
                raise ParameterError(
                    f'{name} has {len(getattr(self, name))} coefficients, expected none, 4 or 5'
                )
        if self.freeze_every_s and self.freeze_every_s < 4 * self.freeze_length_s:
            raise ParameterError(
                f'freeze_every_s is {self.freeze_every_s}, expected 0 or at least four times '
                f'freeze_length_s ({self.freeze_length_s})'
            )
