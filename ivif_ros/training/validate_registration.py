# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Validation of registration: end-point errors on whole pairs that training does not see."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import nn

from ivif_ros.registration.estimate import Estimate, Estimator
from ivif_ros.registration.maps import (
    apply_homography,
    grid_nodes,
    points_to_thermal,
    thermal_scale,
)
from ivif_ros.registration.network import RegistrationNetwork
from ivif_ros.registration.network_estimator import NetworkEstimator
from ivif_ros.registration.pictures import checkerboard
from ivif_ros.registration.warp import Warper
from ivif_ros.training.data.deformations import NEAR
from ivif_ros.training.data.pairs import Pair, validation_pairs
from ivif_ros.training.data.rigs import RAW, RigPair, recorded_rigs
from ivif_ros.training.validate import Verdict, side_by_side, with_datasets
from ivif_ros.types import Array, Deformation

LIMIT_PX = 20.0
"""Errors beyond this are all the same: the estimate is of no use."""
_WIDTH = 640
"""Errors are given in pixels of an image of this width, whatever size the images have."""
_POINTS = 40, 30
"""Places across and down at which errors are measured."""


class MisalignedPair(NamedTuple):
    """Two images and where the pixels of the one truly lie in the other.

    Attributes:
        visible: (H, W) uint8 luma.
        thermal: (h, w) uint8.
        points: (n, 2) float64 RGB pixels that both cameras see.
        truth: (n, 2) float64 thermal pixels that show the same.
        unit: thermal pixels of an error of one pixel of an RGB image _WIDTH wide.
    """

    visible: Array
    thermal: Array
    points: Array
    truth: Array
    unit: float

    @property
    def guess(self) -> Deformation:
        """What is known without any calibration."""
        return Deformation.stretch(_size(self.visible), _size(self.thermal))

    def error(self, deformation: Deformation) -> float:
        """Mean end-point error in pixels of an RGB image _WIDTH wide."""
        apart = points_to_thermal(deformation, self.points) - self.truth
        return float(np.linalg.norm(apart, axis=1).mean() / self.unit)


def deformed(pair: Pair, rng: np.random.Generator) -> MisalignedPair:
    """Deform the thermal image of a registered pair, as for the training of the refinement.

    Args:
        pair: registered pair.
        rng: chooses the deformation.
    """
    size = _size(pair.visible)
    back = NEAR.draw(size, rng)
    thermal = np.asarray(cv2.remap(pair.thermal, *back.planes(), cv2.INTER_LINEAR))
    points = grid_nodes(size, *_POINTS)
    truth = back.inverse(points.astype(np.float32))
    return _known(pair.visible, thermal, points, truth, np.linalg.inv(back.homography))


def recorded(rig: RigPair) -> MisalignedPair:
    """Take a recorded pair, whose truth is a homography, as it is."""
    points = grid_nodes(_size(rig.visible), *_POINTS)
    truth = apply_homography(rig.homography, points)
    return _known(rig.visible, rig.thermal, points, truth, rig.homography)


def _known(visible: Array, thermal: Array, points: Array, truth: Array,
           homography: Array) -> MisalignedPair:
    """Keep the points that lie in the thermal image."""
    size, thermal_size = _size(visible), _size(thermal)
    inside = ((truth >= 0) & (truth <= np.array(thermal_size) - 1.0)).all(axis=-1)
    unit = thermal_scale(Deformation(size, thermal_size, homography)) * size[0] / _WIDTH
    return MisalignedPair(visible, thermal, points[inside], truth[inside].astype(np.float64), unit)


