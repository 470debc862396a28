# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Endless batches in which batch k depends on nothing but the seed, k and the rank."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ivif_ros.errors import ParameterError, SourceError
from ivif_ros.training.batch import Batch
from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.data.degrade import Degrader
from ivif_ros.training.data.pairs import Cache, find_datasets, list_pairs
from ivif_ros.training.data.sampling import Sampler, Source, Stills
from ivif_ros.training.data.simulated import Streets
from ivif_ros.training.data.splits import SPLITS, Split, check_split, known_datasets
from ivif_ros.training.data.videos import Videos

__all__ = ['DataConfig', 'in_order', 'make_loader', 'make_sources']
B = TypeVar('B')


def make_sources(config: DataConfig, root: Path | str, split: Split) -> list[Source]:
    """List all sources of pairs.

    Raises:
        ParameterError: a share is given to a data set that is neither there nor a public one.
        SourceError: no data sets, files without partners, or nothing in this split.
    """
    folders = find_datasets(root, config.datasets)
    for name in config.share:
        if name not in folders and name not in known_datasets():
            raise ParameterError(f"data.share names '{name}', expected one of {', '.join(folders)}")
    files = {name: list_pairs(name, folder, split) for name, folder in folders.items()}
    clips = {name: [pair for pair in pairs if pair.is_video] for name, pairs in files.items()}
    videos = [Videos(name, pairs, config.cache_mb / 2 * len(pairs) / sum(map(len, clips.values())))
              for name, pairs in clips.items() if pairs]
    cache = Cache(config.cache_mb - sum(source.nbytes for source in videos) / 1e6)
    sources: list[Source] = [*videos]
    for name, pairs in files.items():
        if stills := [pair for pair in pairs if not pair.is_video]:
            sources.append(Stills(name, stills, cache))
    if not sources:
        raise SourceError(f"training data '{root}' ({', '.join(folders)}) has no pair for {split}")
    if config.simulated:
        sources.append(Streets(config.simulated_scenes, split))
    return sources


def make_loader(config: DataConfig, root: Path | str, split: str = 'train', batch_size: int = 8,
                crop: int = 128, seed: int = 0, start_step: int = 0, rank: int = 0, world: int = 1,
                workers: int = 0) -> Iterator[Batch]:
    """Yield batches for ever, from step `start_step` on.

    Batch k depends on the configuration, the files, `seed`, `split`, k and `rank` only: a run that
    goes on at step k sees what it would have seen without a break, whatever `workers` is.

    Args:
        config: what the batches are made of.
        root: folder of data sets (folders with `rgb/` and `thermal/`), or one of them.
        split: 'train', 'validation' or 'test'.
        batch_size: samples in a batch, of this process.
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
        SourceError: data that are missing or cannot be read.
    """
    if crop < 8:
        raise ParameterError(f'crop is {crop}, expected 8 or more')
    check_order(batch_size, seed, start_step, rank, world, workers)
    checked = check_split(split)
    sources = make_sources(config, root, checked)
    batches = _Batches(config, sources, batch_size, crop, (seed, SPLITS.index(checked), rank))
    return in_order(batches, sources, start_step, workers)


def check_order(batch_size: int, seed: int, start_step: int, rank: int, world: int,
                workers: int) -> None:
    """Check the arguments that all loaders have.

    Raises:
        ParameterError: an argument out of range.
    """
    for name, value, low in (('batch_size', batch_size, 1), ('seed', seed, 0),
                             ('start_step', start_step, 0), ('workers', workers, 0)):
        if value < low:
            raise ParameterError(f'{name} is {value}, expected {low} or more')
    if not 0 <= rank < world:
        raise ParameterError(f'rank is {rank}, expected 0 to {world - 1} (world is {world})')


def in_order(batches: Dataset[B], sources: Sequence[Source], start_step: int,
             workers: int) -> Iterator[B]:
    """Yield batches by their numbers, for ever.

    Args:
        batches: gives batch k for every k, always the same one.
        sources: what the batches are drawn from; workers share what these have decoded.
        start_step: number of the first batch.
        workers: processes that prepare batches ahead; 0 prepares them when asked for.
    """
    steps = itertools.count(start_step)
    if not workers:
        return (batches[step] for step in steps)
    for source in sources:
        if isinstance(source, Stills):
            source.preload()    # forked processes share what is decoded before
    return iter(DataLoader(
        batches, batch_size=None, sampler=steps, num_workers=workers, collate_fn=_unchanged,
        worker_init_fn=_one_thread, prefetch_factor=4,
        multiprocessing_context='fork' if sys.platform == 'linux' else None))


class _Batches(Dataset[Batch]):
    """Batch by number."""

    def __init__(self, config: DataConfig, sources: list[Source], batch_size: int, crop: int,
                 seed: tuple[int, int, int]) -> None:
        self._temporal = config.temporal
        self._sampler = Sampler(config, sources, crop)
        self._degrader = Degrader(config)
        self._batch_size = batch_size
        self._seed = seed

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng((*self._seed, step))
        noise = torch.Generator().manual_seed(int(rng.integers(2 ** 62)))
        count = 2 if rng.random() < self._temporal else 1
        samples = []
        for _ in range(self._batch_size):
            crop = self._sampler.draw(rng, count)
            samples.append(self._degrader.apply(
                torch.from_numpy(crop.visible), torch.from_numpy(crop.thermal), rng, noise))
        planes = [torch.stack(plane) for plane in zip(*samples, strict=True)]
        then = _batch(planes, 1) if count > 1 else None
        return _batch(planes, 0, then)


def _batch(planes: list[Tensor], moment: int, then: Batch | None = None) -> Batch:
    visible, thermal, clean_visible, clean_thermal = (
        plane[:, moment:moment + 1].contiguous() for plane in planes)
    return Batch(visible, thermal, clean_visible, clean_thermal, then)


def _unchanged(batch: Any) -> Any:
    return batch


def _one_thread(worker: int) -> None:
    """Leave one core to each worker; threads of OpenCV do not survive a fork."""
    cv2.setNumThreads(0)
