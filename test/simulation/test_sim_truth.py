# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The truth against geometry worked out by hand and by OpenCV."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from ivif_ros.simulation import SimulatedRig
from ivif_ros.simulation.camera import Lens
from ivif_ros.simulation.groups import CAR, PERSON
from ivif_ros.simulation.noise import generator, value_noise
from ivif_ros.simulation.scene import Instant
from ivif_ros.simulation.surface import Surface, Texture
from ivif_ros.simulation.truth import boxes, correspondence, depth_map, visible_layers
from ivif_ros.types import Array

Rigs = Callable[..., SimulatedRig]
TIME = 3.7


class Stage:
    """A rig with a world of our own before its cameras."""

    def __init__(
        self, rig: SimulatedRig, surfaces: list[Surface], class_of: dict[int, int] | None = None
    ) -> None:
        self.rig = rig
        self.pose = rig.scene.ego.pose(TIME)
        self.thermal_pose = self.pose.moved(rig.thermal_from_rgb)
        self.instant = Instant(self.pose, surfaces, len(surfaces), [], class_of or {})
        self.rgb_lens, self.thermal_lens = Lens(rig.rgb_camera), Lens(rig.thermal_camera)

    def pictures(self) -> tuple[Array, Array]:
        """Raw colour (encoded radiance) and raw thermal image in degrees, free of noise."""
        colour = self.rig._rgb_view.draw(self.instant, self.pose)
        heat = self.rig._thermal_view.draw(self.instant, self.thermal_pose)
        return self.rgb_lens.bend(colour), self.thermal_lens.bend(heat)

    def map(self, occlusion: bool) -> Array:
        """Correspondence of this world."""
        depth = depth_map(
            visible_layers(self.instant, self.rgb_lens, self.pose), self.rgb_lens, self.pose
        )
        hidden = None
        if occlusion:
            hidden = depth_map(
                visible_layers(self.instant, self.thermal_lens, self.thermal_pose),
                self.thermal_lens,
                self.thermal_pose,
            )
        return correspondence(
            depth, self.rgb_lens, self.thermal_lens, self.rig.thermal_from_rgb, hidden
        )

    def wall(
        self,
        corners: tuple[float, float, float, float],
        z: float,
        texture: Texture,
        tilt: float = 0.0,
        object_id: int = 0,
    ) -> Surface:
        """Plane before the rig; corners are left, top, right, bottom in metres around its axis."""
        left, top, right, bottom = corners
        x, y, start = self.pose.centre
        return Surface(
            texture,
            np.array([x + left, y + top, start + z]),
            np.array([right - left, 0, tilt]),
            np.array([0, bottom - top, 0.0]),
            object_id=object_id,
        )


def plain(radiance: int, celsius: float) -> Texture:
    """Texture of one colour and one temperature."""
    return Texture(np.full((8, 8, 3), radiance, np.uint8), np.full((8, 8), celsius, np.float32))


def raw_pixel(point: Array, rotation: Array, centre: Array, camera: object) -> Array:
    """Raw pixel of a world point by OpenCV alone."""
    rvec = cv2.Rodrigues(rotation)[0]
    return cv2.projectPoints(
        point.reshape(1, 1, 3), rvec, -rotation @ centre, camera.matrix, camera.distortion
    )[0].reshape(2)


def centroid(image: Array) -> Array:
    weight = np.clip(image.astype(np.float64), 0, None)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


@pytest.mark.parametrize('place', [(0.0, 0.0, 6.0), (-1.4, 0.7, 5.0), (3.0, -1.5, 12.0)])
def test_marker_lies_where_opencv_projects_it_in_both_cameras(
    rigs: Rigs, place: tuple[float, float, float]
) -> None:
    rig = rigs(traffic=0.0, lighting='day')
    x, y, z = place
    stage = Stage(rig, [])
    marker = stage.wall((x - 0.15, y - 0.15, x + 0.15, y + 0.15), z, plain(200, 60.0))
    black = stage.wall((-60, -60, 60, 60), 40.0, plain(0, 0.0))
    stage = Stage(rig, [black, marker])
    colour, heat = stage.pictures()
    point = stage.pose.centre + np.array(place)
    turn = rig.thermal_from_rgb[:3, :3] @ stage.pose.rotation
    shift = rig.thermal_from_rgb[:3, 3]
    thermal_centre = stage.pose.centre - turn.T @ shift
    in_rgb = raw_pixel(point, stage.pose.rotation, stage.pose.centre, rig.rgb_camera)
    in_thermal = raw_pixel(point, turn, thermal_centre, rig.thermal_camera)
    np.testing.assert_allclose(centroid(colour[..., 1]), in_rgb, atol=0.35)
    np.testing.assert_allclose(centroid(heat), in_thermal, atol=0.35)
    column, row = np.rint(in_rgb).astype(int)
    # One RGB pixel is less than one thermal pixel: half a pixel of rounding is left over.
    np.testing.assert_allclose(stage.map(True)[row, column], in_thermal, atol=0.4)


