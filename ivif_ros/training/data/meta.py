# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Batches for TDFusion: crops of labelled pairs, in an order of meta steps and fusion steps.

An epoch is a number of meta steps, then a number of fusion steps. For the meta steps of each epoch
two disjoint sets are drawn from all pairs; the fusion steps go through all pairs, again and again,
each time in another order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from ivif_ros.errors import ParameterError, SourceError
from ivif_ros.training.data.config import SIMULATED, DataConfig
from ivif_ros.training.data.labelled import LabelledPair, LabelledSource, labelled_datasets
from ivif_ros.training.data.labelled_crops import CropMaker, collate
from ivif_ros.training.data.labelled_streets import LabelledStreets
from ivif_ros.training.data.loader import check_order, in_order
from ivif_ros.training.data.segmented import segmented_instant
from ivif_ros.training.data.splits import Split
from ivif_ros.training.labelled_batch import LabelledBatch, MetaBatch
from ivif_ros.types import Array

_PASS, _META = 0, 1


@dataclass(frozen=True)
class Epoch:
    """The order of the steps of an epoch.

    Attributes:
        meta_steps: M, meta steps of an epoch, and the size of its meta-train and meta-test set
            where there are at least 2 M pairs; 0 for none.
        fusion_steps: N, fusion steps of an epoch, which follow.
    """

    meta_steps: int = 200
    fusion_steps: int = 400

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ParameterError: a number out of range.
        """
        for name, low in (('meta_steps', 0), ('fusion_steps', 1)):
            if getattr(self, name) < low:
                raise ParameterError(f'epoch.{name} is {getattr(self, name)}, expected {low} or '
                                     'more')

    def place(self, step: int) -> tuple[int, int, bool]:
        """Find a step, counted from 0.

        Returns:
            Its epoch, its number among the meta steps of that epoch or among the fusion steps of
            the whole run, and whether it is a meta step.
        """
        epoch, number = divmod(step, self.meta_steps + self.fusion_steps)
        if number < self.meta_steps:
            return epoch, number, True
        return epoch, epoch * self.fusion_steps + number - self.meta_steps, False


def labelled_sources(config: DataConfig, root: Path | str, split: Split,
                     more_labels: Path | None) -> list[LabelledSource]:
    """List the labelled sources: data sets, and the simulator where it has a share.

    Args:
        config: `datasets`, `simulated`, `simulated_scenes` and `cache_mb` count; the other splits
            have a quarter of the simulated scenes.
        root: folder of data sets; not read where all samples are simulated.
        split: only pairs of this split.
        more_labels: see `labelled_datasets`.

    Raises:
        SourceError: see `labelled_datasets`.
    """
    sources: list[LabelledSource] = []
    if config.simulated < 1:
        sources += labelled_datasets(root, split, config.datasets, more_labels, config.cache_mb)
    if config.simulated > 0:
        count = config.simulated_scenes if split == 'train' else -(-config.simulated_scenes // 4)
        sources.append(LabelledStreets(count, split, segmented_instant))
    return sources


def make_meta_loader(config: DataConfig, epoch: Epoch, root: Path | str,
                     more_labels: Path | None = None, batch_size: int = 2, crop: int = 256,
                     seed: int = 0, start_step: int = 0, rank: int = 0, world: int = 1,
                     workers: int = 0) -> Iterator[MetaBatch]:
    """Yield batches of the train split for ever, from step `start_step` on.

    Batch k depends on the configuration, the epoch, the files, `seed`, k, `rank` and `world`
    only.

    Args:
        config: what the batches are made of.
        epoch: which steps are meta steps.
        root: folder of data sets.
        more_labels: see `labelled_datasets`.
        batch_size: pairs in a batch, of this process.
        crop: side of the crops in pixels.
        seed: chooses the sequence of batches.
        start_step: number of the first batch.
        rank: number of this process among `world`.
        world: number of processes that train together.
        workers: processes that prepare batches ahead; 0 prepares them when asked for.

    Returns:
        The batches, on the CPU.

    Raises:
        ParameterError: an argument out of range.
        SourceError: data that are missing, cannot be read, or are less than two pairs.
    """
    check_order(batch_size, seed, start_step, rank, world, workers)
    sources = labelled_sources(config, root, 'train', more_labels)
    batches = _Batches(sources, epoch, CropMaker(config, crop), config.simulated, batch_size,
                       (seed, rank, world))
    return in_order(batches, (), start_step, workers)


class Pool:
    """Pairs of several sources in orders that depend on a seed.

    Args:
        sources: where the pairs come from.
        seed: chooses the orders.

    Raises:
        SourceError: less than two pairs: meta-train and meta-test set would not be disjoint.
    """

    def __init__(self, sources: Sequence[LabelledSource], seed: int) -> None:
        """Number the pairs."""
        self._pairs = [(source, index) for source in sources for index in range(len(source))]
        self._seed = seed
        if len(self._pairs) < 2:
            names = ', '.join(source.name for source in sources)
            raise SourceError(f'there are {len(self._pairs)} labelled pairs to train on ({names}), '
                              'expected at least 2: label more, or make pseudo-labels')

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self._pairs)

    def _order(self, kind: int, number: int) -> Array:
        return np.random.default_rng((self._seed, kind, number)).permutation(len(self))

    def meta_sets(self, epoch: int, size: int) -> tuple[Array, Array]:
        """Draw the numbers of the meta-train and of the meta-test pairs of an epoch.

        Args:
            epoch: number of the epoch.
            size: of each set, at most half of the pairs.

        Returns:
            Two (m,) int64 without a common number.
        """
        order = self._order(_META, epoch)
        size = min(size, len(self) // 2)
        return order[:size], order[size:2 * size]

    def nth(self, number: int) -> int:
        """Return the number of the pair that comes at a place in the passes through all pairs."""
        passes, place = divmod(number, len(self))
        return int(self._order(_PASS, passes)[place])

    def load(self, number: int) -> LabelledPair:
        """Return a pair by its number."""
        source, index = self._pairs[number]
        return source[index]


class _Batches(Dataset[MetaBatch]):
    """Batch by number."""

    def __init__(self, sources: Sequence[LabelledSource], epoch: Epoch, maker: CropMaker,
                 simulated: float, batch_size: int, run: tuple[int, int, int]) -> None:
        self._epoch = epoch
        self._maker = maker
        self._size = batch_size
        self._seed, self._rank, self._world = run
        kinds = [[source for source in sources if (source.name == SIMULATED) == made]
                 for made in (False, True)]
        self._pools = [Pool(kind, self._seed) if kind else None for kind in kinds]
        self._simulated = simulated

    def __getitem__(self, step: int) -> MetaBatch:
        epoch, number, meta = self._epoch.place(step)
        rng = np.random.default_rng((self._seed, self._rank, step))
        first = (number * self._world + self._rank) * self._size
        places = range(first, first + self._size)
        if not meta:
            return MetaBatch(self._batch(rng, [
                (pool := self._draw(rng)).load(pool.nth(place)) for place in places]))
        chosen = []
        for place in places:
            pool = self._draw(rng)
            train, test = pool.meta_sets(epoch, self._epoch.meta_steps)
            chosen.append((pool.load(int(train[place % len(train)])),
                           pool.load(int(test[place % len(test)]))))
        first_of, second_of = zip(*chosen, strict=True)
        return MetaBatch(self._batch(rng, first_of), self._batch(rng, second_of))

    def _draw(self, rng: np.random.Generator) -> Pool:
        """Choose between real and simulated pairs."""
        real, made = self._pools
        if real is None or (made is not None and rng.random() < self._simulated):
            assert made is not None
            return made
        return real

    def _batch(self, rng: np.random.Generator, pairs: Sequence[LabelledPair]) -> LabelledBatch:
        return collate([self._maker.cut(pair, rng) for pair in pairs])
