# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Light and heat of the three times of day, and how the colour camera copes with them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ivif_ros.simulation.config import Lighting
from ivif_ros.simulation.noise import Rng

Bgr = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """One time of day. Radiance is linear, 1 is what the sensor shows as white at its exposure.

    Attributes:
        name: the time of day.
        ambient: BGR light of the sky on everything.
        sun: BGR light of the sun on what it shines on.
        lamp: BGR light right below a street lamp; 0 by day.
        headlight: BGR light of the rig's own headlights 10 m ahead; 0 by day.
        lit_windows: share of windows with light behind them.
        sky_zenith, sky_horizon: BGR radiance of the sky.
        haze: BGR radiance of haze.
        lights_on: vehicles and lamps are switched on.
        noise: standard deviation of camera noise on the square-root scale (bytes).
        contrast: exponent of the camera's tone curve; above 1 is darker in the shadows.
        air_c, ground_c, wall_c: temperatures in degrees Celsius.
        sun_k: how much warmer sunlit things are.
        sky_zenith_c, sky_horizon_c: apparent temperature of the sky.
        skin_c, cloth_c: apparent temperature of skin and of the outside of clothes.
    """

    name: Lighting
    ambient: Bgr
    sun: Bgr
    lamp: Bgr
    headlight: Bgr
    lit_windows: float
    sky_zenith: Bgr
    sky_horizon: Bgr
    haze: Bgr
    lights_on: bool
    noise: float
    contrast: float
    air_c: float
    ground_c: float
    wall_c: float
    sun_k: float
    sky_zenith_c: float
    sky_horizon_c: float
    skin_c: float
    cloth_c: float


LIGHTS: dict[Lighting, Light] = {
    'day': Light(
        name='day',
        ambient=(0.62, 0.55, 0.50),
        sun=(0.62, 0.76, 0.86),
        lamp=(0, 0, 0),
        headlight=(0, 0, 0),
        lit_windows=0.04,
        sky_zenith=(1.05, 0.72, 0.46),
        sky_horizon=(1.25, 1.1, 0.98),
        haze=(0.95, 0.92, 0.9),
        lights_on=False,
        noise=1.4,
        contrast=1.08,
        air_c=18.0,
        ground_c=19.5,
        wall_c=19.0,
        sun_k=6.0,
        sky_zenith_c=2.0,
        sky_horizon_c=11.0,
        skin_c=33.0,
        cloth_c=29.0,
    ),
    'dusk': Light(
        name='dusk',
        ambient=(0.34, 0.25, 0.21),
        sun=(0, 0, 0),
        lamp=(0.26, 0.50, 0.70),
        headlight=(0.10, 0.12, 0.13),
        lit_windows=0.22,
        sky_zenith=(0.42, 0.26, 0.17),
        sky_horizon=(0.55, 0.58, 0.75),
        haze=(0.34, 0.3, 0.3),
        lights_on=True,
        noise=2.4,
        contrast=1.12,
        air_c=14.0,
        ground_c=17.5,
        wall_c=16.8,
        sun_k=0.0,
        sky_zenith_c=4.0,
        sky_horizon_c=9.5,
        skin_c=31.5,
        cloth_c=26.0,
    ),
    'night': Light(
        name='night',
        ambient=(0.007, 0.0075, 0.006),
        sun=(0, 0, 0),
        lamp=(0.36, 0.64, 0.60),
        headlight=(0.16, 0.20, 0.19),
        lit_windows=0.24,
        sky_zenith=(0.0015, 0.0013, 0.001),
        sky_horizon=(0.008, 0.007, 0.007),
        haze=(0.05, 0.06, 0.06),
        lights_on=True,
        noise=2.6,
        contrast=1.22,
        air_c=9.0,
        ground_c=11.0,
        wall_c=10.8,
        sun_k=0.0,
        sky_zenith_c=2.5,
        sky_horizon_c=6.5,
        skin_c=30.5,
        cloth_c=22.0,
    ),
}

_LAMP_TONES: tuple[Bgr, ...] = (
    (0.36, 0.64, 0.60),
    (0.14, 0.44, 0.82),
    (0.56, 0.60, 0.58),
    (0.34, 0.55, 0.68),
)
"""Greenish mercury, orange sodium, neutral and warm LED."""


def weather(rng: Rng, lighting: Lighting) -> Light:
    """One day out of many at a time of day: other lamps, another sky, warmer or colder.

    Args:
        rng: random numbers.
        lighting: time of day.
    """
    light = LIGHTS[lighting]
    tone = np.array(_LAMP_TONES[int(rng.integers(len(_LAMP_TONES)))])
    lamp = tone * max(light.lamp) / 0.64 * rng.uniform(0.75, 1.15)
    bright = rng.uniform(0.75, 1.3)
    warmer = float(np.clip(rng.normal(0, 3.0), -6, 6))
    clear = float(rng.uniform(-6, 1))

    def scaled(colour: Bgr) -> Bgr:
        return colour[0] * bright, colour[1] * bright, colour[2] * bright

    return replace(
        light,
        lamp=(float(lamp[0]), float(lamp[1]), float(lamp[2])),
        ambient=scaled(light.ambient),
        lit_windows=light.lit_windows * float(rng.uniform(0.6, 1.4)),
        air_c=light.air_c + warmer,
        ground_c=light.ground_c + warmer,
        wall_c=light.wall_c + warmer,
        sky_zenith_c=light.sky_zenith_c + warmer + clear,
        sky_horizon_c=light.sky_horizon_c + warmer + 0.3 * clear,
        skin_c=light.skin_c + 0.2 * warmer,
        cloth_c=light.cloth_c + 0.6 * warmer,
    )
