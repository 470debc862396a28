# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Two cameras of different field of view, size and modality that look at a picture in motion."""

import cv2
import numpy as np

from ivif_ros.types import Frame

MS = 1_000_000
BASE = 1_700_000_000_000 * MS
RGB_SIZE, THERMAL_SIZE = (192, 144), (160, 128)


def shaky(seconds):
    """Random smooth motion in pixels of the scene, (2,) per time."""
    rng = np.random.default_rng(5)
    frequencies = rng.uniform(0.2, 3.0, 14)
    phases = rng.uniform(0, 2 * np.pi, (14, 2))
    amplitudes = 14 / (1 + frequencies)
    return (amplitudes[:, None] * np.sin(
        2 * np.pi * frequencies[:, None] * seconds + phases)).sum(axis=0)


def periodic(seconds):
    """Vibration of 5 Hz and nothing else."""
    return np.array([3.0, 4.0]) * np.sin(2 * np.pi * 5 * seconds)


def still(seconds):
    """No motion."""
    return np.zeros(2)


class World:
    """A picture of soft blobs, which the thermal camera sees inverted, noisy and from nearer."""

    def __init__(self, path=shaky):
        rng = np.random.default_rng(3)
        scene = sum(cv2.GaussianBlur(rng.normal(0, 1, (700, 900)).astype(np.float32), (0, 0), s) * s
                    for s in (3, 6, 12))
        self.scene = 128 + 25 * scene / scene.std()
        self.path = path
        self.rng = rng

    def view(self, seconds, size, width):
        """What a camera sees whose image is `width` pixels of the scene wide."""
        scale = width / size[0]
        corner = np.array([450, 350]) + self.path(seconds) - 0.5 * scale * np.array(size)
        matrix = np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])
        return cv2.warpAffine(
            self.scene, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)

    def rgb(self, seconds):
        grey = self.view(seconds, RGB_SIZE, 480) + self.rng.normal(0, 1.5, RGB_SIZE[::-1])
        return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)

    def thermal(self, seconds):
        grey = self.view(seconds, THERMAL_SIZE, 380) + self.rng.normal(0, 1.5, THERMAL_SIZE[::-1])
        return (9000 - 8 * grey).astype(np.uint16)


def stream(world, seconds, *, thermal_hz=30.0, rgb_hz=30.0, start=0.0):
    """(true seconds, sensor, image) of both cameras in the order of exposure."""
    events = [(start + i / rgb_hz, 'rgb') for i in range(round(seconds * rgb_hz))]
    events += [(start + 0.013 + i / thermal_hz, 'thermal')
               for i in range(round(seconds * thermal_hz))]
    return [(t, sensor, getattr(world, sensor)(t)) for t, sensor in sorted(events)]


def stamped(events, lag_ms=0.0, transport_ms=None):
    """Frames whose thermal stamps come lag_ms late, in the order in which they arrive.

    They take 10 ms unless `transport_ms` gives (rgb, thermal).
    """
    rgb_ms, thermal_ms = transport_ms or (10.0, 10.0)
    frames = []
    for t, sensor, image in events:
        own, delay = (0.0, rgb_ms) if sensor == 'rgb' else (lag_ms, thermal_ms)
        frames.append((sensor, Frame(
            BASE + round((t * 1000 + own) * MS), sensor, image,
            received_ns=1 + round((t * 1000 + delay + 1000) * MS))))
    return sorted(frames, key=lambda item: item[1].received_ns)


def estimates(estimator, frames):
    """All estimates that frames lead to."""
    return [estimator.estimate for sensor, frame in frames
            if estimator.add(sensor, frame.stamp_ns, frame.image)]