def test_baseline_and_transform_agree(rigs: Rigs) -> None:
    rig = rigs(traffic=0.0, lighting='day')
    # The thermal camera stands to the right of the colour camera.
    centre = np.linalg.inv(rig.thermal_from_rgb)[:3, 3]
    np.testing.assert_allclose(centre, (rig.config.baseline_m, 0, 0), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rig.thermal_from_rgb[:3, :3]), 1.0, atol=1e-12)


def test_thermal_image_warped_by_the_map_equals_the_colour_image(rigs: Rigs) -> None:
    rig = rigs(traffic=0.0, lighting='day')
    pattern = value_noise(generator(5), (200, 300), 14)
    pattern = np.clip(0.5 + 0.2 * pattern, 0, 1)
    bytes_ = np.rint(pattern * 255).astype(np.uint8)
    texture = Texture(cv2.merge([bytes_] * 3), (pattern * 40).astype(np.float32))
    stage = Stage(rig, [])
    # The wall recedes from 4 m to 11 m: parallax changes across the picture.
    stage = Stage(rig, [stage.wall((-6, -4, 6, 4), 4.0, texture, tilt=7.0)])
    colour, heat = stage.pictures()
    exact = stage.map(False)
    good = np.isfinite(exact).all(-1)
    assert good.mean() > 0.5
    inside = cv2.erode(good.astype(np.uint8), np.ones((9, 9))) > 0

    def agreement(mapping: Array) -> float:
        safe = np.nan_to_num(mapping, nan=-1).astype(np.float32)
        warped = cv2.remap(heat, safe[..., 0], safe[..., 1], cv2.INTER_LINEAR)
        seen = colour[..., 0].astype(np.float32)
        return float(np.corrcoef(warped[inside], seen[inside])[0, 1])

    best = agreement(exact)
    assert best > 0.999
    for shift in ((2, 0), (-2, 0), (0, 2), (0, -2)):
        assert agreement(exact + np.array(shift, np.float32)) < best - 0.005


def test_hidden_pixels_are_left_out_as_a_ray_through_the_near_wall_says(rigs: Rigs) -> None:
    rig = rigs(traffic=0.0, lighting='day')
    stage = Stage(rig, [])
    far = stage.wall((-60, -60, 60, 60), 20.0, plain(50, 5.0))
    near = stage.wall((-0.5, -60, 0.5, 60), 2.0, plain(200, 30.0))
    stage = Stage(rig, [far, near])
    with_hidden, everything = stage.map(True), stage.map(False)
    assert np.isfinite(everything).all(-1).sum() > np.isfinite(with_hidden).all(-1).sum()
    # Where do the rays of the colour camera end, and does the thermal camera see that place?
    rays = np.dstack([stage.rgb_lens.rays, np.ones(stage.rgb_lens.rays.shape[:2])])
    directions = rays @ stage.pose.rotation
    on_near = directions[..., 0] / directions[..., 2] * 2.0
    on_far = stage.pose.centre + directions / directions[..., 2:] * 20.0
    eye = stage.thermal_pose.centre
    share = (stage.pose.centre[2] + 2.0 - eye[2]) / (on_far[..., 2] - eye[2])
    crossing = eye[0] + share * (on_far[..., 0] - eye[0]) - stage.pose.centre[0]
    sees_far = np.abs(on_near) > 0.5
    hidden = sees_far & (np.abs(crossing) < 0.5)
    known = np.isfinite(everything).all(-1)
    left_out = known & ~np.isfinite(with_hidden).all(-1)
    # Rows of pixels along the two edges may differ.
    assert hidden[known].sum() > 1000
    assert (left_out[known] != hidden[known]).mean() < 0.012
    assert not left_out[
        (np.abs(np.abs(on_near) - 0.5) > 0.03) & ~hidden & (np.abs(np.abs(crossing) - 0.5) > 0.03)
    ].any()


