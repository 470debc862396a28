# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What can be done with a deformation: evaluate, compose, blend and re-express it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from ivif_ros.errors import CalibrationError
from ivif_ros.types import Array, Deformation, Size

NOWHERE = -1e4
"""Thermal coordinate of RGB pixels that lie behind the thermal camera."""

_SMALLEST_W = 1e-6


def grid_nodes(size: Size, columns: int, rows: int) -> Array:
    """RGB pixels on which the nodes of a displacement grid stand.

    Args:
        size: width, height of the RGB image in pixels.
        columns: nodes across.
        rows: nodes down.

    Returns:
        (rows, columns, 2) float64 x, y.
    """
    x = np.linspace(0.0, size[0] - 1.0, columns)
    y = np.linspace(0.0, size[1] - 1.0, rows)
    return np.stack(np.meshgrid(x, y), axis=-1)


def apply_homography(homography: Array, points: Array) -> Array:
    """Map points by a homography, `(x', y') = (u / w, v / w)` with `(u, v, w) = H (x, y, 1)`.

    Args:
        homography: (3, 3).
        points: (..., 2).

    Returns:
        (..., 2) float64; NOWHERE where w is not positive.
    """
    points = np.asarray(points, np.float64)
    mapped = points @ homography[:, :2].T + homography[:, 2]
    w = mapped[..., 2:]
    front = w > _SMALLEST_W
    mapped = np.where(front, mapped[..., :2] / np.where(front, w, 1.0), NOWHERE)
    return np.asarray(mapped)


def sample_grid(grid: Array, size: Size, points: Array) -> Array:
    """Bilinear displacement at any RGB pixel; outside the image the border value is kept.

    Args:
        grid: (gh, gw, 2) displacement, see `Deformation`.
        size: width, height of the RGB image in pixels.
        points: (..., 2) RGB pixels.

    Returns:
        (..., 2) float64 displacement in thermal pixels.
    """
    rows, columns = grid.shape[:2]
    x = np.clip(points[..., 0] * (columns - 1) / max(size[0] - 1, 1), 0, columns - 1)
    y = np.clip(points[..., 1] * (rows - 1) / max(size[1] - 1, 1), 0, rows - 1)
    column = np.minimum(x.astype(np.intp), columns - 2)
    row = np.minimum(y.astype(np.intp), rows - 2)
    fx, fy = (x - column)[..., None], (y - row)[..., None]
    grid = grid.astype(np.float64)
    top = grid[row, column] * (1 - fx) + grid[row, column + 1] * fx
    bottom = grid[row + 1, column] * (1 - fx) + grid[row + 1, column + 1] * fx
    return np.asarray(top * (1 - fy) + bottom * fy)


def points_to_thermal(deformation: Deformation, points: Array) -> Array:
    """Map RGB pixels to thermal pixels, for example the corners of boxes.

    Args:
        deformation: backward map RGB -> thermal.
        points: (n, 2) RGB pixels x, y; need not lie inside the image.

    Returns:
        (n, 2) float64 thermal pixels x, y; NOWHERE for points behind the thermal camera.
    """
    points = np.asarray(points, np.float64)
    mapped = apply_homography(deformation.homography, points)
    if deformation.grid is not None:
        mapped = mapped + sample_grid(deformation.grid, deformation.rgb_size, points)
    return np.asarray(mapped)


def dense_map(deformation: Deformation) -> Array:
    """Thermal pixel of every RGB pixel.

    Args:
        deformation: backward map RGB -> thermal.

    Returns:
        (H, W, 2) float32 thermal x, y on the RGB grid; about NOWHERE behind the thermal camera.
    """
    return np.asarray(cv2.merge(map_planes(deformation)))


def map_planes(deformation: Deformation) -> tuple[Array, Array]:
    """Thermal pixel of every RGB pixel, x and y apart (twice as fast to make and to use).

    Args:
        deformation: backward map RGB -> thermal.

    Returns:
        Two (H, W) float32 arrays; about NOWHERE behind the thermal camera.
    """
    width, height = deformation.rgb_size
    h = deformation.homography
    # Each row of H is a sum of one term per column and one per row: two small vectors instead of a
    # product per pixel, made in float64 so that nothing is lost.
    across = (h[:, 0, None] * np.arange(width)).astype(np.float32)
    down = (h[:, 1, None] * np.arange(height) + h[:, 2, None])[:, :, None].astype(np.float32)
    planes = across[0] + down[0], across[1] + down[1]
    if h[2, 0] == 0 and h[2, 1] == 0 and h[2, 2] > 0:
        if h[2, 2] != 1:
            for plane in planes:
                plane *= np.float32(1 / h[2, 2])
    else:
        w = across[2] + down[2]
        behind = w <= _SMALLEST_W if w.min() <= _SMALLEST_W else None
        for plane in planes:
            np.divide(plane, w, out=plane, where=True if behind is None else ~behind)
            if behind is not None:
                plane[behind] = NOWHERE
    if deformation.grid is not None:
        for axis, plane in enumerate(planes):
            _add_grid(plane, deformation.grid[..., axis])
    return planes


