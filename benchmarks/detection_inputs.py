# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What detectors are shown in the benchmark: labelled pairs, their degradations, their views."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ivif_ros.errors import ParameterError, SourceError
from ivif_ros.fusion.weights import read_weights
from ivif_ros.training.data.degradations_thermal import THERMAL
from ivif_ros.training.data.degradations_visible import VISIBLE
from ivif_ros.training.data.labelled import LabelledPairs
from ivif_ros.training.data.pairs import to_luma
from ivif_ros.training.data.splits import known_datasets
from ivif_ros.training.data.views import VIEWS, PairViews
from ivif_ros.types import Array

CONDITIONS = ('as recorded', 'dark', 'glare', 'smoke', 'rgb noise', 'rgb missing',
              'thermal noise', 'thermal blur', 'thermal missing')
"""The pairs as they are, and each camera degraded or lost."""
STRENGTH = 0.8
"""Of the degradations, of at most 1; see `ivif_ros.training.data.degradations_shared`."""
NIGHT_BELOW = 40.0
"""Luma (0..255) of the sky, less that of black, below which a pair counts as night.

By day it is 53 to 131 in RoadScene and above 41 in nineteen of twenty MSRS pairs; by night at most
35, and below 33 in nineteen of twenty.
"""
_VISIBLE = {'dark': 'low_light', 'glare': 'glare', 'smoke': 'haze', 'rgb noise': 'visible_noise'}
_THERMAL = {'thermal noise': 'thermal_noise', 'thermal blur': 'thermal_blur'}


def load_pairs(folder: Path, most: int) -> LabelledPairs:
    """List the labelled pairs of a data set that no training has seen.

    Args:
        folder: holds rgb/, thermal/ and labels/. Of a public data set with a list of splits, the
            test split is taken, of any other one all pairs.
        most: at most this many, spread evenly; 0 for all.

    Raises:
        SourceError: no such folder, or no labelled pair in it.
    """
    for name in ('rgb', 'thermal', 'labels'):
        if not (folder / name).is_dir():
            raise SourceError(f"'{folder}' has no {name}/, expected a folder with rgb/, thermal/ "
                              'and labels/')
    name = folder.resolve().name
    pairs = LabelledPairs(name, folder, 'test' if name in known_datasets() else None)
    if most and len(pairs) > most:
        chosen = [i * len(pairs) // most for i in range(most)]
        pairs.files = [pairs.files[i] for i in chosen]
        pairs.labels = [pairs.labels[i] for i in chosen]
    if not len(pairs):
        raise SourceError(f"'{folder}' has no unseen pair with a label")
    return pairs


def is_night(visible: Array) -> bool:
    """Whether an RGB image (H, W, 3) uint8 BGR was taken in the dark.

    The sky is the upper third, or what hides it there; black is the first percentile, which haze
    and long exposures lift.
    """
    luma = to_luma(visible)
    sky = luma[:max(1, len(luma) // 3)]
    return float(sky.mean() - np.percentile(luma, 1)) < NIGHT_BELOW


class Inputs:
    """Makes what a detector is shown.

    Args:
        fusions: name -> weights of a fusion network, further inputs beside VIEWS.

    Attributes:
        names: names of the inputs.

    Raises:
        ParameterError: weights that cannot be used.
    """

    def __init__(self, fusions: Mapping[str, Path]) -> None:
        """Load the fusion methods."""
        own = PairViews()
        self._makers: dict[str, Callable[[Array, Array], Array]] = {
            name: self._maker(own, name) for name in VIEWS}
        for name, path in fusions.items():
            method = str(read_weights(path)['network'])
            self._makers[name] = self._maker(PairViews(method, str(path)), 'fused')
        self.names = tuple(self._makers)

    @staticmethod
    def _maker(views: PairViews, name: str) -> Callable[[Array, Array], Array]:
        return lambda visible, thermal: views.make(name, visible, thermal)

    def make(self, name: str, visible: Array | None, thermal: Array | None) -> Array | None:
        """Make one input; None where the camera that it needs is lost.

        Where one camera is lost, whatever is made of both shows the other one, as the pipeline
        does.
        """
        if visible is not None and thermal is not None:
            return self._makers[name](visible, thermal)
        there = 'rgb' if thermal is None else 'thermal'
        if name in ('rgb', 'thermal') and name != there:
            return None
        return np.ascontiguousarray(
            visible if thermal is None else np.repeat(thermal[..., None], 3, axis=2))


def degraded(condition: str, visible: Array, thermal: Array,
             seed: int) -> tuple[Array | None, Array | None]:
    """Degrade one camera of a pair.

    Args:
        condition: one of CONDITIONS.
        visible: (H, W, 3) uint8 BGR.
        thermal: (H, W) uint8.
        seed: of what the degradation looks like.

    Returns:
        Both images; None for the one that is lost.
    """
    chance = torch.Generator().manual_seed(seed)
    if condition == 'rgb missing':
        return None, thermal
    if condition == 'thermal missing':
        return visible, None
    if condition in _VISIBLE:
        # The colours are three moments of one scene: lamps and smoke are the same in all of them.
        planes = torch.from_numpy(visible).permute(2, 0, 1).float() / 255
        done = VISIBLE[_VISIBLE[condition]](planes, STRENGTH, chance)
        return _levels(done.permute(1, 2, 0)), thermal
    if condition in _THERMAL:
        plane = torch.from_numpy(thermal)[None].float() / 255
        return visible, _levels(THERMAL[_THERMAL[condition]](plane, STRENGTH, chance)[0])
    return visible, thermal


def _levels(image: torch.Tensor) -> Array:
    levels: Array = (image * 255).round().to(torch.uint8).contiguous().numpy()
    return levels


def named(texts: list[str]) -> dict[str, Path]:
    """Read texts 'name=file'.

    Raises:
        ParameterError: a text of another form.
    """
    files = {}
    for text in texts:
        name, given, file = text.partition('=')
        if not (name and given and file):
            raise ParameterError(f"--fusion is '{text}', expected NAME=FILE")
        files[name] = Path(file)
    return files


def without_nan(value: Any) -> Any:
    """Replace figures that do not exist (a class without objects) by None: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: without_nan(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(one) for one in value]
    return None if isinstance(value, float) and np.isnan(value) else value
