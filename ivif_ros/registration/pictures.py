# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures by which people judge a registration."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from ivif_ros.registration.displacement import displacement
from ivif_ros.registration.edges import edge_lines
from ivif_ros.registration.flow_colour import disc, flow_colours
from ivif_ros.registration.maps import dense_confidence, expanded
from ivif_ros.registration.panels import BACKGROUND, Panel, letter_height, sheet, text_width, write
from ivif_ros.types import Array, Deformation, Size

THERMAL_EDGE = (0, 150, 255)
"""BGR: orange, which no colour blindness confuses with the next."""
RGB_EDGE = (255, 190, 60)
"""BGR: light blue."""
_DIM = 0.55
"""Brightness of the grey image below the edges."""
_BRIGHTNESS = 0.35
"""Mean brightness to which dark images are lifted."""
_STRONGEST_POWER = 0.45
_RGB_OPACITY = 0.7
"""The edges of the thermal image are those to look at."""
_LARGEST = 1280
"""Pixels of the longer side at which lines and colours are drawn: people see no more of them."""
_SHORTEST_SCALE_PX = 1.0
"""Displacements below this are as good as none and stay pale."""
_NOT_SEEN = 128
"""Grey level where the map leads behind the thermal camera."""


def checkerboard(rgb: Array, registered: Array, tiles: int = 8) -> Array:
    """Squares of both images in turn: lines run on across the seams where they lie well.

    Args:
        rgb: (H, W, 3) uint8 BGR.
        registered: (H, W) uint8 thermal image on the RGB grid.
        tiles: squares along the longer side.

    Returns:
        (H, W, 3) uint8 BGR: unchanged pixels of the one or the other; the first square is RGB.

    Raises:
        ValueError: images of different sizes.
    """
    height, width = _common_shape(rgb, registered)
    side = max(1.0, max(height, width) / tiles)
    rows, columns = ((np.arange(length) / side).astype(np.intp) for length in (height, width))
    thermal = (rows[:, None] + columns) % 2 == 1
    grey = cv2.cvtColor(registered, cv2.COLOR_GRAY2BGR)
    return np.asarray(cv2.copyTo(grey, thermal.astype(np.uint8), rgb.copy()))


def edge_overlay(rgb: Array, registered: Array) -> Array:
    """Edges of both images as lines on a dim grey RGB image.

    Args:
        rgb: (H, W, 3) uint8 BGR.
        registered: (H, W) uint8 thermal image on the RGB grid.

    Returns:
        (H, W, 3) uint8 BGR: edges of the thermal image in orange, those of the RGB image in light
        blue, white where they coincide.

    Raises:
        ValueError: images of different sizes.
    """
    height, width = _common_shape(rgb, registered)
    inner = _drawn_size((width, height))
    grey = _scaled(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY)), inner)
    grey = _equalised(grey)
    visible = edge_lines(grey)[..., None] * np.float32(_RGB_OPACITY)
    thermal = edge_lines(_scaled(registered, inner))[..., None]
    both = np.minimum(visible, thermal)
    picture = grey[..., None] * np.float32(_DIM) * (1 - visible) * (1 - thermal)
    picture = picture + (visible - both) * np.array(RGB_EDGE, np.float32)
    picture += (thermal - both) * np.array(THERMAL_EDGE, np.float32)
    picture += both * np.float32(255 / _RGB_OPACITY)
    drawn = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return _scaled(drawn, (width, height))


def displacement_colour(deformation: Deformation, relative_to: Deformation | None = None) -> Array:
    """Displacement field as colour, with a wheel as legend and the largest length.

    The colour of a pixel tells where the thermal image shows its content under the other map, seen
    from where it belongs, see `displacement`.

    Args:
        deformation: backward map RGB -> thermal.
        relative_to: other map of images of the same sizes; None: the thermal image stretched.

    Returns:
        (H, W, 3) uint8 BGR on the RGB grid: white where nothing is displaced, hue by direction,
        saturation by length (`flow_colours`), grey where a map leads behind the camera.
    """
    return _displacement_picture(deformation, relative_to, deformation.rgb_size)