def test_depth_of_road_and_map_range_in_the_real_scene(rigs: Rigs) -> None:
    rig = rigs(lighting='night')
    depth = rig.true_depth(TIME)
    height, width = depth.shape
    assert depth.shape == (rig.config.rgb_size[1], rig.config.rgb_size[0])
    pose = rig.scene.ego.pose(TIME)
    ray = np.array([*Lens(rig.rgb_camera).rays[height - 1, width // 2], 1.0]) @ pose.rotation
    road = -pose.centre[1] / ray[1]
    assert depth[height - 1, width // 2] == pytest.approx(road, rel=1e-9)
    mapped = rig.true_map(TIME)
    assert mapped.dtype == np.float32
    assert mapped.shape == (height, width, 2)
    known = mapped[np.isfinite(mapped).all(-1)]
    assert len(known) > 0.4 * width * height
    assert known.min() >= -0.5
    assert (known < np.array(rig.config.thermal_size) - 0.5 + 1e-3).all()


def test_boxes_surround_objects_and_tell_how_much_is_hidden(rigs: Rigs) -> None:
    rig = rigs(traffic=0.0, lighting='day')
    stage = Stage(rig, [])
    far = stage.wall((-60, -60, 60, 60), 40.0, plain(50, 5.0))
    person = stage.wall((-1.0, -0.5, 0.0, 1.5), 8.0, plain(100, 30.0), object_id=7)
    car = stage.wall((1.0, -0.5, 2.0, 0.5), 10.0, plain(100, 30.0), object_id=9)
    screen = stage.wall((-0.375, -2.0, 0.5, 2.0), 6.0, plain(10, 10.0))
    stage = Stage(rig, [far, car, person, screen], {7: PERSON, 9: CAR})
    found = boxes(
        stage.instant, visible_layers(stage.instant, stage.rgb_lens, stage.pose), stage.rgb_lens
    )
    assert dict(zip(found.object_ids.tolist(), found.class_ids.tolist(), strict=True)) == {
        7: PERSON,
        9: CAR,
    }
    by_id = {int(k): n for n, k in enumerate(found.object_ids)}
    for surface in (person, car):
        corners = [
            raw_pixel(c, stage.pose.rotation, stage.pose.centre, rig.rgb_camera)
            for c in surface.geometry[:4]
        ]
        box = found.boxes[by_id[surface.object_id]]
        np.testing.assert_allclose(box[:2], np.min(corners, 0), atol=1.5)
        np.testing.assert_allclose(box[2:], np.max(corners, 0), atol=1.5)
    # The screen at 6 m covers x > -0.375 m there: x > -0.5 m, one half, at 8 m.
    assert found.visibility[by_id[7]] == pytest.approx(0.5, abs=0.04)
    assert found.visibility[by_id[9]] == pytest.approx(1.0, abs=0.01)


def test_true_people_are_warm_in_thermal_and_dark_in_a_night_picture(rigs: Rigs) -> None:
    rig = rigs(lighting='night', seed=2)
    config = rig.config
    checked = 0
    for time in (1.0, 5.0, 9.0):
        found = rig.true_boxes(time)
        mapped = rig.true_map(time)
        heat = rig.render_thermal(time) * config.celsius_per_count + config.celsius_offset
        grey = cv2.cvtColor(rig.render_rgb(time), cv2.COLOR_BGR2GRAY)
        for box, kind, share in zip(found.boxes, found.class_ids, found.visibility, strict=True):
            x0, y0, x1, y1 = np.clip(np.rint(box), 0, [639, 479, 639, 479]).astype(int)
            if kind != PERSON or share < 0.8 or y1 - y0 < 40:
                continue
            part = mapped[y0:y1, x0:x1].reshape(-1, 2)
            part = part[np.isfinite(part).all(-1)]
            if len(part) < 0.8 * (x1 - x0) * (y1 - y0):
                continue
            column, row = np.clip(np.rint(part).astype(int), 0, np.array(config.thermal_size) - 1).T
            inside = heat[row, column]
            assert inside.max() > rig.scene.light.ground_c + 6
            assert (inside > rig.scene.light.ground_c + 4).mean() > 0.2
            assert grey[y0:y1, x0:x1].mean() < 90
            checked += 1
    assert checked >= 3
