# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Alignment of two descriptions of structure: search over the whole image, then descent.

Corrections are homographies from RGB pixels to RGB pixels of one pyramid level: the thermal
image, laid on the RGB grid by the first guess, is sampled at the corrected pixel.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np

from ivif_ros.registration.features import channel_product, orientation_channels
from ivif_ros.types import Array

MARGIN = 0.2
"""Share of the RGB width by which the thermal canvas is larger than the RGB image on each side."""
_LEAST_OVERLAP = 0.4
_CELLS = 20
_PARAMETERS = {'similarity': 4, 'affine': 6, 'homography': 8}
_STIFFNESS = np.array([0.0, 0.0, 0.004, 0.004, 0.004, 0.004, 0.03, 0.03])
"""How much the parameters resist, relative to the information on shifts: structure on one side of
the image only must not bend the other side."""


class Level(NamedTuple):
    """One pyramid level.

    Attributes:
        rgb: (h, w, 4) float32 structure of the RGB image.
        rgb_energy: (h, w) float32 squared length of it.
        thermal: (ch, cw, 4) float32 structure of the thermal canvas, 0 where it shows nothing.
        valid: (ch, cw) float32, 1 where the canvas shows the thermal image.
        margin: pixels that the canvas is larger on each side.
    """

    rgb: Array
    rgb_energy: Array
    thermal: Array
    valid: Array
    margin: int

    @property
    def to_canvas(self) -> Array:
        """(3, 3) RGB pixel of this level -> canvas pixel."""
        return np.array([[1.0, 0, self.margin], [0, 1.0, self.margin], [0, 0, 1.0]])


class Fit(NamedTuple):
    """A correction and how well it fits.

    Attributes:
        correction: (3, 3) homography RGB pixel -> RGB pixel of the level.
        correlation: normalised correlation of the structure in the overlap, -1..1.
        overlap: share of the RGB image that the thermal image covers.
    """

    correction: Array
    correlation: float
    overlap: float


def make_level(rgb: Array, canvas: Array, valid: Array, margin: int, sigma: float) -> Level:
    """Describe both images.

    Args:
        rgb: (h, w) float32 luminance.
        canvas: (h + 2 margin, w + 2 margin) float32 thermal image.
        valid: same shape, uint8, 255 where the canvas shows the thermal image.
        margin: pixels.
        sigma: blur of the description in pixels.

    Returns:
        The level.
    """
    # Structure next to the border of the thermal image is made by the border.
    reach = 2 * round(1.5 * sigma) + 3
    inner = cv2.erode(valid, np.ones((reach, reach), np.uint8), borderValue=255)
    weight = inner.astype(np.float32) / 255
    thermal = orientation_channels(canvas, sigma)
    thermal *= weight[..., None]
    structure = orientation_channels(rgb, sigma)
    return Level(structure, channel_product(structure, structure), thermal, weight, margin)


