# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Random crops from several sources of pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from ivif_ros.errors import SourceError
from ivif_ros.training.data.config import SIMULATED, DataConfig
from ivif_ros.training.data.pairs import Cache, Pair, PairFiles
from ivif_ros.types import Array

_PAN = 2
_LEVELS = np.linspace(0, 1, 256, dtype=np.float32)


class Source(Protocol):
    """Pairs of one data set.

    Attributes:
        name: name of the data set.
        moves: whether two moments of a pair differ.
    """

    name: str
    moves: bool

    def __len__(self) -> int:
        """Return the number of pairs."""

    def moments(self, index: int, rng: np.random.Generator, count: int) -> Sequence[Pair]:
        """Decode pair `index` and, where the source moves and `count` is 2, a later moment."""


class Stills:
    """Pairs of images.

    Attributes:
        name: name of the data set.
        moves: False.
    """

    moves = False

    def __init__(self, name: str, files: Sequence[PairFiles], cache: Cache) -> None:
        """Keep the files; nothing is read yet."""
        self.name = name
        self._files = files
        self._cache = cache

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self._files)

    def moments(self, index: int, rng: np.random.Generator, count: int) -> Sequence[Pair]:
        """Decode pair `index`."""
        return [self._cache.load(self._files[index])]

    def preload(self) -> None:
        """Decode the pairs that the cache has room for."""
        for files in self._files:
            if self._cache.full:
                return
            self._cache.load(files)


class Crop(NamedTuple):
    """The same region of both images, at one moment or two.

    Attributes:
        visible: (t, crop, crop) float32 luma in 0..1.
        thermal: (t, crop, crop) float32 in 0..1.
    """

    visible: Array
    thermal: Array


class Sampler:
    """Draws crops of a fixed size from all sources.

    Images smaller than the crop are continued by reflection.

    Args:
        config: shares, mirror images, shrinking and intensities.
        sources: where pairs come from; at least one is not empty.
        crop: side of the crops in pixels.
    """

    def __init__(self, config: DataConfig, sources: Sequence[Source], crop: int) -> None:
        """Work out the shares of the sources.

        Raises:
            SourceError: all sources have share 0.
        """
        self._config = config
        self._crop = crop
        self._sources = sources
        self._shares = shares(config, sources)
        moving = self._shares * [source.moves for source in sources]
        self._moving = moving / moving.sum() if moving.sum() else None
        still = self._shares - moving
        self._still = still / still.sum() if still.sum() else None

    def draw(self, rng: np.random.Generator, count: int) -> Crop:
        """Draw one crop.

        Args:
            rng: makes all decisions.
            count: number of moments, 1 or 2.
        """
        source = self._sources[self._choose(rng, count)]
        pairs = source.moments(int(rng.integers(len(source))), rng, count)
        high, wide = pairs[0].visible.shape
        side = self._side(rng, min(high, wide))
        top = int(rng.integers(max(high - side, 0) + 1))
        left = int(rng.integers(max(wide - side, 0) + 1))
        places = [(top, left)]
        if count > len(pairs):
            # A camera that stands still never does so quite.
            move = rng.integers(-_PAN, _PAN + 1, 2)
            places.append((int(np.clip(top + move[0], 0, max(high - side, 0))),
                           int(np.clip(left + move[1], 0, max(wide - side, 0)))))
            pairs = [pairs[0]] * count
        elif count > 1:
            places *= count
        mirror = rng.random() < self._config.flip
        changed = rng.random() < self._config.intensity
        planes = []
        for sensor in (0, 1):
            levels = intensity_curve(rng) if changed else _LEVELS
            planes.append(np.stack([
                levels[self._cut(pair[sensor], *place, side, mirror)]
                for pair, place in zip(pairs, places, strict=True)]))
        return Crop(planes[0], planes[1])

    def _choose(self, rng: np.random.Generator, count: int) -> int:
        shares = self._shares
        if count > 1 and self._moving is not None:
            stands = self._still is not None and rng.random() < self._config.stand_still
            shares = self._still if stands and self._still is not None else self._moving
        return int(rng.choice(len(shares), p=shares))

    def _side(self, rng: np.random.Generator, limit: int) -> int:
        """Side of the region in the image, in pixels."""
        if rng.random() < self._config.shrink:
            return max(self._crop, min(round(self._crop * rng.uniform(1, 2)), limit))
        return self._crop

    def _cut(self, plane: Array, top: int, left: int, side: int, mirror: bool) -> Array:
        part = plane[top:top + side, left:left + side]
        if part.shape != (side, side):
            part = np.pad(part, [(0, side - part.shape[0]), (0, side - part.shape[1])],
                          'symmetric')
        if side != self._crop:
            part = np.asarray(cv2.resize(part, (self._crop, self._crop),
                                         interpolation=cv2.INTER_AREA))
        return part[:, ::-1] if mirror else part


def shares(config: DataConfig, sources: Sequence[Source]) -> Array:
    """Share of each source in the samples.

    A data set weighs `config.share`, else the square root of its number of pairs (divided by the
    sum of these roots): a large one brings more, but does not drown the small ones.

    Returns:
        (n,) float64, sum 1.

    Raises:
        SourceError: all are 0.
    """
    sizes: Counter[str] = Counter()
    for source in sources:
        sizes[source.name] += len(source)
    roots = sum(size ** 0.5 for name, size in sizes.items() if name != SIMULATED)
    weights = np.array([
        config.share.get(source.name, sizes[source.name] ** 0.5 / roots)
        * len(source) / sizes[source.name]
        for source in sources if source.name != SIMULATED])
    if weights.sum() > 0:
        weights /= weights.sum()
    elif not config.simulated:
        raise SourceError('no data set has a share in the training data: look at data.share')
    total = [config.simulated if source.name == SIMULATED else 0.0 for source in sources]
    rest = iter(weights * (1 - config.simulated))
    result = np.array([share if source.name == SIMULATED else next(rest)
                       for share, source in zip(total, sources, strict=True)])
    result /= result.sum()
    return result


def intensity_curve(rng: np.random.Generator) -> Array:
    """Another exposure of the same scene: gamma 0.75 to 1.33 and contrast 0.75 to 1.1.

    Returns:
        (256,) float32, rising, 0..1: output for each 8-bit level.
    """
    gamma = np.exp(rng.uniform(-0.29, 0.29))
    contrast = rng.uniform(0.75, 1.1)
    pivot = rng.uniform(0.2, 0.6)
    curve = pivot + (_LEVELS ** gamma - pivot) * contrast
    clipped: Array = np.clip(curve, 0, 1).astype(np.float32)
    return clipped
