# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The estimator: from two images and a first guess to one deformation, global and dense.

All of it works on images of about 320x240 pixels. Where nothing is known, every cell of the RGB
image is compared with every cell of the thermal image, and a robust fit gives the global model.
Then all cells vote, by the directions of their edges, for corrections that are global first and
smooth at the end. At last the network says cell by cell how far the thermal image still is off,
and how sure that is. Whether the images are a pair at all, edges and network say together. The
thermal image is resampled for each step, straight from the raw image.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
import torch

from ivif_ros.errors import CalibrationError
from ivif_ros.registration.dense import DenseMap, centres
from ivif_ros.registration.estimate import Estimate
from ivif_ros.registration.maps import distance_px, grid_nodes
from ivif_ros.registration.matching import Similarity
from ivif_ros.registration.network import FINE, Correction, Features, RegistrationNetwork
from ivif_ros.registration.robust import consensus, fit_homography
from ivif_ros.registration.structure import evidence, structure
from ivif_ros.registration.trust import ERROR_SCALE, REFERENCE_WIDTH, confidence_of
from ivif_ros.registration.voting import vote_anywhere
from ivif_ros.registration.weights import load_network
from ivif_ros.registration.working_pair import EdgeVotes, WorkingPair
from ivif_ros.types import Array, Deformation, DeformationSource, Size, check_image

_SMALLEST = 48
_FLAT = 2.0
_MATCH_TOLERANCE = 5.0
_MATCH_DEVIATIONS = (2.5, 1.5, 1.0, 0.7)
_FIT_TOLERANCE = 3.0
_ZOOMS = (0.62, 1.5)
"""Further first guesses where nothing is known and the first one fails: RGB pixels per pixel."""
_LEAST_SUPPORT = 0.7
"""Support below which nothing is believed: of 90 validation pairs those that belong together have
at least 0.9, strange ones at most 0.5."""
_TRUST_WEIGHT, _TYPICAL_TRUST = 6.0, 0.45
_USUAL_EVIDENCE = 1.9
"""Evidence with which the network is as wrong as it expects to be."""
_CLEAR = 2.0
"""Support with which no other guess is tried."""
_AGREED_SHARE = 0.5
"""Agreement of the matches, against that of the first guess, with which another one is tried."""
_ZOOM_GAIN = 0.5
"""Support by which another zoom must exceed the first one."""
_LEAST_GAIN = 0.2
"""Evidence by which a map must exceed the first guess to replace it."""
_LARGEST_ERROR = 12.0


class _Guess(NamedTuple):
    """A map from matching all cells with all cells, and the matches that agree with it."""

    state: DenseMap
    agreed: float


class _Ballot(NamedTuple):
    """How cells vote once; see `EdgeVotes.vote`."""

    scale: int
    sharpness: float
    deviations: tuple[float, ...]
    smoothness: float = 0.0


# Chosen on validation pairs: from far to near, from many cells together to fewer.
_BALLOTS = (
    (False, (_Ballot(4, 40.0, (2.0, 1.5, 1.0, 0.8)),
             _Ballot(4, 40.0, (2.0, 1.5, 1.0, 0.8)))),
    (False, (_Ballot(2, 80.0, (2.0, 1.5, 1.0, 0.8)),)),
    (True, (_Ballot(2, 80.0, (1.5, 1.0)),
            _Ballot(4, 100.0, (1.5, 1.0, 1.0), 40.0),
            _Ballot(2, 60.0, (1.0, 0.8, 0.8), 24.0))))
"""Ballots on edges of cells of 4x4 or (fine) 2x2 pixels, found anew for each group."""


@dataclass(frozen=True, eq=False)
class _Verdict:
    """What the last round says of the map that came out of it.

    Attributes:
        map: the map from working pixels to pixels of the small thermal image.
        error: (rows, columns) float64 expected error in working pixels.
        matched: (rows, columns) float64 probability that a cell is seen by both cameras.
        evidence: see `evidence`, before the last correction.
    """

    map: DenseMap
    error: Array
    matched: Array
    evidence: float

    @property
    def cell_trust(self) -> Array:
        """(rows, columns) confidence; the same where it is likely that both cameras see it."""
        unit = REFERENCE_WIDTH / self.map.size[0]
        return np.asarray(
            np.exp(self.error * (-unit / ERROR_SCALE)) * np.minimum(2 * self.matched, 1))

    @property
    def support(self) -> float:
        """What edges and network say together for these images being a pair."""
        return self.evidence + _TRUST_WEIGHT * (float(self.cell_trust.mean()) - _TYPICAL_TRUST)

    @property
    def doubt(self) -> float:
        """Factor on the expected error: where edges say little, the network knows too little."""
        return max(1.0, (_USUAL_EVIDENCE / max(self.evidence, 0.3)) ** 2)


