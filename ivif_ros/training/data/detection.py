# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Batches for the detector: crops of labelled pairs, degraded, then seen as one of several views.

Each crop is shown as the fused image, or as one camera alone, so that one detector serves while
both cameras work and when either is lost (modality dropout). Degradations come before the fusion,
as they do on the robot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ivif_ros.errors import ParameterError
from ivif_ros.training.data.config import SIMULATED, DataConfig
from ivif_ros.training.data.cutouts import Cutouts, frame_number
from ivif_ros.training.data.degrade import Degrader
from ivif_ros.training.data.labelled import LabelledPair, LabelledSource, labelled_datasets
from ivif_ros.training.data.labelled_streets import LabelledStreets, labelled_instant
from ivif_ros.training.data.loader import check_order, in_order
from ivif_ros.training.data.pairs import find_datasets, list_pairs
from ivif_ros.training.data.splits import Split, known_datasets, split_of
from ivif_ros.training.data.views import PairViews
from ivif_ros.training.labelled_batch import Targets
from ivif_ros.types import Array

WORKING_SIDE = 640
"""Longer side of whole images as the detector sees them at run time (detection.image_size)."""
PADDING = 114
"""Grey level around images that do not fill the input, as ultralytics has it."""
_LEAST_SHOWN = 0.3
_LEAST_SIDE = 4.0


