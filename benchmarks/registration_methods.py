# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Ways to register a pair: ours, what OpenCV offers, and nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from registration_data import Case

from ivif_ros.parameters import RegistrationParameters
from ivif_ros.registration import Estimate, dense_map, rescaled
from ivif_ros.registration.estimate import default_estimator
from ivif_ros.registration.maps import apply_homography, grid_nodes, precomposed, thermal_scale
from ivif_ros.types import Array, Deformation

_ECC_WIDTH = 320
_DIS_WIDTH = 640
ESTIMATOR = default_estimator()
Method = Callable[[Case], Estimate]
"""Gives what a node would use: the first guess where an estimate is not accepted."""


def nothing(case: Case) -> Estimate:
    """The first guess: the thermal image stretched onto the RGB image, or the calibration."""
    return Estimate(case.initial, True, '')


def ours(case: Case) -> Estimate:
    """The estimator of this package, believed as far as the tracker believes it."""
    found = ESTIMATOR(case.rgb, case.thermal, case.initial)
    least = RegistrationParameters().min_confidence
    if found.accepted and found.deformation.confidence >= least:
        return found
    reason = found.reason or f'confidence {found.deformation.confidence:.2f}'
    return Estimate(case.initial, False, reason)


def ecc(case: Case) -> Estimate:
    """OpenCV's ECC for a homography on gradient magnitudes; accepted where it says it converged."""
    (rgb, thermal, inside), work = _on_one_grid(case, _ECC_WIDTH)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-5)
    try:
        _, warp = cv2.findTransformECC(
            _gradient(rgb), _gradient(thermal), np.eye(3, dtype=np.float32),
            cv2.MOTION_HOMOGRAPHY, criteria, inside, 5)
    except cv2.error as error:
        return Estimate(case.initial, False, str(error))
    to_rgb = Deformation.stretch(work.rgb_size, case.initial.rgb_size).homography
    correction = to_rgb @ warp.astype(np.float64) @ np.linalg.inv(to_rgb)
    return Estimate(precomposed(case.initial, correction), True, '')


def dis(case: Case) -> Estimate:
    """OpenCV's DIS optical flow between gradient magnitudes."""
    (rgb, thermal, _), work = _on_one_grid(case, _DIS_WIDTH)
    method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = method.calc(_eight_bits(_gradient(rgb)), _eight_bits(_gradient(thermal)), None)
    pixels = grid_nodes(work.rgb_size, *work.rgb_size).astype(np.float32)
    mapped = cv2.remap(dense_map(work), pixels + flow, None, cv2.INTER_LINEAR,
                       borderMode=cv2.BORDER_REPLICATE)
    grid = mapped - apply_homography(work.homography, pixels)
    found = replace(work, grid=grid)
    return Estimate(rescaled(found, case.initial.rgb_size, case.initial.thermal_size), True, '')


METHODS: dict[str, Method] = {'nothing': nothing, 'ecc': ecc, 'dis': dis, 'ours': ours}


def _on_one_grid(case: Case, width: int) -> tuple[tuple[Array, Array, Array], Deformation]:
    """Both images on one grid by the first guess, where the thermal one shows, and that guess."""
    rgb_size = case.initial.rgb_size
    size = width, round(width * rgb_size[1] / rgb_size[0])
    work = rescaled(case.initial, size, case.initial.thermal_size)
    grey = cv2.cvtColor(cv2.resize(case.rgb, size, interpolation=cv2.INTER_AREA),
                        cv2.COLOR_BGR2GRAY)
    x, y = cv2.split(dense_map(work))
    shrink = thermal_scale(work)
    # A thermal image that gets smaller is blurred first, so that it does not alias.
    thermal = cv2.GaussianBlur(case.thermal, (0, 0), 0.45 * shrink) if shrink > 1.2 else (
        case.thermal)
    thermal = cv2.remap(thermal, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.bitwise_and(cv2.inRange(x, 0.0, case.thermal.shape[1] - 1.0),
                             cv2.inRange(y, 0.0, case.thermal.shape[0] - 1.0))
    return (grey, thermal, inside), work


def _gradient(image: Array) -> Array:
    image = cv2.GaussianBlur(image, (0, 0), 1.0).astype(np.float32)
    return np.asarray(cv2.magnitude(cv2.Sobel(image, cv2.CV_32F, 1, 0),
                                    cv2.Sobel(image, cv2.CV_32F, 0, 1)))


def _eight_bits(image: Array) -> Array:
    high = max(float(np.percentile(image, 99)), 1e-6)
    return np.asarray(np.clip(image * (255 / high), 0, 255).astype(np.uint8))
