# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the street looks like: light, heat, smoke, glare, order of drawing."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from ivif_ros.simulation import SimulatedRig
from ivif_ros.simulation.camera import Lens
from ivif_ros.simulation.groups import Group, back_to_front
from ivif_ros.simulation.noise import bleed, fractal, generator
from ivif_ros.simulation.painter import outline_mask, warp
from ivif_ros.simulation.radiance import decode, encode, gain_table
from ivif_ros.simulation.surface import Texture, place
from ivif_ros.types import Array

Rigs = Callable[..., SimulatedRig]


def grey(rig: SimulatedRig, t: float) -> Array:
    return cv2.cvtColor(rig.render_rgb(t), cv2.COLOR_BGR2GRAY).astype(np.float32)


def test_night_is_darker_than_dusk_is_darker_than_day(rigs: Rigs) -> None:
    levels = [grey(rigs(lighting=name), 4.0).mean() for name in ('night', 'dusk', 'day')]
    assert levels[0] < 0.7 * levels[1]
    assert levels[1] < 0.9 * levels[2]


def test_night_has_bright_lamps_in_a_dark_picture(rigs: Rigs) -> None:
    picture = grey(rigs(lighting='night'), 1.0)
    assert np.median(picture) < 60
    assert 0.0002 < (picture > 220).mean() < 0.05


def test_thermal_image_does_not_depend_on_smoke_much_and_the_colour_image_does(rigs: Rigs) -> None:
    clear, smoky = rigs(lighting='night', seed=3), rigs(lighting='night', seed=3, smoke=True)
    t = 6.0
    before, after = (r.render_thermal(t).astype(np.float32) for r in (clear, smoky))
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.9
    edges = [
        cv2.Laplacian(cv2.GaussianBlur(grey(r, t), (0, 0), 2), cv2.CV_32F).std()
        for r in (clear, smoky)
    ]
    assert edges[1] < 0.7 * edges[0]
    np.testing.assert_array_equal(clear.true_map(t), smoky.true_map(t))


def test_haze_thins_the_far_more_than_the_near(rigs: Rigs) -> None:
    clear, hazy = rigs(lighting='day'), rigs(lighting='day', haze=True)
    depth = clear.true_depth(4.0)
    difference = np.abs(grey(clear, 4.0) - grey(hazy, 4.0))
    far, near = (depth > 40) & (depth < 100), depth < 6
    assert difference[far].mean() > 2 * difference[near].mean()


@pytest.mark.parametrize('lighting', ['night', 'day'])
def test_glare_saturates_part_of_the_picture(rigs: Rigs, lighting: str) -> None:
    blind, clear = (grey(rigs(lighting=lighting, glare=g), 2.0) for g in (True, False))
    assert (blind > 240).sum() > (clear > 240).sum() + 800


def test_thermal_sky_is_cold_and_people_stand_out(rigs: Rigs) -> None:
    rig = rigs(lighting='night')
    heat = rig.render_thermal(10.0).astype(np.float32) * 0.04 - 273.15
    light = rig.scene.light
    assert np.percentile(heat, 1) < light.ground_c - 4
    assert 0.001 < (heat > light.ground_c + 7).mean() < 0.1


def test_encoded_radiance_goes_both_ways_and_gain_is_linear() -> None:
    light = np.array([0.0, 0.01, 0.2, 1.0, 1.9])
    np.testing.assert_allclose(decode(encode(light)), light, rtol=0.06, atol=1e-5)
    table = gain_table((2.0, 1.0, 0.5), None, 1.0)
    byte = int(encode(np.array(0.3)))
    assert decode(table[0, byte, 0]) == pytest.approx(0.6, rel=0.02)
    assert decode(table[0, byte, 2]) == pytest.approx(0.15, rel=0.04)
    hazy = gain_table((1.0, 1.0, 1.0), (0.8, 0.8, 0.8), 0.25)
    assert decode(hazy[0, byte, 1]) == pytest.approx(0.3 * 0.25 + 0.8 * 0.75, rel=0.02)
    np.testing.assert_array_equal(hazy[0, :, 3], np.arange(256))


def test_texture_versions_average_and_keep_the_mean() -> None:
    visible = (generator(1).random((64, 32, 3)) * 255).astype(np.uint8)
    texture = Texture(visible, visible[..., 0].astype(np.float32))
    small = texture.level(False, 1, 2)
    rim = (small.shape[0] - 16) // 2
    assert small.shape == (16 + 2 * rim, 16 + 2 * rim, 4)
    expected = visible[:4, :2, 0].mean()
    assert abs(int(small[rim, rim, 0]) - expected) <= 1
    # The rim repeats the edge.
    np.testing.assert_array_equal(small[0, rim:-rim], small[rim, rim:-rim])
    assert (small[..., 3] == 255).all()
    assert texture.level(True, 5, 9).shape == (2 + 2 * rim, 2 + 2 * rim)


@pytest.mark.parametrize('name', ['rgb', 'thermal'])
def test_opaque_surfaces_have_no_holes_in_their_outline(rigs: Rigs, name: str) -> None:
    rig = rigs(lighting='day')
    lens = Lens(rig.rgb_camera if name == 'rgb' else rig.thermal_camera)
    for t in (1.0, 3.3, 10.0):
        instant = rig.scene.at(t)
        for placed in place(instant.surfaces, lens, instant.pose):
            if placed.surface.texture.opaque:
                picture = warp(placed, placed.best_level(False))
                assert (picture[..., 3][outline_mask(placed) > 0] == 255).all()


def test_colours_continue_over_transparent_pixels() -> None:
    alpha = np.zeros((20, 20), np.float32)
    alpha[8:12, 8:12] = 1
    colour = np.where(alpha > 0, 0.7, 0.0).astype(np.float32)
    spread = bleed(colour, alpha, 4)
    np.testing.assert_allclose(spread[5:15, 5:15], 0.7, atol=1e-5)


def test_wrapped_noise_joins_at_the_seam() -> None:
    field = fractal(generator(2), (256, 64), 32, 4, wrap=True)
    inside = np.abs(np.diff(field, axis=0)).mean()
    assert np.abs(field[0] - field[-1]).mean() < 2.5 * inside
    assert abs(field.std() - 1) < 0.35


def group(z: float, x: float, length: float = 0.0, width: float = 0.0) -> Group:
    return Group(z, x, (), length=length, width=width)


def test_painters_order_knows_long_vehicles_beside_each_other() -> None:
    viewer = np.array([1.75, -1.5, 0.0])
    oncoming, parked = group(12.04, -1.75, 4.4, 1.7), group(12.0, -4.3, 4.4, 1.7)
    walker_before, walker_behind = group(14.0, -3.0), group(13.0, -6.5)
    order = back_to_front([oncoming, walker_before, parked, walker_behind], viewer)
    position = [order.index(g) for g in (walker_behind, parked, walker_before)]
    assert position == sorted(position)
    assert order.index(parked) < order.index(oncoming)
    assert back_to_front([], viewer) == []