def _add_grid(plane: Array, grid: Array) -> None:
    """Add a displacement grid (gh, gw), bilinearly interpolated, to a plane (H, W) in place."""
    height, width = plane.shape
    rows, columns = grid.shape
    position = np.linspace(0.0, columns - 1.0, width)
    hats = np.maximum(1.0 - np.abs(position - np.arange(columns)[:, None]), 0.0)
    across = grid @ hats.astype(np.float32)
    position = np.linspace(0.0, rows - 1.0, height)
    band = np.minimum(position.astype(np.intp), rows - 2)
    starts = np.searchsorted(band, np.arange(rows))
    share = (position - band).astype(np.float32)[:, None]
    for row in range(rows - 1):
        part = slice(starts[row], starts[row + 1])
        if part.start < part.stop:
            plane[part] += across[row]
            plane[part] += share[part] * (across[row + 1] - across[row])


def rescaled(deformation: Deformation, rgb_size: Size, thermal_size: Size) -> Deformation:
    """The same map between images of other sizes (same fields of view, resized).

    Args:
        deformation: backward map RGB -> thermal.
        rgb_size: width, height that RGB images have now.
        thermal_size: width, height that thermal images have now.

    Returns:
        The deformation itself where nothing changes.
    """
    if deformation.rgb_size == rgb_size and deformation.thermal_size == thermal_size:
        return deformation
    to_old = Deformation.stretch(rgb_size, deformation.rgb_size).homography
    to_new = Deformation.stretch(deformation.thermal_size, thermal_size).homography
    grid = deformation.grid
    if grid is not None:
        nodes = grid_nodes(rgb_size, grid.shape[1], grid.shape[0])
        scale = np.array([to_new[0, 0], to_new[1, 1]])
        # Outer nodes stand on pixel centres, which are other points of the scene in an image of
        # another size.
        grid = sample_grid(grid, deformation.rgb_size, apply_homography(to_old, nodes)) * scale
    return replace(
        deformation, rgb_size=rgb_size, thermal_size=thermal_size, grid=grid,
        homography=to_new @ deformation.homography @ to_old,
        residual_px=deformation.residual_px * rgb_size[0] / deformation.rgb_size[0])


def precomposed(deformation: Deformation, correction: Array) -> Deformation:
    """The map that first moves the RGB pixel: `x -> deformation(correction(x))`.

    Args:
        deformation: backward map RGB -> thermal.
        correction: (3, 3) homography RGB pixel -> RGB pixel.

    Returns:
        The composition; its grid is sampled anew at the moved nodes.
    """
    homography = deformation.homography @ correction
    grid = deformation.grid
    if grid is not None:
        nodes = grid_nodes(deformation.rgb_size, grid.shape[1], grid.shape[0])
        grid = sample_grid(grid, deformation.rgb_size, apply_homography(correction, nodes))
    return replace(deformation, homography=homography / abs(homography[2, 2] or 1.0), grid=grid)


def corners(size: Size) -> Array:
    """(4, 2) float64 outer pixel centres of an image, clockwise from the top left."""
    right, bottom = size[0] - 1.0, size[1] - 1.0
    return np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]])


def blend(first: Deformation, second: Deformation, share: float) -> Deformation:
    """Move part of the way from one deformation to another.

    Homographies are blended by where they put the corners of the image, which stays meaningful
    where the entries of the matrices do not; grids node by node.

    Args:
        first: where to start.
        second: where to go; the result carries its confidence, residual and source.
        share: 0 gives first, 1 gives second.

    Returns:
        The deformation between them.

    Raises:
        CalibrationError: different image sizes.
    """
    if first.rgb_size != second.rgb_size or first.thermal_size != second.thermal_size:
        raise CalibrationError(
            f'deformations of {first.rgb_size} -> {first.thermal_size} and {second.rgb_size} -> '
            f'{second.thermal_size} cannot be blended, expected equal sizes (use rescaled)')
    if share >= 1.0:
        return second
    source = corners(first.rgb_size)
    one = apply_homography(first.homography, source)
    two = apply_homography(second.homography, source)
    homography = cv2.getPerspectiveTransform(
        source.astype(np.float32), (one + share * (two - one)).astype(np.float32))
    grid = None
    if first.grid is not None or second.grid is not None:
        shape = max((d.grid.shape[:2] for d in (first, second) if d.grid is not None),
                    key=lambda nodes: int(np.prod(nodes)))
        nodes = grid_nodes(first.rgb_size, shape[1], shape[0])
        a, b = (np.zeros(nodes.shape) if d.grid is None else sample_grid(d.grid, d.rgb_size, nodes)
                for d in (first, second))
        grid = a + share * (b - a)
    return replace(second, homography=homography, grid=grid)


def distance_px(first: Deformation, second: Deformation) -> float:
    """How far two deformations of the same sizes lie apart, on average over the image.

    Returns:
        Mean distance in RGB pixels: thermal distance divided by the scale of the first map.
    """
    nodes = grid_nodes(first.rgb_size, 9, 7).reshape(-1, 2)
    apart = points_to_thermal(first, nodes) - points_to_thermal(second, nodes)
    return float(np.linalg.norm(apart, axis=1).mean() / thermal_scale(first))


def thermal_scale(deformation: Deformation) -> float:
    """Thermal pixels per RGB pixel at the centre of the image."""
    centre = (np.array(deformation.rgb_size) - 1.0) / 2.0
    cross = centre + np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]])
    left, right, top, bottom = points_to_thermal(deformation, cross)
    area = abs(float(np.linalg.det(np.stack([right - left, bottom - top])))) / 4.0
    return max(float(np.sqrt(area)), 1e-6)
