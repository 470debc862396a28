# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What can be done with a deformation: evaluate, compose and re-express it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from ivif_ros.types import Array, Deformation, Size

NOWHERE = -1e4
"""Thermal coordinate of RGB pixels that lie behind the thermal camera."""

_SMALLEST_W = 1e-6
_DENSE_PX = 10
"""Distance of nodes up to which a homography is as good as linear between them."""


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


def sample_confidence(trust: Array, size: Size, points: Array) -> Array:
    """Bilinear confidence at any RGB pixel; outside the image the border value is kept.

    Args:
        trust: (rows, columns) confidence map, see `Deformation`.
        size: width, height of the RGB image in pixels.
        points: (..., 2) RGB pixels.

    Returns:
        (...) float64 in 0..1.
    """
    return np.asarray(sample_grid(trust[..., None], size, points)[..., 0])


def resampled_confidence(trust: Array, columns: int, rows: int) -> Array:
    """Confidence map on another number of nodes over the same image.

    Args:
        trust: confidence map, see `Deformation`.
        columns: nodes across.
        rows: nodes down.

    Returns:
        (rows, columns) in 0..1.
    """
    if trust.shape == (rows, columns):
        return trust
    return sample_confidence(trust, (3, 3), grid_nodes((3, 3), columns, rows))


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
    grid = deformation.grid
    if grid is not None and (width - 1 <= _DENSE_PX * (grid.shape[1] - 1)
                             and height - 1 <= _DENSE_PX * (grid.shape[0] - 1)):
        # Between nodes this near each other a homography bends by less than 0.01 px, so that all
        # is known at the nodes.
        nodes = grid_nodes(deformation.rgb_size, grid.shape[1], grid.shape[0])
        mapped = apply_homography(h, nodes)
        if mapped.min() > NOWHERE:
            mapped += grid
            return (expanded(mapped[..., 0], deformation.rgb_size),
                    expanded(mapped[..., 1], deformation.rgb_size))
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
    if grid is not None:
        for axis, plane in enumerate(planes):
            plane += expanded(grid[..., axis], deformation.rgb_size)
    return planes


@lru_cache(maxsize=8)
def _hats(pixels: int, nodes: int) -> Array:
    """Weight of each node at each pixel of a row or column, (nodes, pixels) float32."""
    position = np.linspace(0.0, nodes - 1.0, pixels)
    hats = np.maximum(1.0 - np.abs(position - np.arange(nodes)[:, None]), 0.0).astype(np.float32)
    hats.setflags(write=False)
    return hats


def expanded(values: Array, size: Size) -> Array:
    """Values on nodes like those of a displacement grid, at every RGB pixel.

    Args:
        values: (rows, columns) values; the outer nodes stand on the outer pixel centres.
        size: width, height of the RGB image in pixels.

    Returns:
        (H, W) float32, interpolated bilinearly.
    """
    # Zeros included, two products of matrices are faster than gathering the nodes of each pixel.
    down, across = _hats(size[1], values.shape[0]), _hats(size[0], values.shape[1])
    return np.asarray(down.T @ (values.astype(np.float32) @ across))


def dense_confidence(deformation: Deformation) -> Array:
    """Confidence at every RGB pixel: the confidence map, or that of the whole without one.

    Returns:
        (H, W) float32 in 0..1.
    """
    width, height = deformation.rgb_size
    if deformation.confidence_map is None:
        return np.full((height, width), deformation.confidence, np.float32)
    return np.clip(expanded(deformation.confidence_map, deformation.rgb_size), 0, 1)


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
        confidence_map=_moved_confidence(deformation, rgb_size, to_old),
        homography=to_new @ deformation.homography @ to_old,
        residual_px=deformation.residual_px * rgb_size[0] / deformation.rgb_size[0])


def precomposed(deformation: Deformation, correction: Array) -> Deformation:
    """The map that first moves the RGB pixel: `x -> deformation(correction(x))`.

    Args:
        deformation: backward map RGB -> thermal.
        correction: (3, 3) homography RGB pixel -> RGB pixel.

    Returns:
        The composition; its grid and confidence map are sampled anew at the moved nodes.
    """
    homography = deformation.homography @ correction
    grid = deformation.grid
    if grid is not None:
        nodes = grid_nodes(deformation.rgb_size, grid.shape[1], grid.shape[0])
        grid = sample_grid(grid, deformation.rgb_size, apply_homography(correction, nodes))
    return replace(
        deformation, homography=homography / abs(homography[2, 2] or 1.0), grid=grid,
        confidence_map=_moved_confidence(deformation, deformation.rgb_size, correction))


def _moved_confidence(deformation: Deformation, rgb_size: Size, to_old: Array) -> Array | None:
    """Confidence map on nodes over an RGB image of a size, given the way to the pixels it has."""
    trust = deformation.confidence_map
    if trust is None:
        return None
    nodes = grid_nodes(rgb_size, trust.shape[1], trust.shape[0])
    return sample_confidence(trust, deformation.rgb_size, apply_homography(to_old, nodes))


def corners(size: Size) -> Array:
    """(4, 2) float64 outer pixel centres of an image, clockwise from the top left."""
    right, bottom = size[0] - 1.0, size[1] - 1.0
    return np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]])


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