class NetworkEstimator:
    """Estimates deformations by the registration network; see `Estimator` for the call.

    Calls from one thread at a time. The same images and first guess give the same estimate on the
    same device.
    """

    def __init__(self, device: torch.device | str = 'cpu', *,
                 network: RegistrationNetwork | None = None) -> None:
        """Load the weights of the package, or take a network.

        Args:
            device: where it runs.
            network: trained network; a copy of it is used.

        Raises:
            WeightsError: the weights are missing or damaged.
        """
        self._device = torch.device(device)
        own = load_network() if network is None else copy.deepcopy(network)
        self._network = _deployed(own.float().eval(), self._device)

    def __call__(self, rgb: Array, thermal: Array, initial: Deformation) -> Estimate:
        """Estimate the deformation of one pair.

        Args:
            rgb: (H, W, 3) uint8 BGR.
            thermal: (h, w) uint8; whether warm is bright or dark does not matter.
            initial: backward map RGB -> thermal to start from. With source NONE everything is
                searched, else up to 4 % of the width around it.

        Returns:
            The estimate.

        Raises:
            ImageError: an image of impossible shape or type.
        """
        check_image(rgb, 'RGB image')
        check_image(thermal, 'thermal image')
        problem = _unusable(rgb, thermal, initial)
        if problem:
            return Estimate(initial, False, problem)
        # A thread of its own learns only by this how many threads it may use.
        torch.set_num_threads(torch.get_num_threads())
        try:
            with torch.inference_mode():
                work = WorkingPair(rgb, thermal, initial, self._device)
                rgb_features = self._network.encode(work.rgb, 'rgb')
                verdict = self._search(
                    work, rgb_features, initial.source is DeformationSource.NONE)
                if verdict is not None:
                    before = evidence(rgb_features.edges[0], work.edges(work.first))
                    return _judged(work, verdict, before)
        except (np.linalg.LinAlgError, CalibrationError):
            pass    # no map explains these images: what was found is singular or not finite
        return Estimate(initial, False, 'images have hardly anything in common')

    def _search(self, work: WorkingPair, rgb: Features, wide: bool) -> _Verdict | None:
        if not wide:
            return self._settled(work, rgb, work.first)
        guess = self._matched(work, rgb, work.first)
        best = self._settled(work, rgb, guess.state)
        if best is not None and best.support > _CLEAR:
            return best
        for zoom in _ZOOMS:
            other = self._matched(
                work, rgb, work.first.after(_zoomed(work.first.size, zoom)))
            if other.agreed < _AGREED_SHARE * guess.agreed:
                continue
            verdict = self._settled(work, rgb, other.state)
            if verdict is not None and (
                    best is None or verdict.support > best.support + _ZOOM_GAIN):
                best = verdict
        return best

    def _settled(self, work: WorkingPair, rgb: Features, state: DenseMap) -> _Verdict | None:
        """Let the cells vote, and the network judge."""
        for fine, ballots in _BALLOTS:
            votes = EdgeVotes(work, state, fine, rgb.edges[0])
            for ballot in ballots:
                votes.vote(*ballot)
            state = votes.state
        thermal = self._network.encode(work.sampled(state), 'thermal')
        return self._round(state, self._network.refine(rgb, thermal),
                           evidence(rgb.edges[0], thermal.edges[0]))

    def _matched(self, work: WorkingPair, rgb: Features, state: DenseMap) -> _Guess:
        """Find the global model by matching all cells with all cells."""
        _, eighth = self._network.pyramid([(structure(work.sampled(state)), 'thermal')])
        thermal = self._network.describe_coarse(eighth)
        similarity = Similarity(self._network, rgb.coarse, thermal)
        matches = similarity.matches()
        if float(matches.weight.sum()) <= 0:
            return _Guess(state, 0.0)
        start = consensus(matches.source, matches.target, matches.weight, _MATCH_TOLERANCE)
        start = fit_homography(matches.source, matches.target, matches.weight, start,
                               _MATCH_TOLERANCE, stiffness=1e-2)
        found = vote_anywhere(similarity, start, _MATCH_DEVIATIONS)
        return _Guess(state.after(found), matches.agreement(found, _MATCH_TOLERANCE))

    def _round(self, state: DenseMap, correction: Correction, support: float) -> (
            _Verdict | None):
        """Move the map by what the network says."""
        said = torch.cat([correction.flow, correction.error, correction.matched.sigmoid()], dim=1)
        flow_x, flow_y, error, matched = said[0].double().cpu().numpy()
        points = centres(state.size, FINE)
        target = state.at(points + np.stack([flow_x, flow_y], axis=-1))
        weight = matched / (np.square(error) + 0.25)
        if float(weight.sum()) <= 1e-6:
            return None
        # A quarter of the cells says as much about eight numbers as all of them.
        few = slice(None, None, 2), slice(None, None, 2)
        homography = fit_homography(
            points[few].reshape(-1, 2), target[few].reshape(-1, 2), weight[few].reshape(-1),
            state.homography, _FIT_TOLERANCE * state.scale)
        return _Verdict(
            DenseMap.fitted(state.size, homography, target, weight), error, matched, support)