def search(level: Level, shapes: Iterable[Array], keep: int) -> list[tuple[float, Array]]:
    """Best shifts for each of several shapes by normalised cross-correlation (FFT).

    Args:
        level: the coarsest level.
        shapes: (2, 2) matrices, applied about the centre of the image before the shift.
        keep: how many corrections to return.

    Returns:
        (correlation, (3, 3) correction), best first.
    """
    h, w = level.rgb.shape[:2]
    ch, cw = level.valid.shape
    size = cv2.getOptimalDFTSize(ch), cv2.getOptimalDFTSize(cw)
    # Shifts are limited to the margins, so that nothing wraps around in a transform of this size.
    shifts = slice(0, 2 * level.margin + 1)
    reference = np.fft.rfft2(level.rgb.transpose(2, 0, 1), size).conj()
    reference_energy = np.fft.rfft2(level.rgb_energy, size).conj()
    ones = np.fft.rfft2(np.ones((h, w), np.float32), size).conj()
    centre = np.array([(cw - 1) / 2, (ch - 1) / 2])
    offset = np.arange(2 * level.margin + 1) - level.margin
    far = (offset[:, None] ** 2 + offset[None] ** 2) / max(level.margin, 1) ** 2
    found = []
    for shape in shapes:
        affine = np.hstack([shape, (centre - shape @ centre)[:, None]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        thermal = cv2.warpAffine(level.thermal, affine, (cw, ch), flags=flags)
        valid = cv2.warpAffine(level.valid, affine, (cw, ch), flags=flags)
        shown = np.fft.rfft2(valid, size)
        energy = np.fft.rfft2(channel_product(thermal, thermal), size)
        product = np.fft.irfft2(
            (np.fft.rfft2(thermal.transpose(2, 0, 1), size) * reference).sum(axis=0), size)
        thermal_energy = np.fft.irfft2(energy * ones, size)
        rgb_energy = np.fft.irfft2(shown * reference_energy, size)
        overlap = np.fft.irfft2(shown * ones, size) / (w * h)
        correlation = product / np.sqrt(np.maximum(thermal_energy * rgb_energy, 1e-6))
        correlation[overlap < _LEAST_OVERLAP] = -1.0
        # Of two equal peaks the one nearer to the first guess is right more often.
        score = correlation[shifts, shifts] - 0.03 * far
        row, column = np.unravel_index(int(score.argmax()), score.shape)
        shift = np.array([[1.0, 0, column], [0, 1.0, row], [0, 0, 1.0]])
        correction = np.linalg.inv(level.to_canvas) @ np.vstack([affine, [0, 0, 1]]) @ shift
        found.append((float(score[row, column]), correction))
    found.sort(key=lambda item: -item[0])
    return found[:keep]


def descend(level: Level, correction: Array, model: str, iterations: int) -> Fit:
    """Climb the correlation by Gauss-Newton steps from a correction nearby.

    The image is divided into cells. For each cell the gradient of the correlation is taken in its
    antisymmetric form `1/2 (f grad g - g grad f)`, which is zero for identical images whatever
    their content, and the information from the structure tensor of the RGB image. Cells that
    agree weigh more.

    Args:
        level: both descriptions.
        correction: (3, 3) to start from.
        model: `similarity`, `affine` or `homography`.
        iterations: steps at most.

    Returns:
        The fit that was reached.
    """
    h, w = level.rgb.shape[:2]
    columns, rows = _CELLS, max(round(_CELLS * h / w), 3)
    half = w / 2
    normalise = np.array([[half, 0, (w - 1) / 2], [0, half, (h - 1) / 2], [0, 0, 1.0]])
    jacobian = half * _jacobian(columns, rows, w, h, model)
    rgb_x, rgb_y = _slope(level.rgb, 1, 0), _slope(level.rgb, 0, 1)
    information = cv2.resize(
        cv2.merge([channel_product(rgb_x, rgb_x), channel_product(rgb_x, rgb_y),
                   channel_product(rgb_y, rgb_y)]), (columns, rows),
        interpolation=cv2.INTER_AREA)
    tensor = information[..., [0, 1, 1, 2]].reshape(rows, columns, 2, 2)
    hessians = np.einsum('ijkp,ijkl,ijlq->ijpq', jacobian, tensor, jacobian)
    stiffness = np.diag(_STIFFNESS[:jacobian.shape[-1]])
    for step in range(iterations + 1):
        state = _state(level, correction, columns, rows)
        if step == iterations:
            break
        weight = state.agreement * state.valid
        gradients = np.einsum('ijkp,ijk->ijp', jacobian, state.gradient)
        change = _solve(hessians, gradients, weight, stiffness)
        # Where the images agree badly the true curvature is smaller than the information.
        change *= np.clip(1.0 / max(state.correlation, 0.1), 1.0, 2.0)
        change = np.clip(change, -0.08, 0.08)
        correction = correction @ normalise @ _increment(change) @ np.linalg.inv(normalise)
        correction = correction / correction[2, 2]
        if np.abs(change).max() * half < 0.02:
            iterations = min(iterations, step + 1)
    return Fit(correction, state.correlation, state.overlap)


class _State(NamedTuple):
    gradient: Array
    agreement: Array
    valid: Array
    correlation: float
    overlap: float


def _state(level: Level, correction: Array, columns: int, rows: int) -> _State:
    """Compare the images under a correction, cell by cell."""
    h, w = level.rgb.shape[:2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    place = level.to_canvas @ correction
    thermal = cv2.warpPerspective(level.thermal, place, (w, h), flags=flags)
    valid = cv2.warpPerspective(level.valid, place, (w, h), flags=flags)
    product = channel_product(level.rgb, thermal)
    # 1/2 (f grad g - g grad f) = f grad g - 1/2 grad (f g): fewer products over the channels.
    planes = [
        channel_product(level.rgb, _slope(thermal, 1, 0)) - 0.5 * _slope(product, 1, 0),
        channel_product(level.rgb, _slope(thermal, 0, 1)) - 0.5 * _slope(product, 0, 1),
        product, valid]
    cells = cv2.resize(cv2.merge(planes), (columns, rows), interpolation=cv2.INTER_AREA)
    shown = cells[..., 3]
    # The thermal structure is zero where nothing is shown.
    energy = float(np.vdot(level.rgb_energy, valid)) * cv2.norm(thermal, cv2.NORM_L2SQR)
    agree = np.maximum(cells[..., 2], 0.0)
    return _State(
        cells[..., :2], agree / (agree + 0.15 * np.maximum(shown, 1e-3)), shown,
        float(product.sum()) / max(energy, 1e-12) ** 0.5, float(shown.mean()))


def _slope(image: Array, dx: int, dy: int) -> Array:
    return np.asarray(cv2.Sobel(image, cv2.CV_32F, dx, dy, scale=0.125))


def _solve(hessians: Array, gradients: Array, weight: Array, stiffness: Array) -> Array:
    hessian = np.einsum('ijpq,ij->pq', hessians, weight)
    gradient = np.einsum('ijp,ij->p', gradients, weight)
    scale = max(float(np.trace(hessian)) / len(hessian), 1e-9)
    return np.linalg.solve(
        hessian + scale * (stiffness + 1e-4 * np.eye(len(hessian))), gradient)


def _jacobian(columns: int, rows: int, w: int, h: int, model: str) -> Array:
    """Motion of the cell centres (rows, columns, 2, n) per parameter, in half widths."""
    x = (((np.arange(columns) + 0.5) * w / columns - 0.5) - (w - 1) / 2) / (w / 2)
    y = (((np.arange(rows) + 0.5) * h / rows - 0.5) - (h - 1) / 2) / (w / 2)
    x, y = np.meshgrid(x, y)
    one, zero = np.ones_like(x), np.zeros_like(x)
    across = [one, zero, x, -y, x, y, x * x, x * y]
    down = [zero, one, y, x, -y, x, x * y, y * y]
    count = _PARAMETERS[model]
    return np.stack([np.stack(across[:count], -1), np.stack(down[:count], -1)], axis=-2)


def _increment(change: Array) -> Array:
    """Homography of a small change: shift, zoom, turn, two shears, two perspectives."""
    full = np.zeros(8)
    full[:len(change)] = change
    tx, ty, zoom, turn, stretch, shear, px, py = full
    return np.array([[1 + zoom + stretch, shear - turn, tx], [shear + turn, 1 + zoom - stretch, ty],
                     [-px, -py, 1.0]])
