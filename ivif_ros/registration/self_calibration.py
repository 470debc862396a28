# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""From nothing to a calibrated rig: what several pairs of images say together.

Single estimates may be wrong, and wrong in the same way. So the rig is found in three rounds:

1. Each pair is estimated from nothing, with several zooms where one is not enough. Estimates that
   agree are the hypotheses.
2. For each hypothesis, each pair is estimated again from a start that lies *beside* it, each in
   another direction. Pairs that see the rig meet in one place; a pair that says nothing stays where
   it was put and does not count. Where most of them meet is the rig.
3. The same once more, beside that place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ivif_ros.errors import CalibrationError, IvifError
from ivif_ros.registration.consensus import clusters, distances
from ivif_ros.registration.estimate import Estimate, Estimator
from ivif_ros.registration.frame_picker import NamedPair
from ivif_ros.registration.maps import precomposed
from ivif_ros.registration.rig_fit import RigFit, fit_rig
from ivif_ros.types import Array, Deformation, DeformationSource, Size

LEAST_PAIRS = 3
"""Pairs that must agree before anybody believes them."""
LEAST_SHARE = 0.5
"""Share of the credible estimates of the last round that must agree."""
LARGEST_ERROR = 0.01
"""Largest expected error of the corners of a settled rig, as a share of the RGB diagonal."""
_REACH_FIRST = 0.03
"""Estimates from nothing within this share of the RGB width make one hypothesis."""
_REACH = 0.015
"""Estimates within this share of the RGB width agree: parallax differs from scene to scene."""
_NUDGE = 0.025
"""How far beside a hypothesis a pair is started, as a share of the RGB width: more than _REACH, and
within the range of the near search of an estimator (4 %)."""
_STAYS = 0.3
"""Share of that distance within which a pair has not moved at all."""
_ZOOM_PAIRS = 8
"""Pairs that are asked with other zooms."""
_HYPOTHESES = 3
_ZOOMS = (1.0, 0.8, 0.62, 1.25, 1.6)
"""Thermal pixels per RGB pixel for which the search from nothing starts anew where it found
nothing, relative to the thermal image fitted around the RGB image."""
_DIRECTION_STEP = np.pi * (3.0 - np.sqrt(5.0))
"""Golden angle: any number of successive directions is spread evenly."""

Progress = Callable[[int], None]
"""Told the number of estimates that were made."""


@dataclass(frozen=True)
class Verdict:
    """What became of one pair.

    Attributes:
        name: of the pair.
        agrees: True where its estimate is part of the result.
        distance_px: mean distance of its estimate from the result in RGB pixels; NaN without one.
        expected_px: error that its estimate expects of itself in RGB pixels; NaN without one.
        reason: why it is not part of the result, for people; empty where it is.
    """

    name: str
    agrees: bool
    distance_px: float
    expected_px: float
    reason: str


@dataclass(frozen=True, eq=False)
class SelfCalibration:
    """What the pairs of a rig say together.

    Attributes:
        deformation: the best that is known; the first guess where nothing was found.
        corner_error_px: expected error of the corners of the RGB image in RGB pixels; NaN where
            nothing was found.
        verdicts: one for each pair, in their order.
        reason: why it is not settled, for people; empty where it is.
    """

    deformation: Deformation
    corner_error_px: float
    verdicts: tuple[Verdict, ...]
    reason: str

    @property
    def settled(self) -> bool:
        """True where enough pairs agree and the rig is known well enough."""
        return not self.reason

    @property
    def agreeing(self) -> int:
        """Number of pairs that agree."""
        return sum(verdict.agrees for verdict in self.verdicts)


class _Round(NamedTuple):
    """One estimate for each pair, which of them agree, and what they say together."""

    estimates: list[Estimate]
    distances: Array
    members: tuple[int, ...]
    fit: RigFit | None

    @property
    def support(self) -> float:
        """Confidence of all that agree."""
        return sum(self.estimates[index].deformation.confidence for index in self.members)


