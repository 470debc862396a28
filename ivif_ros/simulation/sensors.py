# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the two sensors make of the light and heat that reach them: response, noise, blur."""

from __future__ import annotations

import cv2
import numpy as np

from ivif_ros.simulation.config import RigConfig
from ivif_ros.simulation.lighting import Light
from ivif_ros.simulation.noise import generator
from ivif_ros.simulation.radiance import decode
from ivif_ros.types import Array

_MARGIN = 64


def _instant(t: float) -> int:
    """Time as an integer key for random numbers, in microseconds."""
    return round(t * 1e6)


class ColourSensor:
    """Vignetting, photon noise, demosaicing blur and tone curve of the colour camera."""

    def __init__(self, config: RigConfig, light: Light) -> None:
        """Prepare vignette, tone curve and a supply of noise.

        Args:
            config: size and seed.
            light: noise and contrast at this time of day.
        """
        self._seed = config.seed
        width, height = config.rgb_size
        y, x = np.mgrid[:height, :width].astype(np.float32)
        square = ((x - width / 2) ** 2 + (y - height / 2) ** 2) / (width**2 / 4 + height**2 / 4)
        # Natural vignetting (cos^4) of a wide lens; bytes are square roots of light.
        falloff = np.sqrt((1 + 0.28 * square) ** -2.0)
        self._vignette = cv2.merge([np.rint(falloff * 255).astype(np.uint8)] * 3)
        rng = generator(config.seed, 41)
        shape = (height + _MARGIN, width + _MARGIN, 3)
        fine = rng.standard_normal(shape, np.float32)
        grain = cv2.GaussianBlur(fine, (0, 0), 0.7)
        chroma = cv2.GaussianBlur(rng.standard_normal(shape, np.float32), (0, 0), 1.8)
        mix = 0.75 * grain / grain.std() + 0.45 * chroma / chroma.std()
        mix = mix * light.noise
        self._up = np.rint(np.clip(mix, 0, 255)).astype(np.uint8)
        self._down = np.rint(np.clip(-mix, 0, 255)).astype(np.uint8)
        linear = decode(np.arange(256, dtype=np.uint8))
        # Highlights roll off from 0.75 on; the rest follows the usual 1/2.2 power.
        soft = np.where(linear < 0.75, linear, 1 - 0.25 * np.exp(-(linear - 0.75) / 0.25))
        tone = np.clip(soft, 0, 1) ** (light.contrast / 2.2) * 255
        self._tone = np.rint(tone).astype(np.uint8)

    def expose(self, raw: Array, t: float) -> Array:
        """Turn encoded radiance behind the lens into the picture.

        Args:
            raw: (H, W, 4) uint8 encoded radiance; the last channel means nothing.
            t: time in seconds, chooses the noise.

        Returns:
            (H, W, 3) uint8 BGR.
        """
        colour = cv2.cvtColor(raw, cv2.COLOR_BGRA2BGR)
        image = cv2.multiply(colour, self._vignette, scale=1 / 255)
        dy, dx, swap = generator(self._seed, 42, _instant(t)).integers(0, (_MARGIN, _MARGIN, 2))
        window = np.s_[dy : dy + image.shape[0], dx : dx + image.shape[1]]
        up, down = (self._up, self._down) if swap else (self._down, self._up)
        cv2.add(image, up[window], image)
        cv2.subtract(image, down[window], image)
        picture: Array = cv2.LUT(image, self._tone)
        return picture


class ThermalSensor:
    """Microbolometer: blur, noise, column pattern, drift and 14-bit counts."""

    def __init__(self, config: RigConfig) -> None:
        """Prepare the patterns.

        Args:
            config: size, seed, noise and scale.
        """
        self._seed = config.seed
        self._scale, self._offset = config.celsius_per_count, config.celsius_offset
        width, height = config.thermal_size
        rng = generator(config.seed, 43)
        noise = rng.standard_normal((height + _MARGIN, width + _MARGIN), np.float32)
        self._noise = noise * np.float32(config.netd_k)
        columns = rng.standard_normal((1, width), np.float32) * np.float32(0.9 * config.netd_k)
        pixels = rng.standard_normal((height, width), np.float32) * np.float32(0.6 * config.netd_k)
        y, x = np.mgrid[:height, :width].astype(np.float32)
        square = ((x - width / 2) ** 2 + (y - height / 2) ** 2) / (width**2 / 4 + height**2 / 4)
        # The lens barrel radiates into the corners.
        self._pattern = columns + pixels + 0.25 * square
        self._growing = rng.standard_normal((1, width), np.float32) * np.float32(
            0.5 * config.netd_k
        )
        self._phase = float(rng.uniform(0, 6.28))

    def expose(self, celsius: Array, t: float) -> Array:
        """Turn scene temperatures into counts.

        Args:
            celsius: (H, W) float32 apparent temperature.
            t: time in seconds.

        Returns:
            (H, W) uint16 counts, 0..16383.
        """
        image = cv2.GaussianBlur(celsius, (3, 3), 0.45)
        dy, dx = generator(self._seed, 44, _instant(t)).integers(0, (_MARGIN, _MARGIN))
        image += self._noise[dy : dy + image.shape[0], dx : dx + image.shape[1]]
        image += self._pattern
        image += self._growing * np.float32(np.sin(0.05 * t + self._phase))
        drift = 0.3 * np.sin(0.021 * t + self._phase)
        image -= np.float32(self._offset - drift)
        image *= np.float32(1 / self._scale)
        np.clip(image, 0, 16383, out=image)
        return np.rint(image, out=image).astype(np.uint16)
