# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The truth about an instant: depth, correspondence between the cameras, and boxes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ivif_ros.simulation.camera import Lens, Pose
from ivif_ros.simulation.groups import CLASS_NAMES
from ivif_ros.simulation.painter import solid_mask
from ivif_ros.simulation.scene import Instant
from ivif_ros.simulation.surface import Placed, place
from ivif_ros.types import Array


@dataclass(frozen=True, eq=False)
class TrueBoxes:
    """People and vehicles in the colour image.

    Attributes:
        boxes: (n, 4) float32 x0, y0, x1, y1 in raw RGB pixels around all of the object that lies in
            the image, hidden parts included.
        class_ids: (n,) int64, see names.
        visibility: (n,) float32, share of its pixels in the image that nothing hides.
        object_ids: (n,) int64, the same for the same object at all times.
        names: class id -> name.
    """

    boxes: Array
    class_ids: Array
    visibility: Array
    object_ids: Array
    names: dict[int, str]

    def __len__(self) -> int:
        """Count the objects."""
        return len(self.boxes)


@dataclass(frozen=True, eq=False)
class Layers:
    """Which plane each raw pixel of a camera shows.

    Attributes:
        index: (H, W) int32 into placed, -1 where nothing is drawn.
        placed: planes in painter's order.
    """

    index: Array
    placed: list[Placed]


def visible_layers(instant: Instant, lens: Lens, pose: Pose) -> Layers:
    """Find the foremost plane of each raw pixel; shadows and smoke do not count.

    Args:
        instant: what there is.
        lens: camera.
        pose: of the camera.
    """
    placed = place([s for s in instant.surfaces if not (s.shade or s.smoke)], lens, pose)
    canvas = np.full(lens.canvas_size[::-1], -1, np.int32)
    for number, one in enumerate(placed):
        x0, y0, x1, y1 = one.box
        canvas[y0:y1, x0:x1][solid_mask(one)] = number
    return Layers(lens.sample(canvas), placed)


def depth_map(layers: Layers, lens: Lens, pose: Pose) -> Array:
    """Depth along the optical axis of each raw pixel, exact for the plane it shows.

    Returns:
        (H, W) float64 metres; NaN where nothing is drawn.
    """
    # Plane n . X = d in camera coordinates; depth = d / (n . ray).
    rows = np.full((len(layers.placed) + 1, 3), np.nan)
    for number, one in enumerate(layers.placed):
        surface = one.surface
        origin, right, down = surface.geometry[4:]
        normal = pose.rotation @ np.cross(right, down)
        distance = float(normal @ pose.to_camera(origin))
        rows[number] = normal / distance if abs(distance) > 1e-12 else np.nan
    plane = rows[layers.index]
    inverse = plane[..., 0] * lens.rays[..., 0] + plane[..., 1] * lens.rays[..., 1] + plane[..., 2]
    with np.errstate(divide='ignore', invalid='ignore'):
        depth: Array = np.where(inverse > 1e-9, 1 / inverse, np.nan)
    return depth


def correspondence(
    depth: Array, rgb: Lens, thermal: Lens, thermal_from_rgb: Array, thermal_depth: Array | None
) -> Array:
    """Thermal pixel of each RGB pixel.

    Args:
        depth: (H, W) depth of the RGB pixels in metres.
        rgb: lens of the colour camera.
        thermal: lens of the thermal camera.
        thermal_from_rgb: (4, 4), X_thermal = T @ X_rgb.
        thermal_depth: (h, w) depth of the raw thermal pixels; where given, RGB pixels whose point
            the thermal camera cannot see for something nearer are NaN.

    Returns:
        (H, W, 2) float32 raw thermal x, y with distortion; NaN outside the thermal image or hidden.
    """
    points = np.dstack([rgb.rays * depth[..., None], depth])
    moved = points @ thermal_from_rgb[:3, :3].T + thermal_from_rgb[:3, 3]
    good = np.isfinite(moved).all(-1) & (moved[..., 2] > 0.05)
    xy = np.full((*depth.shape, 2), np.nan)
    width, height = thermal.model.size
    # Far outside the picture the distortion polynomial folds back: cut by the angle first.
    limit = np.abs(thermal.rays).max((0, 1)) * 1.02
    with np.errstate(invalid='ignore', divide='ignore'):
        angle = np.abs(moved[..., :2] / moved[..., 2:])
        good &= (angle < limit).all(-1)
    if good.any():
        xy[good] = thermal.pixels(moved[good])
    with np.errstate(invalid='ignore'):
        good &= ((xy >= -0.5) & (xy < (width - 0.5, height - 0.5))).all(-1)
    if thermal_depth is not None and good.any():
        column = np.clip(np.rint(xy[good][:, 0]).astype(int), 0, width - 1)
        row = np.clip(np.rint(xy[good][:, 1]).astype(int), 0, height - 1)
        here = moved[..., 2][good]
        # Slanted planes change depth within a pixel: compare with the farthest neighbour.
        reach = cv2.dilate(
            np.nan_to_num(thermal_depth, nan=1e9).astype(np.float32), np.ones((3, 3))
        )
        seen = here <= reach[row, column] * 1.02 + 0.1
        good[good] = seen
    xy[~good] = np.nan
    return xy.astype(np.float32)


def boxes(instant: Instant, layers: Layers, lens: Lens) -> TrueBoxes:
    """Boxes of all people, bicycles and vehicles with at least some pixels in the image.

    Args:
        instant: what there is.
        layers: planes of the raw pixels of the camera.
        lens: the camera.
    """
    owner = np.array([one.surface.object_id for one in layers.placed] + [0], np.int64)
    shown = owner[layers.index]
    width, height = lens.model.size
    rows: list[tuple[float, float, float, float]] = []
    kinds, shares, ids = [], [], []
    for key in dict.fromkeys(int(k) for k in owner if k in instant.class_of):
        alone = np.zeros(lens.canvas_size[::-1], np.uint8)
        for one in layers.placed:
            if one.surface.object_id == key:
                x0, y0, x1, y1 = one.box
                alone[y0:y1, x0:x1][solid_mask(one)] = 1
        raw = lens.sample(alone)
        x, y, w, h = cv2.boundingRect(raw)
        total = int(raw.sum())
        if total < 6:
            continue
        # Pixel centres are integers, so a box reaches half a pixel beyond its outer pixels.
        rows.append(
            (
                max(x - 0.5, -0.5),
                max(y - 0.5, -0.5),
                min(x + w - 0.5, width - 0.5),
                min(y + h - 0.5, height - 0.5),
            )
        )
        kinds.append(instant.class_of[key])
        shares.append(float((shown == key).sum()) / total)
        ids.append(key)
    return TrueBoxes(
        np.array(rows, np.float32).reshape(-1, 4),
        np.array(kinds, np.int64),
        np.array(shares, np.float32),
        np.array(ids, np.int64),
        dict(CLASS_NAMES),
    )


def class_map(instant: Instant, layers: Layers) -> Array:
    """Class of what each raw pixel of a camera shows.

    Args:
        instant: what there is.
        layers: planes of the raw pixels of the camera.

    Returns:
        (H, W) int64, key of CLASS_NAMES, -1 where the foremost thing is of none of the classes.
    """
    classes = [instant.class_of.get(one.surface.object_id, -1) for one in layers.placed]
    shown: Array = np.array([*classes, -1], np.int64)[layers.index]
    return shown
