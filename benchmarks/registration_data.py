# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairs with a known deformation, for measuring registration."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ivif_ros.registration.maps import dense_map
from ivif_ros.types import Array, Deformation

_INVERSION_STEPS = 30


@dataclass(frozen=True, eq=False)
class Case:
    """One pair of images and the truth.

    Attributes:
        name: stem of the files.
        rgb: (H, W, 3) uint8 BGR.
        thermal: (h, w) uint8.
        truth: (H, W, 2) float32 thermal pixel of each RGB pixel.
        valid: (H, W) bool, where the truth is known and inside the thermal image.
    """

    name: str
    rgb: Array
    thermal: Array
    truth: Array
    valid: Array


def stems(folder: Path, count: int) -> list[str]:
    """Names of up to count pairs of a folder, spread evenly over it."""
    names = sorted(path.stem for path in (folder / 'thermal').iterdir())
    if count and count < len(names):
        names = [names[i] for i in np.linspace(0, len(names) - 1, count).astype(int)]
    return names


def read(folder: Path, stem: str) -> tuple[Array, Array]:
    """Colour and thermal image of a pair."""
    images = []
    for kind, flag in (('rgb', cv2.IMREAD_COLOR), ('thermal', cv2.IMREAD_GRAYSCALE)):
        path = next((folder / kind).glob(stem + '.*'))
        images.append(cv2.imread(str(path), flag))
    return images[0], images[1]


def random_deformation(size: tuple[int, int], mean_px: float, elastic: float,
                       rng: np.random.Generator) -> Deformation:
    """A homography and a smooth elastic field of a wanted mean displacement.

    Args:
        size: width, height of both images.
        mean_px: mean displacement in pixels; 0 for none.
        elastic: share of the mean displacement that the elastic field makes up.
        rng: source of randomness.

    Returns:
        The map from RGB pixels to the pixels of the thermal image to be made.
    """
    width, height = size
    flat = Deformation.stretch(size, size)
    if mean_px == 0:
        return flat
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    centre = corners.mean(axis=0)
    angle, zoom = np.radians(rng.normal(0, 2.0)), np.exp(rng.normal(0, 0.04))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = ((corners - centre) @ turn.T * zoom + centre + rng.normal(0, 0.025 * width, 2)
             + rng.normal(0, 0.012 * width, (4, 2)))
    nodes = rng.normal(0, 1, (5, 6, 2)).astype(np.float32)
    grid = cv2.resize(cv2.GaussianBlur(nodes, (0, 0), 0.8), (23, 17), interpolation=cv2.INTER_CUBIC)
    bend = np.linalg.norm(grid, axis=2).mean()
    grid *= elastic * mean_px / bend
    share = 1.0
    for _ in range(8):
        part = corners + share * (moved - corners)
        homography = cv2.getPerspectiveTransform(
            corners.astype(np.float32), part.astype(np.float32))
        result = Deformation(size, size, homography, grid)
        mapped = dense_map(result)[::8, ::8]
        x, y = np.meshgrid(np.arange(0, width, 8), np.arange(0, height, 8))
        mean = np.hypot(mapped[..., 0] - x, mapped[..., 1] - y).mean()
        share *= float(np.clip(mean_px / mean, 0.5, 2.0))
    return result


def deform(thermal: Array, deformation: Deformation) -> Array:
    """Make the thermal image that a deformation maps to, from the aligned one.

    The map is inverted by fixed point iteration; outside the aligned image its mirror image is
    shown, as a real camera would show something there as well.
    """
    width, height = deformation.rgb_size
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    target = np.stack([x, y], axis=-1)
    shift = dense_map(deformation) - target
    back = target.copy()
    for _ in range(_INVERSION_STEPS):
        moved = cv2.remap(shift, back, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        back = target - moved
    return np.asarray(cv2.remap(
        thermal, back, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101))


def warped_cases(folder: Path, count: int, mean_px: float, elastic: float = 0.2) -> Iterator[Case]:
    """Aligned pairs whose thermal image was deformed by a known map; the same ones each time."""
    for stem in stems(folder, count):
        rgb, aligned = read(folder, stem)
        rng = np.random.default_rng(zlib.crc32(f'{stem} {mean_px}'.encode()))
        size = aligned.shape[1], aligned.shape[0]
        deformation = random_deformation(size, mean_px * rng.uniform(0.5, 1.5), elastic, rng)
        truth = dense_map(deformation)
        thermal = aligned if mean_px == 0 else deform(aligned, deformation)
        yield Case(stem, rgb, thermal, truth, _inside(truth, size))


def raw_cases(folder: Path, count: int) -> Iterator[Case]:
    """Pairs of a real uncalibrated rig with the homographies of `truth.json`."""
    table = json.loads((folder / 'truth.json').read_text(encoding='utf-8'))
    for stem in stems(folder, count):
        rgb, thermal = read(folder, stem)
        entry = table[stem]
        size = rgb.shape[1], rgb.shape[0]
        to_crop = Deformation.stretch(size, tuple(entry['crop_wh'])).homography
        homography = np.array(entry['H_crop_to_raw']) @ to_crop
        thermal_size = thermal.shape[1], thermal.shape[0]
        truth = dense_map(Deformation(size, thermal_size, homography))
        yield Case(stem, rgb, thermal, truth, _inside(truth, thermal_size))


def _inside(field: Array, size: tuple[int, int]) -> Array:
    return np.asarray(((field >= 0) & (field <= np.array(size) - 1.0)).all(axis=2))