def _zoomed(size: Size, zoom: float) -> Array:
    """(3, 3) homography that moves pixels away from the middle of the image by a factor."""
    moved = np.diag([zoom, zoom, 1.0])
    moved[:2, 2] = (np.array(size) - 1) / 2 * (1 - zoom)
    return moved


def _judged(work: WorkingPair, verdict: _Verdict, before: float) -> Estimate:
    """Decide whether a map is believed, and how far.

    Args:
        work: the images.
        verdict: the map and what is said of it.
        before: evidence for the first guess.
    """
    initial = work.initial
    error = verdict.error * (REFERENCE_WIDTH / verdict.map.size[0] * verdict.doubt)
    expected = float((error * verdict.matched).sum() / max(verdict.matched.sum(), 1e-6))
    if verdict.support < _LEAST_SUPPORT:
        return Estimate(initial, False, (
            f'images agree too little (support {verdict.support:.1f}, at least '
            f'{_LEAST_SUPPORT:g} is believed)'))
    if expected > _LARGEST_ERROR:
        return Estimate(initial, False, (
            f'expected error is {expected:.1f} px of an image 640 wide, at most '
            f'{_LARGEST_ERROR:g} is believed'))
    found = work.finished(verdict.map)
    trust = verdict.cell_trust ** verdict.doubt
    if verdict.evidence < before + _LEAST_GAIN:
        # The first guess explains the images as well: both may be off by what they differ.
        expected = float(np.hypot(expected, distance_px(initial, found)
                                  * REFERENCE_WIDTH / initial.rgb_size[0]))
        trust = np.full(trust.shape, confidence_of(expected))
        found = initial
    return Estimate(replace(
        found, confidence=float(confidence_of(expected)),
        confidence_map=_on_nodes(trust, verdict.map.size),
        residual_px=expected * found.rgb_size[0] / REFERENCE_WIDTH,
        source=DeformationSource.ESTIMATED), True, '')


def _on_nodes(cells: Array, size: Size) -> Array:
    """Values in the middle of cells (rows, columns), on as many nodes over the whole image."""
    rows, columns = cells.shape
    place = ((grid_nodes(size, columns, rows) - (FINE - 1) / 2) / FINE).astype(np.float32)
    x, y = (np.ascontiguousarray(place[..., axis]) for axis in (0, 1))
    return np.asarray(cv2.remap(cells.astype(np.float32), x, y, cv2.INTER_LINEAR,
                                borderMode=cv2.BORDER_REPLICATE)).clip(0, 1)


def _unusable(rgb: Array, thermal: Array, initial: Deformation) -> str:
    """Why no estimate can be made from these images; empty where one can."""
    sizes = (rgb.shape[1], rgb.shape[0]), (thermal.shape[1], thermal.shape[0])
    if sizes != (initial.rgb_size, initial.thermal_size):
        return (f'images are {sizes[0][0]}x{sizes[0][1]} and {sizes[1][0]}x{sizes[1][1]}, the '
                'first guess is for other sizes')
    if min(*sizes[0], *sizes[1]) < _SMALLEST:
        return f'an image is smaller than {_SMALLEST} px on a side'
    for name, image in (('RGB', rgb), ('thermal', thermal)):
        if float(np.std(image[::4, ::4])) < _FLAT:
            return f'{name} image is flat'
    return ''


def _deployed(network: RegistrationNetwork, device: torch.device) -> RegistrationNetwork:
    """Fold normalisations into convolutions and use the memory layout that these like."""
    for module in network.modules():
        if isinstance(module, torch.nn.Sequential):
            layers = list(module)
            for index, (first, second) in enumerate(itertools.pairwise(layers)):
                if isinstance(first, torch.nn.Conv2d) and isinstance(second, torch.nn.BatchNorm2d):
                    module[index] = torch.nn.utils.fuse_conv_bn_eval(first, second)
                    module[index + 1] = torch.nn.Identity()
    network.requires_grad_(False)
    network.to(device, _fast_precision(device))
    return network.to(memory_format=torch.channels_last)    # type: ignore[call-overload]


def _fast_precision(device: torch.device) -> torch.dtype:
    """Bfloat16 where the processor multiplies matrices of it (AMX), float16 on CUDA."""
    if device.type == 'cuda':
        return torch.float16
    # Older versions of PyTorch cannot tell.
    matrices = getattr(torch.cpu, '_is_amx_tile_supported', None)
    return torch.bfloat16 if matrices is not None and matrices() else torch.float32
