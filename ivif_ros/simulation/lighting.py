# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Light and heat of the three times of day, and how the colour camera copes with them."""

from __future__ import annotations

from dataclasses import dataclass

from ivif_ros.simulation.config import Lighting

Bgr = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """One time of day. Radiance is linear, 1 is what the sensor shows as white at its exposure.

    Attributes:
        name: the time of day.
        ambient: BGR light of the sky on everything.
        from_above: how much brighter upward faces are than walls.
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
    from_above: float
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
        name='day', ambient=(1.05, 1.0, 0.98), from_above=1.35, lamp=(0, 0, 0), headlight=(0, 0, 0),
        lit_windows=0.04, sky_zenith=(1.55, 1.2, 0.95), sky_horizon=(1.6, 1.5, 1.42),
        haze=(0.95, 0.92, 0.9), lights_on=False, noise=1.6, contrast=1.05, air_c=20.0, ground_c=25.0,
        wall_c=22.5, sun_k=4.0, sky_zenith_c=-22.0, sky_horizon_c=8.0, skin_c=33.0, cloth_c=28.0),
    'dusk': Light(
        name='dusk', ambient=(0.42, 0.31, 0.26), from_above=1.3, lamp=(0.30, 0.55, 0.75),
        headlight=(0.10, 0.12, 0.13), lit_windows=0.22, sky_zenith=(0.42, 0.26, 0.17),
        sky_horizon=(0.62, 0.66, 0.85), haze=(0.34, 0.3, 0.3), lights_on=True, noise=3.0,
        contrast=1.08, air_c=15.0, ground_c=19.0, wall_c=17.8, sun_k=0.0, sky_zenith_c=-26.0,
        sky_horizon_c=3.0, skin_c=31.5, cloth_c=24.5),
    'night': Light(
        name='night', ambient=(0.016, 0.017, 0.014), from_above=1.0, lamp=(0.34, 0.62, 0.60),
        headlight=(0.26, 0.32, 0.31), lit_windows=0.2, sky_zenith=(0.004, 0.004, 0.003),
        sky_horizon=(0.018, 0.016, 0.016), haze=(0.05, 0.06, 0.06), lights_on=True, noise=4.2,
        contrast=1.12, air_c=9.0, ground_c=11.5, wall_c=11.0, sun_k=0.0, sky_zenith_c=-30.0,
        sky_horizon_c=-3.0, skin_c=30.5, cloth_c=21.0),
}