def confidence_picture(deformation: Deformation) -> Array:
    """Confidence of each place as colour, with a scale from 0 to 1.

    Args:
        deformation: backward map RGB -> thermal; without a confidence map the confidence of the
            whole is shown everywhere.

    Returns:
        (H, W, 3) uint8 BGR on the RGB grid: viridis, from violet (none) to yellow (full).
    """
    levels = np.rint(dense_confidence(deformation) * 255).astype(np.uint8)
    picture = np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS))
    width = picture.shape[1]
    letter = letter_height(width)
    long, thick = max(8, width // 4), max(4, letter)
    ramp = np.rint(np.linspace(0, 255, long)).astype(np.uint8)[None].repeat(thick, axis=0)
    bar = np.asarray(cv2.applyColorMap(ramp, cv2.COLORMAP_VIRIDIS))
    _legend(picture, bar, np.ones((*bar.shape[:2], 1), np.float32), 'confidence 0 to 1')
    return picture


def composite(rgb: Array, before: Array, after: Array, *, line: str = '',
              labels: tuple[str, str] = ('before', 'after'), width: int = 640) -> Array:
    """Checkerboard and edges, before and after registration.

    Args:
        rgb: (H, W, 3) uint8 BGR.
        before: (H, W) uint8 thermal image on the RGB grid as it lay before.
        after: (H, W) uint8 as it lies now.
        line: what is written below.
        labels: names of both states.
        width: of each of the four pictures in pixels.

    Returns:
        (h, w, 3) uint8 BGR.

    Raises:
        ValueError: images of different sizes.
    """
    rows: list[list[Panel]] = [[], []]
    for registered, label in zip((before, after), labels, strict=True):
        _common_shape(rgb, registered)
        colour, thermal = _at_width(rgb, width), _at_width(registered, width)
        rows[0].append(Panel(checkerboard(legible(colour), legible(thermal)),
                             f'{label}: squares of both images'))
        rows[1].append(Panel(edge_overlay(colour, thermal),
                             f'{label}: edges (thermal orange, RGB blue, both white)'))
    return sheet(rows, line)


def debug_picture(rgb: Array, registered: Array, deformation: Deformation, *,
                  width: int = 480) -> Array:
    """How the thermal image lies now: checkerboard, edges, and what the homography leaves.

    Args:
        rgb: (H, W, 3) uint8 BGR.
        registered: (H, W) uint8 thermal image on the RGB grid.
        deformation: map that laid it there.
        width: of each of the three pictures in pixels.

    Returns:
        (h, w, 3) uint8 BGR.

    Raises:
        ValueError: images of different sizes.
    """
    _common_shape(rgb, registered)
    colour, thermal = _at_width(rgb, width), _at_width(registered, width)
    size = colour.shape[1], colour.shape[0]
    parallax = _displacement_picture(deformation, replace(deformation, grid=None), size)
    return sheet([[
        Panel(checkerboard(legible(colour), legible(thermal)), 'squares of both images'),
        Panel(edge_overlay(colour, thermal), 'edges: thermal orange, RGB blue'),
        Panel(parallax, 'displacement that the homography leaves')]], summary(deformation))


def summary(deformation: Deformation) -> str:
    """One line: source, confidence and expected error of a deformation."""
    source = deformation.source.name.lower().replace('_', ' ')
    error = ('unknown' if np.isnan(deformation.residual_px)
             else f'{deformation.residual_px:.1f} px')
    return f'source: {source}, confidence {deformation.confidence:.2f}, expected error {error}'


def legible(image: Array) -> Array:
    """Copy of an image whose dark and flat parts show what is in them.

    Args:
        image: (H, W) or (H, W, 3) uint8.
    """
    if image.ndim == 2:
        return _equalised(image)
    luma = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb)
    luma[..., 0] = _equalised(luma[..., 0])
    return np.asarray(cv2.cvtColor(luma, cv2.COLOR_YCrCb2BGR))