def self_calibrate(pairs: Sequence[NamedPair], estimator: Estimator, *,
                   initial: Deformation | None = None,
                   progress: Progress | None = None) -> SelfCalibration:
    """Find the deformation of a rig from pairs of images.

    Args:
        pairs: pairs of one rig that show different things (`pick_pairs`). Those whose images have
            other sizes than those of most are left out.
        estimator: what one pair says.
        initial: a first guess for images of the sizes of the pairs, tried before the search from
            nothing; None for none.
        progress: told after each estimate; `most_estimates` says how many there may be.

    Returns:
        The result, settled or not.

    Raises:
        CalibrationError: no pairs at all, or a first guess for images of other sizes.
    """
    if not pairs:
        raise CalibrationError(
            f'no pair of images, expected at least {LEAST_PAIRS} that show different things')
    sizes = Counter(pair.sizes for pair in pairs).most_common(1)[0][0]
    if initial is not None and (initial.rgb_size, initial.thermal_size) != sizes:
        raise CalibrationError(
            f'first guess is for images of {initial.rgb_size} and {initial.thermal_size}, the '
            f'images are {sizes[0]} and {sizes[1]} (use fitted_deformation)')
    search = _Search(pairs, estimator, Deformation.stretch(*sizes), initial, progress)
    return search.run()


def most_estimates(pairs: int) -> int:
    """Estimates that `self_calibrate` makes at most, for progress."""
    near = 2 + 2 * (_HYPOTHESES + 1)
    return pairs * (1 + near) + min(pairs, _ZOOM_PAIRS) * len(_ZOOMS)


