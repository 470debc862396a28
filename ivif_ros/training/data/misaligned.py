# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Batches for registration: pairs that are deformed by known maps, with the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ivif_ros.registration.network import COARSE, FINE
from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.data.deformations import NEAR, REST, WIDE, BackwardMap, mapped, sampled
from ivif_ros.training.data.degrade import Degrader
from ivif_ros.training.data.loader import check_order, in_order, make_sources
from ivif_ros.training.data.photometric import attack_thermal, attack_visible
from ivif_ros.training.data.rigs import RigPair, recorded_rigs, registered, simulated_rigs
from ivif_ros.training.data.sampling import Source, shares
from ivif_ros.training.data.splits import SPLITS, check_split
from ivif_ros.types import Array, Size

SIZE: Size = (320, 240)
"""Width and height of working images."""
_RECORDED_SHARE = 0.12
_SIMULATED_SHARE = 0.18
_WIDE_SHARE = 0.4
_STRANGE_SHARE = 0.04
_REST_SHARE = 0.7
_LAYERS = 0.5
"""Probability that objects at another distance are put into a pair."""


@dataclass(frozen=True, eq=False)
class MisalignedBatch:
    """Pairs of working images of n x h x w pixels; everything on one device.

    Attributes:
        visible: (n, 1, h, w) float32 luma in 0..1.
        far: (n, 1, h, w) float32 thermal image in 0..1, as far off as a first guess may be.
        near: (n, 1, h, w) the same as after a first estimate.
        far_target: (n, 2, h / 8, w / 8) float32, pixel x, y of `far` that shows what is in the
            middle of each 8x8 cell of `visible`.
        far_valid: (n, 1, h / 8, w / 8) bool, where that is in the image and not hidden.
        near_flow: (n, 2, h / 4, w / 4) float32, pixel of `near` less that of `visible` in the
            middle of each 4x4 cell.
        near_valid: (n, 1, h / 4, w / 4) bool.
    """

    visible: Tensor
    far: Tensor
    near: Tensor
    far_target: Tensor
    far_valid: Tensor
    near_flow: Tensor
    near_valid: Tensor

    def to(self, device: torch.device | str) -> MisalignedBatch:
        """Return the batch on a device."""
        return MisalignedBatch(*(
            getattr(self, item.name).to(device, non_blocking=True) for item in fields(self)))


def make_misaligned_loader(config: DataConfig, root: Path | str, split: str = 'train',
                           batch_size: int = 8, seed: int = 0, start_step: int = 0, rank: int = 0,
                           world: int = 1, workers: int = 0) -> Iterator[MisalignedBatch]:
    """Yield batches for ever, from step `start_step` on.

    Batch k depends on the configuration, the files, `seed`, `split`, k and `rank` only.

    Args:
        config: data sets with registered pairs, their shares, and the degradations;
            `simulated_scenes` is the number of simulated rigs.
        root: folder of data sets; recorded pairs of `roadscene_raw` in it are used as well.
        split: 'train', 'validation' or 'test'.
        batch_size: samples in a batch, of this process.
        seed: chooses the sequence of batches.
        start_step: number of the first batch.
        rank: number of this process among `world`.
        world: number of processes that train together.
        workers: processes that prepare batches ahead; 0 prepares them when asked for.

    Returns:
        The batches, on the CPU.

    Raises:
        ParameterError: an argument out of range.
        SourceError: data that are missing or cannot be read.
    """
    check_order(batch_size, seed, start_step, rank, world, workers)
    checked = check_split(split)
    sources = make_sources(config, root, checked)
    scenes = Scenes(config, sources, recorded_rigs(Path(root), checked),
                    simulated_rigs(config.simulated_scenes, checked))
    batches = _Batches(SampleMaker(config, scenes), batch_size,
                       (seed, SPLITS.index(checked), rank))
    return in_order(batches, sources, start_step, workers)


class _Batches(Dataset[MisalignedBatch]):
    """Batch by number."""

    def __init__(self, maker: SampleMaker, batch_size: int, seed: tuple[int, int, int]) -> None:
        self._maker = maker
        self._batch_size = batch_size
        self._seed = seed

    def __getitem__(self, step: int) -> MisalignedBatch:
        rng = np.random.default_rng((*self._seed, step))
        samples = [self._maker.sample(rng) for _ in range(self._batch_size)]
        return MisalignedBatch(*(torch.from_numpy(np.stack(plane))
                                 for plane in zip(*samples, strict=True)))


class Scenes:
    """Draws pairs from registered data sets, recorded rigs and simulated rigs."""

    def __init__(self, config: DataConfig, sources: list[Source],
                 recorded: list[RigPair], simulated: tuple[RigPair, ...]) -> None:
        """Keep the sources; see `make_misaligned_loader`."""
        self._sources = sources
        self._shares = shares(config, sources)
        self._recorded = recorded
        self._simulated = simulated

    def draw(self, rng: np.random.Generator) -> RigPair:
        """Draw a pair of any kind."""
        luck = rng.random()
        if luck < _RECORDED_SHARE and self._recorded:
            return self._recorded[int(rng.integers(len(self._recorded)))]
        if luck > 1 - _SIMULATED_SHARE and self._simulated:
            return self._simulated[int(rng.integers(len(self._simulated)))]
        return self.draw_registered(rng)

    def draw_registered(self, rng: np.random.Generator) -> RigPair:
        """Draw a registered pair."""
        source = self._sources[int(rng.choice(len(self._shares), p=self._shares))]
        return registered(source.moments(int(rng.integers(len(source))), rng, 1)[0])