def _equalised(grey: Array) -> Array:
    """Local contrast, and a brightness (power law) at which people see it; (H, W) uint8."""
    local = cv2.createCLAHE(clipLimit=2.5, tileGridSize=(4, 4)).apply(grey)
    mean = float(np.clip(local.mean() / 255, 0.02, _BRIGHTNESS))
    power = max(np.log(_BRIGHTNESS) / np.log(mean), _STRONGEST_POWER)
    table = np.rint(255 * (np.arange(256) / 255) ** power).astype(np.uint8)
    return np.asarray(cv2.LUT(local, table))


def _at_width(image: Array, width: int) -> Array:
    """An image scaled to a width."""
    return _scaled(image, (width, max(1, round(image.shape[0] * width / image.shape[1]))))


def _scaled(image: Array, size: Size) -> Array:
    """An image scaled to a size; may be the same one."""
    width = image.shape[1]
    if (width, image.shape[0]) == size:
        return image
    way = cv2.INTER_AREA if size[0] < width else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=way))


def _drawn_size(size: Size) -> Size:
    """Size at which lines and fields are drawn: larger pictures of them are scaled up."""
    share = min(1.0, _LARGEST / max(size))
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def _displacement_picture(deformation: Deformation, relative_to: Deformation | None,
                          size: Size) -> Array:
    """`displacement_colour` at any size; the lengths are those of the RGB grid."""
    field = displacement(deformation, relative_to)
    seen = np.asarray(np.isfinite(field).all(axis=-1))
    field = np.where(seen[..., None], field, 0.0)
    largest = float(np.hypot(field[..., 0], field[..., 1]).max())
    scale = max(largest, _SHORTEST_SCALE_PX)
    inner = _drawn_size(size)
    vectors = np.stack([expanded(field[..., axis], inner) for axis in (0, 1)], axis=-1)
    # A hair more, since interpolation rounds: nothing lies beyond the scale.
    picture = flow_colours(vectors, scale * (1 + 1e-5))
    picture[expanded(seen.astype(np.float32), inner) < 1 - 1e-3] = _NOT_SEEN
    picture = _scaled(picture, size)
    wheel, opacity = disc(max(9, round(min(size) / 6)))
    _legend(picture, wheel, opacity, f'max {largest:.1f} px')
    return picture


def _legend(picture: Array, symbol: Array, opacity: Array, text: str) -> None:
    """Put a legend on a dark plate into the lower right corner.

    Its text is left out of narrow pictures, and all of it where even the symbol has no room.

    Args:
        picture: (H, W, 3) uint8, drawn into.
        symbol: (h, w, 3) uint8.
        opacity: (h, w, 1) float32 of the symbol.
        text: what is written left of it.
    """
    height, width = picture.shape[:2]
    high, wide = symbol.shape[:2]
    letter = letter_height(width)
    gap = max(2, letter // 2)
    if high + 2 * gap > height or wide + 2 * gap > width:
        return
    words = text_width(text, letter) + gap
    if words > width - wide - 3 * gap:
        words = 0
    y, x = height - gap - high, width - gap - wide
    picture[max(y - gap, 0):, max(x - 2 * gap - words, 0):] = BACKGROUND
    spot = picture[y:y + high, x:x + wide]
    spot[:] = np.rint(spot * (1 - opacity) + symbol * opacity).astype(np.uint8)
    if words:
        write(picture, text, x - gap - words, y + (high + letter) // 2, letter, words)


def _common_shape(rgb: Array, registered: Array) -> tuple[int, int]:
    if rgb.shape[:2] != registered.shape or rgb.shape[2:] != (3,):
        raise ValueError(f'images have shapes {rgb.shape} and {registered.shape}, expected '
                         '(H, W, 3) and (H, W): register the thermal image first')
    height, width = registered.shape
    return int(height), int(width)
