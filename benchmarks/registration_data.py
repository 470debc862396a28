# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairs with a known deformation that no training has seen, for measuring registration."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from simulated_truth import UNSEEN_SEED, objects

from ivif_ros.parameters import RegistrationParameters, ThermalParameters
from ivif_ros.registration import Calibration, calibrated_deformation, dense_map
from ivif_ros.registration.maps import thermal_scale
from ivif_ros.simulation import RigConfig, SimulatedRig
from ivif_ros.simulation.config import LIGHTINGS
from ivif_ros.thermal import ThermalNormaliser
from ivif_ros.training.data.splits import split_of
from ivif_ros.types import Array, Deformation, Size

REFERENCE_WIDTH = 640.0
"""Errors are given in pixels of an RGB image of this width."""
STRENGTHS = {'strong': 16.0, 'mild': 5.0, 'aligned': 0.0}
"""Mean displacement of the aligned pairs, in such pixels."""
ALIGNED = ('msrs', 'roadscene')
RIG = 'roadscene_raw'
STREETS = 24
"""Simulated streets where no number of pairs is asked for."""
_INSTANTS_S = (2.0, 6.5)
_SIZE: Size = (640, 480)
_ELASTIC = 0.2
_INVERSION_STEPS = 30


@dataclass(frozen=True, eq=False)
class Case:
    """One pair of images, what is known at first, and the truth.

    Attributes:
        name: stem of the files, or the street.
        rgb: (H, W, 3) uint8 BGR.
        thermal: (h, w) uint8.
        initial: first guess.
        truth: (H, W, 2) float32 thermal pixel of each RGB pixel.
        valid: (H, W) bool, where the truth is known and inside the thermal image.
        unit: thermal pixels per pixel of an RGB image REFERENCE_WIDTH wide.
        homography: (3, 3) true global map RGB -> thermal, None where there is none.
        objects: (H, W) bool, people and vehicles, None where they are not known.
        original: (h, w) uint8, the thermal image before it was deformed; None where it was not.
    """

    name: str
    rgb: Array
    thermal: Array
    initial: Deformation
    truth: Array
    valid: Array
    unit: float
    homography: Array | None = None
    objects: Array | None = None
    original: Array | None = None


def stems(folder: Path, dataset: str, count: int) -> list[str]:
    """Names of up to count unseen pairs of a folder, spread evenly over it; 0 for all.

    Args:
        folder: has `rgb/` and `thermal/`.
        dataset: whose list of splits holds.
        count: how many.
    """
    names = sorted(path.stem for path in (folder / 'thermal').iterdir())
    names = [name for name in names if split_of(dataset, name) == 'test']
    if count and count < len(names):
        names = [names[i * len(names) // count] for i in range(count)]
    return names


def read(folder: Path, stem: str) -> tuple[Array, Array]:
    """Colour and thermal image of a pair."""
    images = []
    for kind, flag in (('rgb', cv2.IMREAD_COLOR), ('thermal', cv2.IMREAD_GRAYSCALE)):
        path = next((folder / kind).glob(stem + '.*'))
        images.append(cv2.imread(str(path), flag))
    return images[0], images[1]


def random_deformation(size: Size, mean_px: float, elastic: float,
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


def warped_cases(folder: Path, count: int, mean_px: float) -> Iterator[Case]:
    """Aligned pairs at 640x480 whose thermal image was deformed by a known map, always the same."""
    for stem in stems(folder, folder.name, count):
        rgb, aligned = (cv2.resize(image, _SIZE, interpolation=cv2.INTER_CUBIC)
                        if image.shape[1::-1] != _SIZE else image for image in read(folder, stem))
        rng = np.random.default_rng(zlib.crc32(f'{stem} {mean_px}'.encode()))
        deformation = random_deformation(_SIZE, mean_px * rng.uniform(0.5, 1.5), _ELASTIC, rng)
        thermal = aligned if mean_px == 0 else deform(aligned, deformation)
        case = _case(stem, rgb, thermal, dense_map(deformation), deformation)
        yield case if mean_px == 0 else replace(case, original=aligned)


def raw_cases(folder: Path, count: int) -> Iterator[Case]:
    """Pairs of a real uncalibrated rig with the homographies of `truth.json`."""
    table = json.loads((folder / 'truth.json').read_text(encoding='utf-8'))
    for stem in stems(folder, 'roadscene', count):
        rgb, thermal = read(folder, stem)
        entry = table[stem]
        size = rgb.shape[1], rgb.shape[0]
        to_crop = Deformation.stretch(size, tuple(entry['crop_wh'])).homography
        homography = np.array(entry['H_crop_to_raw']) @ to_crop
        true = Deformation(size, (thermal.shape[1], thermal.shape[0]), homography)
        yield replace(_case(stem, rgb, thermal, dense_map(true), true), homography=true.homography)


def simulated_cases(count: int, calibrated: bool) -> Iterator[Case]:
    """Pairs of simulated rigs: baseline 10 cm, lenses, other mounts and fields of view each time.

    Args:
        count: pairs; 0 for two of each of STREETS streets.
        calibrated: start from the calibration at the default working distance, else from nothing.
    """
    total = count or STREETS * len(_INSTANTS_S)
    for index in range(total):
        street, instant = divmod(index, len(_INSTANTS_S))
        case, guess = _rendered(UNSEEN_SEED + street, _INSTANTS_S[instant])
        yield replace(case, initial=guess) if calibrated else case


@cache
def _rendered(seed: int, t: float) -> tuple[Case, Deformation]:
    """A pair that starts from nothing, and the first guess that its calibration gives."""
    rig = _rig(seed)
    thermal = ThermalNormaliser(ThermalParameters()).apply(rig.render_thermal(t), 0)
    guess = calibrated_deformation(
        Calibration(rig.rgb_camera, rig.thermal_camera, rig.thermal_from_rgb),
        rig.config.rgb_size, rig.config.thermal_size,
        RegistrationParameters().working_distance_m)
    case = _case(f'{rig.config.lighting} {seed} {t:g} s', rig.render_rgb(t), thermal,
                 rig.true_map(t), guess)
    return replace(case, objects=objects(rig, t)), guess


@cache
def _rig(seed: int) -> SimulatedRig:
    rng = np.random.default_rng(seed)
    turn = rng.normal(0, 1.0, 3)
    return SimulatedRig(RigConfig(
        seed=seed, lighting=LIGHTINGS[seed % len(LIGHTINGS)], baseline_m=0.10,
        thermal_fov_deg=float(rng.uniform(45, 60)),
        thermal_rotation_deg=(float(turn[0]), float(turn[1]), float(turn[2]))))


def _case(name: str, rgb: Array, thermal: Array, truth: Array, like: Deformation) -> Case:
    """Make a case that starts from nothing; a deformation near the true one gives the scale."""
    size = thermal.shape[1], thermal.shape[0]
    with np.errstate(invalid='ignore'):
        valid = ((truth >= 0) & (truth <= np.array(size) - 1.0)).all(axis=2)
    return Case(
        name, rgb, thermal, Deformation.stretch((rgb.shape[1], rgb.shape[0]), size), truth, valid,
        thermal_scale(like) * rgb.shape[1] / REFERENCE_WIDTH)