class _Search:
    """The rounds over the same pairs."""

    def __init__(self, pairs: Sequence[NamedPair], estimator: Estimator, stretch: Deformation,
                 initial: Deformation | None, progress: Progress | None) -> None:
        self._pairs = pairs
        self._estimator = estimator
        self._stretch = stretch
        self._initial = initial
        self._progress = progress
        self._done = 0

    def run(self) -> SelfCalibration:
        """Try the first guess, then the search from nothing, then that with other zooms."""
        tried: list[_Round] = []
        if self._initial is not None:
            tried.append(self._near([self._initial]))
        found: list[Deformation] = []
        for starts in ([self._stretch], _zoomed(self._stretch)):
            if tried and not self._problem(tried[-1]):
                break
            # The other zooms are for finding a hypothesis; a few pairs are enough for that.
            asked = self._pairs if len(starts) == 1 else self._pairs[:_ZOOM_PAIRS]
            first = [[self._estimate(pair, start) for pair in asked] for start in starts]
            found += [estimate.deformation for estimates in first for estimate in estimates
                      if estimate.accepted]
            if found:
                tried.append(self._near(self._hypotheses(found)))
            elif len(starts) == 1:
                tried.append(_Round(first[0], np.full(len(self._pairs), np.nan), (), None))
        settled = [candidate for candidate in tried if not self._problem(candidate)]
        return self._result(max(settled or tried, key=lambda candidate: candidate.support))

    def _hypotheses(self, found: list[Deformation]) -> list[Deformation]:
        """What groups of estimates say that agree with each other, best supported first."""
        weights = np.array([max(deformation.confidence, 1e-3) for deformation in found])
        groups = clusters(found, weights, _REACH_FIRST * self._stretch.rgb_size[0])
        return [fit_rig([found[index] for index in group]).deformation
                for group in groups[:_HYPOTHESES]]

    def _near(self, hypotheses: Sequence[Deformation]) -> _Round:
        """Second and third round: which hypothesis the pairs come back to, and what they say."""
        best = max((self._round(hypothesis) for hypothesis in hypotheses),
                   key=lambda tried: tried.support)
        if best.fit is None:
            return best
        again = self._round(best.fit.deformation)
        return again if again.support >= best.support else best

    def _result(self, last: _Round) -> SelfCalibration:
        """Say what a round has found about the rig and about each pair."""
        verdicts = []
        for index, (pair, estimate) in enumerate(zip(self._pairs, last.estimates, strict=True)):
            apart = float(last.distances[index])
            agrees = index in last.members
            reason = '' if agrees else (
                f'lies {apart:.0f} px from the others' if estimate.accepted else estimate.reason)
            verdicts.append(Verdict(
                pair.name, agrees, apart,
                estimate.deformation.residual_px if estimate.accepted else float('nan'), reason))
        if last.fit is None:
            unknown = self._stretch if self._initial is None else self._initial
            return SelfCalibration(
                unknown, float('nan'), tuple(verdicts), self._problem(last))
        return SelfCalibration(last.fit.deformation, last.fit.corner_error_px, tuple(verdicts),
                               self._problem(last))

    def _round(self, hypothesis: Deformation) -> _Round:
        """Estimate each pair from a start beside a hypothesis and see which of them meet."""
        # Only the homography is given: what a pair inherits it would seem to confirm.
        bare = replace(hypothesis, grid=None, confidence_map=None,
                       source=DeformationSource.CALIBRATION)
        width = self._stretch.rgb_size[0]
        estimates = []
        for index, pair in enumerate(self._pairs):
            angle = index * _DIRECTION_STEP
            nudge = np.eye(3)
            nudge[:2, 2] = _NUDGE * width * np.array([np.cos(angle), np.sin(angle)])
            start = precomposed(bare, nudge)
            estimate = self._estimate(pair, start)
            if estimate.accepted and (
                    distances([estimate.deformation], start)[0] < _STAYS * _NUDGE * width):
                estimate = Estimate(start, False, 'says nothing: stays wherever it is started')
            estimates.append(estimate)
        accepted = [index for index, estimate in enumerate(estimates) if estimate.accepted]
        apart = np.full(len(estimates), np.nan)
        if not accepted:
            return _Round(estimates, apart, (), None)
        found = [estimates[index].deformation for index in accepted]
        trust = np.array([max(deformation.confidence, 1e-3) for deformation in found])
        best = clusters(found, trust, _REACH * width)[0]
        fit = fit_rig([found[index] for index in best])
        apart[accepted] = distances(found, fit.deformation)
        return _Round(estimates, apart, tuple(accepted[index] for index in best), fit)

    def _estimate(self, pair: NamedPair, start: Deformation) -> Estimate:
        """Ask one pair; what goes wrong with it is its own reason."""
        sizes = start.rgb_size, start.thermal_size
        if pair.sizes != sizes:
            found = Estimate(start, False, (
                f'images are {_times(pair.sizes[0])} and {_times(pair.sizes[1])}, those of most '
                f'pairs {_times(sizes[0])} and {_times(sizes[1])}'))
        else:
            try:
                found = self._estimator(pair.rgb, pair.thermal, start)
            except (IvifError, ArithmeticError, np.linalg.LinAlgError) as error:
                found = Estimate(start, False, f'estimate failed: {error}')
        self._done += 1
        if self._progress is not None:
            self._progress(self._done)
        return found

    def _problem(self, last: _Round) -> str:
        """Why a result is not settled; empty where it is."""
        pairs = len(self._pairs)
        accepted = sum(estimate.accepted for estimate in last.estimates)
        agreeing = len(last.members)
        if not accepted:
            reasons = Counter(estimate.reason for estimate in last.estimates)
            return f'no pair says anything about the rig: {reasons.most_common(1)[0][0]}'
        if pairs < LEAST_PAIRS:
            return (f'only {pairs} {"pair shows" if pairs == 1 else "pairs show"} something new, '
                    f'at least {LEAST_PAIRS} are needed: let the rig or the scene move')
        if agreeing < LEAST_PAIRS or agreeing < LEAST_SHARE * accepted:
            return (f'only {agreeing} of {pairs} pairs agree with each other ({accepted} of them '
                    f'are credible by themselves), at least {LEAST_PAIRS} and {LEAST_SHARE:.0%} of '
                    'the credible ones are needed: more pairs with structure that both cameras see '
                    'help, or a first guess')
        assert last.fit is not None
        most = LARGEST_ERROR * float(np.hypot(*self._stretch.rgb_size))
        if last.fit.corner_error_px > most:
            return (f'the corners are known to {last.fit.corner_error_px:.0f} px only, at most '
                    f'{most:.0f} px are wanted: more pairs help')
        return ''


def _zoomed(stretch: Deformation) -> list[Deformation]:
    """Starts for lenses of other fields of view: square pixels, common centre, several zooms."""
    rgb, thermal = np.array(stretch.rgb_size), np.array(stretch.thermal_size)
    centre, target = (rgb - 1.0) / 2.0, (thermal - 1.0) / 2.0
    starts = []
    for zoom in _ZOOMS:
        scale = zoom * float((thermal / rgb).min())
        homography = np.diag([scale, scale, 1.0])
        homography[:2, 2] = target - scale * centre
        starts.append(replace(stretch, homography=homography))
    return starts


def _times(size: Size) -> str:
    return f'{size[0]}x{size[1]}'