@dataclass(frozen=True)
class DetectionData:
    """What the batches of the detector are made of. Probabilities are those of a sample.

    Attributes:
        datasets: folders below the root to use, see `DataConfig.datasets`.
        labels: folder of pseudo-labels (`python -m ivif_ros.training.pseudo_labels`), or none.
        cutouts: folder or archive of cut-outs to paste (`data/cutouts.py`), or none.
        share: data set -> relative share of the samples; where none is given, it follows the
            square root of the number of pairs.
        simulated: share of the samples that the simulator renders, of all samples.
        simulated_scenes: streets that are rendered; each takes some seconds, once.
        paste: probability of pasting one to `paste_most` cut-outs.
        paste_most: most cut-outs that are pasted.
        rgb: probability of the RGB image alone, the thermal camera being lost.
        thermal: probability of the thermal image alone, the RGB camera being lost.
        average: probability of the mean of both. The rest of the samples are fused.
        fusion_weights: weights of the fusion network, empty for those of the package.
        smallest: least size of objects, relative to that at run time.
        largest: most size of objects, relative to that at run time.
        focus: probability of a crop around an object, of any class that is there alike, instead of
            anywhere.
        flip: probability of a mirror image, left for right.
        cache_mb: memory for decoded images in MB; beyond it, files are decoded again.
        degradations: probabilities of the degradations; only these are used of it.
    """

    datasets: tuple[str, ...] = ()
    labels: str = ''
    cutouts: str = ''
    share: dict[str, float] = field(default_factory=dict)
    simulated: float = 0.2
    simulated_scenes: int = 12
    paste: float = 0.35
    paste_most: int = 4
    rgb: float = 0.2
    thermal: float = 0.2
    average: float = 0.0
    fusion_weights: str = ''
    smallest: float = 0.55
    largest: float = 1.7
    focus: float = 0.6
    flip: float = 0.5
    cache_mb: int = 1000
    degradations: DataConfig = field(default_factory=lambda: DataConfig(
        degradation=1.5, low_light=0.1, dead=0.0))

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ParameterError: a setting lies outside its range.
        """
        for item in fields(self):
            value, sizes = getattr(self, item.name), item.name in ('smallest', 'largest')
            if isinstance(value, float) and not 0 <= value <= (4 if sizes else 1):
                raise ParameterError(
                    f'data.{item.name} is {value}, expected 0 to {4 if sizes else 1}')
        if not 0 < self.smallest <= self.largest:
            raise ParameterError(f'data.smallest is {self.smallest}, expected more than 0 and at '
                                 f'most data.largest ({self.largest})')
        if self.rgb + self.thermal + self.average > 1:
            raise ParameterError('data.rgb, data.thermal and data.average add up to more than 1')
        for name in ('simulated_scenes', 'paste_most'):
            if getattr(self, name) < 1:
                raise ParameterError(f'data.{name} is {getattr(self, name)}, expected 1 or more')


@dataclass(frozen=True, eq=False)
class DetectionBatch:
    """Images and the objects in them, on one device.

    Attributes:
        images: (n, 3, side, side) float32 RGB in 0..1.
        targets: the objects in them.
    """

    images: Tensor
    targets: Targets

    def to(self, device: torch.device | str) -> DetectionBatch:
        """Return the batch on a device."""
        return DetectionBatch(self.images.to(device, non_blocking=True), self.targets.to(device))


def make_detection_loader(data: DetectionData, root: Path, split: Split, batch_size: int, side: int,
                          seed: int, start_step: int, rank: int, world: int,
                          workers: int) -> Iterator[DetectionBatch]:
    """Yield batches for ever, from step `start_step` on; see `ivif_ros.training.data.loader`.

    Args:
        data: what the batches are made of.
        root: folder of data sets, or one of them.
        split: which pairs.
        batch_size: images in a batch, of this process.
        side: width and height of the images in pixels.
        seed: chooses the sequence of batches.
        start_step: number of the first batch.
        rank: number of this process among `world`.
        world: number of processes that train together.
        workers: processes that prepare batches ahead; 0 prepares them when asked for.

    Raises:
        ParameterError: an argument out of range.
        SourceError: data that are missing or cannot be read.
    """
    check_order(batch_size, seed, start_step, rank, world, workers)
    sources: list[LabelledSource] = [*labelled_datasets(
        root, split, data.datasets, Path(data.labels) if data.labels else None, data.cache_mb,
        hide_doubt=True)]
    if data.simulated:
        sources.append(LabelledStreets(data.simulated_scenes, split, labelled_instant))
    cutouts = Cutouts(Path(data.cutouts), unseen_frames(root)) if data.cutouts else None
    if workers:
        for source in sources:    # forked processes share what is decoded before
            for index in range(len(source)):
                source[index]
    sampler = DetectionSampler(data, sources, cutouts, side)
    return in_order(_Batches(sampler, batch_size, (seed, rank)), [], start_step, workers)


def unseen_frames(root: Path) -> frozenset[int]:
    """Numbers of the FLIR ADAS frames below a folder that are not trained on."""
    numbers = set()
    for name, folder in find_datasets(root).items():
        if name in known_datasets():
            numbers |= {frame_number(f'train_{files.stem[-5:]}_0')
                        for files in list_pairs(name, folder)
                        if files.stem.startswith('FLIR_') and split_of(name, files.stem) != 'train'}
    return frozenset(number for number in numbers if number is not None)


class DetectionSampler:
    """Draws crops of a fixed size and shows them as one of the views.

    Args:
        data: probabilities.
        sources: labelled pairs; at least one.
        cutouts: what is pasted, or None.
        side: width and height of the crops in pixels.
    """

    def __init__(self, data: DetectionData, sources: Sequence[LabelledSource],
                 cutouts: Cutouts | None, side: int) -> None:
        """Work out the shares of the sources.

        Raises:
            ParameterError: all sources have share 0, or a side that the network does not take.
        """
        if side < 64 or side % 32:
            raise ParameterError(f'crop is {side}, expected a multiple of 32 from 64 on')
        self._data, self._sources, self._cutouts, self._side = data, sources, cutouts, side
        self._shares = _shares(data, sources)
        self._degrader = Degrader(data.degradations)
        self._views = PairViews(weights=data.fusion_weights)

    def draw(self, rng: np.random.Generator, noise: torch.Generator) -> tuple[Array, LabelledPair]:
        """Draw one crop.

        Args:
            rng: makes all decisions.
            noise: decides what degradations look like.

        Returns:
            The view, (side, side, 3) uint8 BGR, and the crop that it shows, before degradation.
        """
        data = self._data
        source = self._sources[int(rng.choice(len(self._shares), p=self._shares))]
        pair = source[int(rng.integers(len(source)))]
        zoom = float(np.exp(rng.uniform(np.log(data.smallest), np.log(data.largest))))
        crop = self._cut(pair, zoom, rng)
        if self._cutouts is not None and rng.random() < data.paste:
            # A frame of the camera that the cut-outs are from is about as wide as our input.
            crop = self._cutouts.paste(crop, int(rng.integers(1, data.paste_most + 1)), zoom, rng)
        if rng.random() < data.flip:
            crop = mirrored(crop)
        view = self._view(rng)
        # The colours are three moments of one scene: lamps and smoke are the same in all of them.
        colours = torch.from_numpy(crop.visible).permute(2, 0, 1).float() / 255
        warmth = torch.from_numpy(crop.thermal)[None].float() / 255
        seen = self._degrader.apply(colours, warmth, rng, noise)
        visible, thermal = (np.rint(planes.numpy() * 255).astype(np.uint8)
                            for planes in (seen.visible, seen.thermal))
        image = self._views.make(view, np.ascontiguousarray(visible.transpose(1, 2, 0)), thermal[0])
        return image, crop

    def _view(self, rng: np.random.Generator) -> str:
        data, luck = self._data, rng.random()
        for name, share in (('rgb', data.rgb), ('thermal', data.thermal),
                            ('average', data.average)):
            if luck < share:
                return name
            luck -= share
        return 'fused'

    def _cut(self, pair: LabelledPair, zoom: float, rng: np.random.Generator) -> LabelledPair:
        """Resize a pair to `zoom` times its size at run time and cut a square out of it."""
        high, wide = pair.thermal.shape
        scale = zoom * WORKING_SIDE / max(high, wide)
        reach = self._side / scale
        size = np.array([wide, high])
        # Where the image is smaller than the crop, it lies somewhere in it.
        low, most = np.minimum(0, size - reach), np.maximum(0, size - reach)
        if len(pair.boxes) and rng.random() < self._data.focus:
            kind = rng.choice(np.unique(pair.class_ids))
            box = pair.boxes[rng.choice(np.flatnonzero(pair.class_ids == kind))]
            corner = (box[:2] + box[2:]) / 2 - reach * rng.uniform(0.2, 0.8, 2)
            x, y = np.clip(corner, low, most)
        else:
            x, y = rng.uniform(low, most)
        return cut_out(pair, x, y, scale, self._side)


def cut_out(pair: LabelledPair, x: float, y: float, scale: float, side: int) -> LabelledPair:
    """Cut a square out of a pair.

    Args:
        pair: images and boxes.
        x: left edge of the square, in pixels from the outer edge of the first one.
        y: its upper edge.
        scale: pixels of the crop for one of the pair.
        side: width and height of the crop in pixels.

    Returns:
        The crop, PADDING outside the images, with the boxes of which enough is inside.
    """
    # Warps count from the centre of the first pixel: an edge at e is a centre at e - 0.5.
    matrix = np.array([[scale, 0, (0.5 - x) * scale - 0.5], [0, scale, (0.5 - y) * scale - 0.5]])
    visible, thermal = (np.asarray(cv2.warpAffine(
        image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT,
        borderValue=(PADDING,) * 3)) for image in (pair.visible, pair.thermal))
    moved = (pair.boxes - np.array([x, y, x, y])) * scale
    inside = moved.clip(0, side)
    sides = inside[:, 2:] - inside[:, :2]
    whole = np.maximum((moved[:, 2:] - moved[:, :2]).prod(1), 1e-6)
    keep = (sides.min(1, initial=np.inf) >= _LEAST_SIDE) & (sides.prod(1) / whole >= _LEAST_SHOWN)
    return LabelledPair(visible, thermal, inside[keep].astype(np.float32), pair.class_ids[keep])


def mirrored(pair: LabelledPair) -> LabelledPair:
    """Swap left and right."""
    boxes = pair.boxes.copy()
    boxes[:, [0, 2]] = pair.thermal.shape[1] - boxes[:, [2, 0]]
    return LabelledPair(np.ascontiguousarray(pair.visible[:, ::-1]),
                        np.ascontiguousarray(pair.thermal[:, ::-1]), boxes, pair.class_ids)


def _shares(data: DetectionData, sources: Sequence[LabelledSource]) -> Array:
    """Share of each source in the samples, (n,) float64 with sum 1.

    Raises:
        ParameterError: all are 0, or a share is given to a data set that is not known.
    """
    names = [source.name for source in sources]
    for name in data.share:
        if name not in names and name not in known_datasets():
            raise ParameterError(f"data.share names '{name}', expected one of {', '.join(names)}")
    real = np.array([0.0 if source.name == SIMULATED
                     else data.share.get(source.name, len(source) ** 0.5) for source in sources])
    painted = np.array([float(source.name == SIMULATED) for source in sources]) * data.simulated
    if real.sum():
        real *= (1 - painted.sum()) / real.sum()
    total: Array = real + painted
    if not total.sum():
        raise ParameterError('no data set has a share in the training data: look at data.share')
    total /= total.sum()
    return total


class _Batches(Dataset[DetectionBatch]):
    """Batch by number."""

    def __init__(self, sampler: DetectionSampler, batch_size: int, seed: tuple[int, int]) -> None:
        self._sampler, self._batch_size, self._seed = sampler, batch_size, seed

    def __getitem__(self, step: int) -> DetectionBatch:
        rng = np.random.default_rng((*self._seed, step))
        noise = torch.Generator().manual_seed(int(rng.integers(2 ** 62)))
        drawn = [self._sampler.draw(rng, noise) for _ in range(self._batch_size)]
        images = np.stack([image[..., ::-1].transpose(2, 0, 1) for image, _ in drawn])
        counts = [len(crop.boxes) for _, crop in drawn]
        return DetectionBatch(torch.from_numpy(images).float() / 255, Targets(
            torch.from_numpy(np.concatenate([crop.boxes for _, crop in drawn])),
            torch.from_numpy(np.concatenate([crop.class_ids for _, crop in drawn])),
            torch.from_numpy(np.repeat(np.arange(len(drawn)), counts))))
