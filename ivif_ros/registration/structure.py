# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What both modalities share without learning: structure, directions of edges, likely shifts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ivif_ros.registration.correlation import shift_products
from ivif_ros.registration.windows import box, joined, spread, windowed

EDGE_REACH = 3
"""Cells by which directions of edges are compared."""
SCALES = (1, 2, 4)
"""Factors by which cells of 4x4 pixels are joined before comparisons are averaged."""
SHARPNESS = (10.0, 20.0, 40.0)
"""Factor of an average before the softmax, for each scale: it was chosen for the accuracy of global
fits on validation pairs."""
PROPOSALS = 2 * len(SCALES)

_CELL = 8
_AROUND = 9
_STRICT = 160.0
_OUTLIERS = 0.3
_LEAST_GRADIENT = 8e-3
"""Gradient (Sobel, of grey levels in 0..1) that counts as noise."""


def structure(image: Tensor, grey: bool = True) -> Tensor:
    """Describe an image by what both modalities share.

    Args:
        image: (n, 1, h, w) float32 in 0..1.
        grey: also give the grey level.

    Returns:
        (n, 4, h, w): grey level relative to its surroundings (left out where it is not wanted),
        strength of the gradient relative to that of the surroundings, and its direction modulo 180
        degrees as cosine and sine of the double angle, as long as the strength (a contrast that is
        inverted between the modalities has the same).
    """
    padded = functional.pad(image, (1, 1, 1, 1), mode='replicate')
    # Sobel in two short passes.
    smooth = torch.add(padded[:, :, :-2] + padded[:, :, 2:], padded[:, :, 1:-1], alpha=2)
    x = smooth[..., 2:] - smooth[..., :-2]
    smooth = torch.add(padded[..., :-2] + padded[..., 2:], padded[..., 1:-1], alpha=2)
    y = smooth[:, :, 2:] - smooth[:, :, :-2]
    xx, yy = x * x, y * y
    strength = (xx + yy).add_(_LEAST_GRADIENT ** 2).sqrt_()
    around = _surroundings(strength).add_(4 * _LEAST_GRADIENT)
    turn = (strength * around).reciprocal_()
    planes = [strength / around, xx.sub_(yy).mul_(turn), x.mul_(y).mul_(turn).mul_(2)]
    if grey:
        mean, square = _surroundings(image), _surroundings(image * image)
        deviation = square.addcmul_(mean, mean, value=-1).clamp_min_(0).sqrt_().add_(0.02)
        planes.insert(0, (image - mean).div_(deviation))
    return torch.cat(planes, dim=1)


def edge_directions(shape: Tensor) -> tuple[Tensor, Tensor]:
    """Directions of edges in cells, as strong as the others around them.

    Args:
        shape: (n, 3 or 4, h, w), see `structure`.

    Returns:
        (n, 2, h / 2, w / 2) and (n, 2, h / 4, w / 4): cosine and sine of the double angle, with
        the root of the strength, divided by the root mean square around.
    """
    half = _halved(shape[:, -2:] / shape[:, -3:-2].sqrt().add_(0.1))
    return _evened(half), _evened(_halved(half))


def _evened(edges: Tensor) -> Tensor:
    rows, columns = edges.shape[2:]
    energy = windowed(edges.square().sum(1, keepdim=True), box(rows, _AROUND, edges.device),
                      box(columns, _AROUND, edges.device))
    return edges / energy.sqrt_().add_(0.05)


def _surroundings(plane: Tensor) -> Tensor:
    """Smooth means over about 17 pixels, by way of cells of 8x8 pixels."""
    rows, columns = plane.shape[2:]
    cells = windowed(plane, joined(rows, _CELL, 0, plane.device),
                     joined(columns, _CELL, 0, plane.device))
    return windowed(cells, spread(rows, _CELL, plane.device),
                    spread(columns, _CELL, plane.device))