class _Layer(NamedTuple):
    """An object in front of the scene: the same images at a distance of its own.

    Attributes:
        mask: (h, w) float32 in 0..1, on the RGB grid.
        visible: (h, w) uint8.
        thermal: (h, w) uint8 on the RGB grid.
        parallax: (2,) pixels by which it is shifted against the scene.
    """

    mask: Array
    visible: Array
    thermal: Array
    parallax: Array


class SampleMaker:
    """Makes samples: view, deformations, layers, attacks, truth."""

    def __init__(self, config: DataConfig, scenes: Scenes) -> None:
        """Keep the settings."""
        self._flip = config.flip
        self._scenes = scenes
        self._degrader = Degrader(config)

    def sample(self, rng: np.random.Generator) -> tuple[Array, ...]:
        """Make one sample: the fields of MisalignedBatch without the first axis."""
        pair = self._scenes.draw(rng)
        wide = rng.random() < _WIDE_SHARE
        zoom = float(np.exp(rng.uniform(np.log(0.75), np.log(2.6)))) if wide else 1.0
        view = self._view(pair, rng, zoom)
        far = (WIDE if wide else NEAR).draw(SIZE, rng, zoom=zoom)
        if rng.random() < _REST_SHARE:
            near = REST.draw(SIZE, rng, strength=float(np.exp(rng.uniform(np.log(0.2), 0.3))))
        else:
            near = NEAR.draw(SIZE, rng, strength=float(np.exp(rng.uniform(np.log(0.1), -0.5))))
        layers = self._layers(rng)
        visible = _sampled(pair.visible, _planes(view))
        for layer in layers:
            visible = _pasted(visible, layer.visible, layer.mask)
        strange = rng.random() < _STRANGE_SHARE
        shown = self._scenes.draw(rng) if strange else pair
        thermal, targets, valid = [], [], []
        for deformation, cell in ((far, COARSE), (near, FINE)):
            thermal.append(_thermal(shown, view, deformation, layers, rng))
            target, seen = _truth(pair, view, deformation, layers, cell)
            targets.append(target)
            valid.append(seen & (not strange))
        visible, thermal = self._attacked(visible, thermal, rng)
        near_flow = targets[1] - _centres(FINE).transpose(2, 0, 1).astype(np.float32)
        return (visible[None], thermal[0][None], thermal[1][None],
                np.nan_to_num(targets[0]), valid[0][None], np.nan_to_num(near_flow), valid[1][None])

    def _view(self, pair: RigPair, rng: np.random.Generator, zoom: float) -> Array:
        """(3, 3) working pixel -> RGB pixel: a part of the image, perhaps mirrored and turned."""
        height, width = pair.visible.shape
        share = rng.uniform(0.55, 1.0) / max(zoom, 1.0) ** 0.7
        wide = width * max(share, 0.4)
        high = min(wide * 0.75 * np.exp(rng.normal(0, 0.07)), height)
        left = rng.uniform(0, width - wide)
        top = rng.uniform(0, height - high)
        across, down = wide / SIZE[0], high / SIZE[1]
        angle = np.radians(rng.normal(0, 1.5))
        mirror = -1.0 if rng.random() < self._flip else 1.0
        centred = np.array([[1, 0, -(SIZE[0] - 1) / 2], [0, 1, -(SIZE[1] - 1) / 2], [0, 0, 1.0]])
        turned = np.array([[np.cos(angle) * mirror, -np.sin(angle), 0],
                           [np.sin(angle) * mirror, np.cos(angle), 0], [0, 0, 1.0]])
        placed = np.array([[across, 0, left + (wide - 1) / 2], [0, down, top + (high - 1) / 2],
                           [0, 0, 1.0]])
        return np.asarray(placed @ turned @ centred)

    def _layers(self, rng: np.random.Generator) -> list[_Layer]:
        """Draw objects: parts of other pairs, upright ellipses, boxes and trunks."""
        if rng.random() > _LAYERS:
            return []
        width, height = SIZE
        layers = []
        for _ in range(rng.integers(1, 4)):
            other = self._scenes.draw_registered(rng)
            view = _planes(self._view(other, rng, 1.0))
            size = width * rng.uniform(0.03, 0.2) * np.array([1, rng.uniform(0.6, 3.0)])
            x, y = rng.uniform(0, width), rng.uniform(0.2 * height, height)
            power = rng.choice([2, 4, 12])
            across = np.abs((np.arange(width) - x) / size[0]) ** power
            down = np.abs((np.arange(height) - y) / size[1]) ** power
            radius = (across + down[:, None]) ** (1 / power)
            mask = np.clip((1 - radius) * size.min() + 0.5, 0, 1).astype(np.float32)
            parallax = rng.normal(0, 1, 2) * [5.0, 2.0]
            layers.append(_Layer(mask, _sampled(other.visible, view),
                                 _sampled(other.thermal, view), parallax))
        return layers

    def _attacked(self, visible: Array, thermal: list[Array], rng: np.random.Generator) -> tuple[
            Array, list[Array]]:
        noise = torch.Generator().manual_seed(int(rng.integers(2 ** 62)))
        seen = torch.from_numpy(attack_visible(visible, rng))[None]
        # Both thermal images are of one camera, but need not be of one moment.
        state = rng.bit_generator.state
        warm = []
        for image in thermal:
            rng.bit_generator.state = state
            warm.append(torch.from_numpy(attack_thermal(image, rng))[None])
        done = self._degrader.apply(seen, torch.cat(warm), rng, noise)
        return done.visible[0].numpy(), [plane.numpy() for plane in done.thermal]