class RegistrationValidation:
    """Pairs of the validation split, deformed in ways that are always the same."""

    figures = ('mean_before', 'mean', 'median', 'better', 'below_2px', 'trust')
    picture_name = 'before_after'

    def __init__(self, root: Path | str, datasets: Sequence[str], most: int) -> None:
        """Read and deform the pairs; recorded pairs of `roadscene_raw` are taken as they are.

        Args:
            root: folder of data sets, or one data set.
            datasets: data sets to use, none for all.
            most: at most this many pairs of each data set.

        Raises:
            SourceError: no such folder, or no validation pairs in it.
        """
        # The deformation of a pair does not depend on which other pairs there are.
        self._pairs = {name: [
            deformed(pair, np.random.default_rng(zlib.crc32(f'{name}/{files.stem}'.encode())))
            for files, pair in pairs]
            for name, pairs in validation_pairs(root, datasets, most).items()}
        rigs = recorded_rigs(Path(root), 'validation')
        if len(rigs) > most:
            rigs = [rigs[i * len(rigs) // most] for i in range(most)]
        if rigs:
            self._pairs[RAW] = [recorded(rig) for rig in rigs]

    def __len__(self) -> int:
        """Number of pairs."""
        return sum(len(pairs) for pairs in self._pairs.values())

    def judge(self, network: nn.Module, device: torch.device) -> Verdict:
        """Estimate the deformations from nothing and measure the errors; see `Validation.judge`.

        The picture shows a checkerboard of both images before and after.
        """
        assert isinstance(network, RegistrationNetwork)
        training = network.training
        network.eval()
        estimator = NetworkEstimator(device, network=network)
        found: dict[str, list[_Outcome]] = {}
        rows: list[Array] = []
        for name, pairs in self._pairs.items():
            found[name] = []
            for index, pair in enumerate(pairs):
                estimate = _estimate(estimator, pair)
                found[name].append(_outcome(pair, estimate))
                if index == 0:
                    rows.append(side_by_side(*(
                        _board(pair, one) for one in (pair.guess, estimate.deformation))))
        network.train(training)
        figures = _figures([one for several in found.values() for one in several])
        single = {name: _figures(several) for name, several in found.items()}
        return Verdict(with_datasets(figures, single), np.concatenate(rows))


class _Outcome(NamedTuple):
    """Errors of one pair, in pixels of an RGB image _WIDTH wide, and what was said of them."""

    before: float
    after: float
    confidence: float
    accepted: bool


def _estimate(estimator: Estimator, pair: MisalignedPair) -> Estimate:
    rgb = np.asarray(cv2.cvtColor(pair.visible, cv2.COLOR_GRAY2BGR))
    return estimator(rgb, pair.thermal, pair.guess)


def _outcome(pair: MisalignedPair, estimate: Estimate) -> _Outcome:
    return _Outcome(pair.error(pair.guess), pair.error(estimate.deformation),
                    estimate.deformation.confidence, estimate.accepted)


def _figures(outcomes: Sequence[_Outcome]) -> dict[str, float]:
    """Sum up the errors.

    Returns:
        `mean_before`, `median_before`, `mean`, `median`: errors in pixels; `limited`: mean of the
        errors, none of them more than LIMIT_PX; `better`: share of pairs that are better than
        before; `below_2px`: share of pairs; `accepted`: share of pairs whose estimate is trusted;
        `trust`: rank correlation (Spearman) of the error that the confidence stands for with the
        true one, 0 where either is always the same.
    """
    before, after, confidence, accepted = (np.array(column, np.float64)
                                           for column in zip(*outcomes, strict=True))
    return {
        'mean_before': float(before.mean()), 'median_before': float(np.median(before)),
        'mean': float(after.mean()), 'median': float(np.median(after)),
        'limited': float(np.minimum(after, LIMIT_PX).mean()),
        'better': float((after < before).mean()), 'below_2px': float((after < 2).mean()),
        'accepted': float(accepted.mean()), 'trust': rank_correlation(-confidence, after)}


def rank_correlation(first: Array, second: Array) -> float:
    """Spearman's rank correlation of two series (n,), equal values sharing their mean rank.

    Returns:
        -1 to 1; 0 where a series is constant or of one value.
    """
    one, other = _ranks(first), _ranks(second)
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _ranks(series: Array) -> Array:
    _, place, count = np.unique(series, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2.0)[place])


def _board(pair: MisalignedPair, deformation: Deformation) -> Array:
    """Checkerboard of the grey RGB image and the registered thermal image, (H, W) uint8."""
    registered, _ = Warper().warp(torch.from_numpy(pair.thermal), deformation)
    rgb = np.asarray(cv2.cvtColor(pair.visible, cv2.COLOR_GRAY2BGR))
    return np.ascontiguousarray(checkerboard(rgb, registered.numpy())[..., 0])


def _size(image: Array) -> tuple[int, int]:
    return image.shape[1], image.shape[0]