def _halved(planes: Tensor) -> Tensor:
    """Mean of 2x2 cells; several times faster on a CPU than pooling."""
    rows = planes[:, :, ::2] + planes[:, :, 1::2]
    return (rows[..., ::2] + rows[..., 1::2]).mul_(0.25)


def edge_products(rgb: Tensor, thermal: Tensor, fine: bool, reach: int = EDGE_REACH) -> Tensor:
    """Compare directions of edges around each cell of 4x4 pixels.

    Args:
        rgb: (n, 2, rows, columns), see `edge_directions`.
        thermal: the same of the thermal images.
        fine: they are of cells of 2x2 pixels, of which four are joined.
        reach: largest shift.

    Returns:
        (n, (2 reach + 1)^2, h / 4, w / 4) float32 products of the directions at shifts of 2 pixels
        where fine, else of 4.
    """
    return shift_products(rgb, thermal, reach, 2 if fine else 1)


def shift_likelihood(products: Tensor, scale: int, sharpness: float) -> Tensor:
    """Likelihood of each shift, from comparisons averaged over about six joined cells.

    Args:
        products: see `edge_products`.
        scale: factor by which cells are joined.
        sharpness: factor before the softmax.

    Returns:
        (n, (2 reach + 1)^2, h / 4 / scale, w / 4 / scale), sums of 1.
    """
    return (_averaged(products, scale) * sharpness).softmax(1)


def _averaged(products: Tensor, scale: int) -> Tensor:
    """Means over joined cells and, twice, over the 3x3 around each."""
    rows, columns = products.shape[2:]
    return windowed(products, joined(rows, scale, 2, products.device),
                    joined(columns, scale, 2, products.device))


def evidence(rgb: Tensor, thermal: Tensor) -> float:
    """How much the edges of two images speak for no shift at all, against any shift.

    The mean log likelihood ratio of cells of 16x16 pixels, some of which may be outliers. For pairs
    that belong together it is above 2.5 where they are registered and about -1 where they are
    not; for strange pairs, and noise, it is below 0.7 after all that was fitted to them.

    Args:
        rgb: (1, 2, h / 2, w / 2), see `edge_directions`.
        thermal: the same of the thermal image.
    """
    likelihood = shift_likelihood(edge_products(rgb, thermal, True), SCALES[-1], _STRICT)
    shifts = likelihood.shape[1]
    ratio = (1 - _OUTLIERS) * shifts * likelihood[:, shifts // 2] + _OUTLIERS
    return float(ratio.log().mean())


def shift_proposals(rgb: tuple[Tensor, Tensor], thermal: tuple[Tensor, Tensor]) -> Tensor:
    """Mean shift of each cell and its spread, for shifts of two sizes and surroundings of three.

    Args:
        rgb: see `edge_directions`.
        thermal: the same of the thermal images.

    Returns:
        (n, PROPOSALS, 3, h / 4, w / 4): x, y and spread in cells of 4 pixels.
    """
    steps = torch.arange(-EDGE_REACH, EDGE_REACH + 1, device=rgb[0].device, dtype=torch.float32)
    side = len(steps)
    x, y = steps.repeat(side), steps.repeat_interleave(side)
    moments = torch.stack([x, y, x * x + y * y])
    found = []
    for level, size in ((0, 0.5), (1, 1.0)):
        products = edge_products(rgb[level], thermal[level], fine=level == 0)
        for scale, sharpness in zip(SCALES, SHARPNESS, strict=True):
            likelihood = shift_likelihood(products, scale, sharpness)
            mean = (moments @ likelihood.flatten(2)).unflatten(2, likelihood.shape[2:])
            variance = mean[:, 2:] - mean[:, :2].square().sum(1, keepdim=True)
            proposal = size * torch.cat([mean[:, :2], variance.clamp_min(0).sqrt()], dim=1)
            found.append(proposal if scale == 1 else functional.interpolate(
                proposal, scale_factor=scale, mode='bilinear', align_corners=False))
    return torch.stack(found, dim=1)