def _thermal(pair: RigPair, view: Array, deformation: BackwardMap, layers: list[_Layer],
             rng: np.random.Generator) -> Array:
    """Make the thermal image that a deformation belongs to, (h, w) uint8."""
    x, y = deformation.planes()
    grid = np.stack([x, y], axis=-1)
    place = mapped(pair.homography @ view, grid)
    border = cv2.BORDER_CONSTANT if rng.random() < 0.5 else cv2.BORDER_REFLECT
    image = _shrunk(pair.thermal, place, border)
    for layer in layers:
        # A layer stands where the scene is, shifted by its parallax.
        at_x, at_y = x - np.float32(layer.parallax[0]), y - np.float32(layer.parallax[1])
        mask = cv2.remap(layer.mask, at_x, at_y, cv2.INTER_LINEAR)
        image = _pasted(image, cv2.remap(layer.thermal, at_x, at_y, cv2.INTER_LINEAR), mask)
    return image


def _truth(pair: RigPair, view: Array, deformation: BackwardMap, layers: list[_Layer],
           cell: int) -> tuple[Array, Array]:
    """Thermal pixel of the middle of each cell (2, rows, columns), and where it is known."""
    centres = _centres(cell)
    scene = centres
    if pair.truth is not None:
        place = mapped(view, centres)
        true = sampled(pair.truth, place, cv2.INTER_NEAREST, outside=np.nan)
        scene = mapped(np.linalg.inv(pair.homography @ view), true)
    points = scene.astype(np.float32)
    hidden = np.zeros(centres.shape[:2], bool)
    owned = np.zeros(centres.shape[:2], bool)
    for layer in layers:
        mine = sampled(layer.mask, centres) > 0.5
        # Where the layer is in the thermal image, what is behind it cannot be seen.
        behind = sampled(layer.mask, np.nan_to_num(points - layer.parallax, nan=-1e3)) > 0.5
        hidden = (hidden | behind) & ~mine
        points = np.where(mine[..., None], centres + layer.parallax, points).astype(np.float32)
        owned |= mine
    known = np.isfinite(points).all(axis=-1) & ~hidden
    target = deformation.inverse(np.nan_to_num(points, nan=-1e3))
    inside = ((target >= 0) & (target <= np.array(SIZE) - 1.0)).all(axis=-1)
    # A point that is shown must be one that the source images have.
    height, width = pair.visible.shape
    source = mapped(view, centres)
    inside &= owned | ((source >= 0) & (source <= np.array([width, height]) - 1.0)).all(axis=-1)
    high, wide = pair.thermal.shape
    source = mapped(pair.homography @ view, np.nan_to_num(points))
    inside &= owned | ((source >= 0) & (source <= np.array([wide, high]) - 1.0)).all(axis=-1)
    return target.transpose(2, 0, 1).astype(np.float32), known & inside


def _centres(cell: int) -> Array:
    """Middle of each cell, (rows, columns, 2) float64 x, y in working pixels."""
    x = np.arange(SIZE[0] // cell) * cell + (cell - 1) / 2
    y = np.arange(SIZE[1] // cell) * cell + (cell - 1) / 2
    return np.stack(np.meshgrid(x, y), axis=-1)


def _planes(homography: Array) -> Array:
    x, y = np.meshgrid(np.arange(SIZE[0], dtype=np.float32), np.arange(SIZE[1], dtype=np.float32))
    return mapped(homography, np.stack([x, y], axis=-1))


def _sampled(image: Array, place: Array) -> Array:
    return _shrunk(image, place, cv2.BORDER_REFLECT)


def _shrunk(image: Array, place: Array, border: int) -> Array:
    """Sample an image, smoothed where samples are far apart, (h, w) uint8."""
    apart = float(np.abs(np.diff(place[::40, ::40], axis=1)).max(axis=2).mean()) / 40
    if apart > 1.4:
        image = cv2.GaussianBlur(image, (0, 0), 0.45 * apart)
    return sampled(image, place, border=border)


def _pasted(image: Array, layer: Array, mask: Array) -> Array:
    mixed = image + (layer.astype(np.float32) - image) * mask
    return np.asarray(mixed.round().astype(np.uint8))
