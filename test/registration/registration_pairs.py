# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairs with known truth that no training has seen, and how far a deformation is from it."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from ivif_ros.parameters import ThermalParameters
from ivif_ros.registration import Calibration, calibrated_deformation, dense_map
from ivif_ros.registration.maps import thermal_scale
from ivif_ros.simulation import RigConfig, SimulatedRig
from ivif_ros.thermal import ThermalNormaliser
from ivif_ros.training.data.splits import split_of
from ivif_ros.types import Array, Deformation

HOMOGRAPHY = np.array([[1.03, 0.02, -11.0], [-0.015, 1.02, 7.0], [1e-5, 2e-5, 1.0]])
"""RGB -> thermal at 640x480: 12 px on average."""
SIZE = 640, 480
UNSEEN_SEED = 210_000


@dataclass(frozen=True)
class Pair:
    """Images, true thermal pixel of each RGB pixel (NaN where unknown), and calibration if any."""

    rgb: Array
    thermal: Array
    truth: Array
    calibration: Calibration | None = None
    objects: Array | None = None

    @property
    def sizes(self):
        """Width and height of both images."""
        return self.rgb.shape[1::-1], self.thermal.shape[1::-1]

    @property
    def stretched(self):
        """The first guess where nothing is known."""
        return Deformation.stretch(*self.sizes)

    def calibrated(self):
        """The first guess from the calibration."""
        return calibrated_deformation(self.calibration, *self.sizes, 15.0)

    def unit(self):
        """Thermal pixels per pixel of an RGB image 640 wide."""
        like = self.stretched if self.calibration is None else self.calibrated()
        return thermal_scale(like) * self.rgb.shape[1] / 640.0

    def errors(self, deformation):
        """End-point error of each pixel at 640 px width, NaN where the truth is not known."""
        apart = np.linalg.norm(dense_map(deformation) - self.truth, axis=2) / self.unit()
        width, height = self.sizes[1]
        with np.errstate(invalid='ignore'):
            inside = ((self.truth >= 0) & (self.truth <= (width - 1, height - 1))).all(axis=2)
        return np.where(inside, apart, np.nan)

    def error(self, deformation, where=None):
        """Mean end-point error at 640 px width."""
        errors = self.errors(deformation)
        return float(np.nanmean(errors if where is None else errors[where]))


def stems(folder, dataset, count):
    """Up to count unseen stems, spread evenly."""
    names = sorted(path.stem for path in (folder / 'thermal').iterdir())
    names = [name for name in names if split_of(dataset, name) == 'test']
    return [names[i * len(names) // count] for i in range(min(count, len(names)))]


def read(folder, stem, size=None):
    """BGR and grey image of a pair, resized where a size is given."""
    images = [cv2.imread(str(next((folder / kind).glob(f'{stem}.*'))), flag)
              for kind, flag in (('rgb', cv2.IMREAD_COLOR), ('thermal', cv2.IMREAD_GRAYSCALE))]
    if size is not None:
        images = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images]
    return images


def aligned(shared_data, dataset, count, size=SIZE):
    """Aligned pairs of real images."""
    folder = shared_data / dataset
    return [Pair(*read(folder, stem, size), dense_map(Deformation.stretch(size, size)))
            for stem in stems(folder, dataset, count)]


def deformed(pair, homography=HOMOGRAPHY, bend_px=0.0):
    """Move the thermal image of an aligned pair: first a smooth bend, then a homography."""
    size = pair.sizes[1]
    x, y = np.meshgrid(np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32))
    bend = bend_px * np.stack([np.sin(y / 70) * np.cos(x / 110), np.cos(x / 90)], axis=-1)
    bent = np.stack([x, y], axis=-1) + bend.astype(np.float32)
    truth = cv2.perspectiveTransform(bent.reshape(-1, 1, 2), homography).reshape(bent.shape)
    # Where thermal pixel q came from: p + bend(p) = H^-1 q, by fixed point iteration.
    target = cv2.perspectiveTransform(
        np.stack([x, y], axis=-1).reshape(-1, 1, 2), np.linalg.inv(homography)).reshape(bent.shape)
    source = target
    for _ in range(20):
        source = target - cv2.remap(bend.astype(np.float32), source, None, cv2.INTER_LINEAR,
                                    borderMode=cv2.BORDER_REPLICATE)
    thermal = cv2.remap(pair.thermal, source.astype(np.float32), None, cv2.INTER_CUBIC,
                        borderMode=cv2.BORDER_REFLECT_101)
    return Pair(pair.rgb, thermal, truth)


@cache
def simulated(seed, lighting, **options):
    """A pair of a simulated rig with its calibration, people and vehicles."""
    rig = SimulatedRig(RigConfig(seed=UNSEEN_SEED + seed, lighting=lighting, **options))
    t = 3.0
    thermal = ThermalNormaliser(ThermalParameters()).apply(rig.render_thermal(t), 0)
    boxes = rig.true_boxes(t)
    shown = np.zeros(rig.config.rgb_size[::-1], bool)
    for x0, y0, x1, y1 in np.clip(np.rint(boxes.boxes), 0, None).astype(int):
        shown[y0:y1, x0:x1] = True
    return Pair(rig.render_rgb(t), thermal, rig.true_map(t),
                Calibration(rig.rgb_camera, rig.thermal_camera, rig.thermal_from_rgb), shown)
