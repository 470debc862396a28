# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a registration: what they show and that they show it at any size."""

import dataclasses

import cv2
import numpy as np
import pytest

from ivif_ros.registration.displacement import displacement
from ivif_ros.registration.edges import edge_lines
from ivif_ros.registration.flow_colour import disc, flow_colours
from ivif_ros.registration.maps import dense_confidence, dense_map
from ivif_ros.registration.panels import BACKGROUND, Panel, sheet, text_width, write
from ivif_ros.registration.pictures import (
    RGB_EDGE,
    THERMAL_EDGE,
    checkerboard,
    composite,
    confidence_picture,
    debug_picture,
    displacement_colour,
    edge_overlay,
    legible,
    summary,
)
from ivif_ros.types import Deformation, DeformationSource

SIZES = ((64, 48), (48, 64), (640, 480))
LARGEST = (3840, 2160)
SIZE = 320, 240


def images(width, height):
    """A box in front of a shaded wall, in both images; pixels of both never equal."""
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([x * 99 // width, 100 + y * 50 // height, x * 0 + 30], -1).astype(np.uint8)
    thermal = (160 + 60 * x // width).astype(np.uint8)
    box = slice(height // 4, height * 3 // 4), slice(width // 4, width * 3 // 4)
    rgb[box] = 20, 220, 90
    thermal[box] = 250
    return rgb, thermal


def shifted(dx, dy, size=SIZE, **fields):
    """Thermal image that shows everything dx, dy farther right and down."""
    homography = np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1.0]])
    return Deformation(size, size, homography, **fields)


def body(picture):
    """A field without the corner of its legend."""
    return picture[:picture.shape[0] * 2 // 3, :picture.shape[1] // 2]


@pytest.mark.parametrize(('width', 'height', 'tiles'), [
    (64, 48, 2), (48, 64, 8), (640, 480, 8), (*LARGEST, 8)])
def test_checkerboard_holds_exactly_the_pixels_of_both_in_equal_shares(
        width, height, tiles):
    rgb, thermal = images(width, height)
    board = checkerboard(rgb, thermal, tiles)
    assert board.shape == rgb.shape
    from_rgb = board[..., 1] == rgb[..., 1]
    assert (board[from_rgb] == rgb[from_rgb]).all()
    assert (board[~from_rgb] == thermal[~from_rgb][:, None]).all()
    side = max(width, height) // tiles
    middles = from_rgb[side // 2::side, side // 2::side]
    rows, columns = np.indices(middles.shape)
    np.testing.assert_array_equal(middles, (rows + columns) % 2 == 0)


@pytest.mark.parametrize('draw', [checkerboard, edge_overlay, lambda a, b: composite(a, b, b)])
def test_images_of_different_sizes_are_refused(draw):
    rgb, _ = images(64, 48)
    with pytest.raises(ValueError, match=r'\(48, 64, 3\) and \(48, 60\)'):
        draw(rgb, np.zeros((48, 60), np.uint8))


def near(picture, colour):
    """Pixels whose colour has the direction of another, by day and by night."""
    spread = picture - picture.min(axis=2, keepdims=True).astype(float)
    wanted = np.array(colour, float) - min(colour)
    cosine = spread @ wanted / (np.linalg.norm(spread, axis=2) * np.linalg.norm(wanted) + 1e-6)
    return (cosine > 0.97) & (spread.max(axis=2) > 60)


@pytest.mark.parametrize(('width', 'height', 'light'), [
    (64, 48, 1.0), (64, 48, 0.1), (48, 64, 0.1), (640, 480, 1.0), (640, 480, 0.1),
    (*LARGEST, 0.1)])
def test_edges_of_both_cameras_stand_where_they_are(width, height, light):
    rgb, _ = images(width, height)
    thermal = np.full((height, width), 90, np.uint8)
    thermal[:, width * 5 // 8:] = 200
    picture = edge_overlay((rgb * light).astype(np.uint8), thermal)
    assert picture.shape == rgb.shape
    picture = picture[::max(1, height // 120)]
    orange = np.flatnonzero(near(picture, THERMAL_EDGE).mean(axis=0) > 0.5)
    assert len(orange)
    assert abs(orange.mean() - (width * 5 / 8 - 0.5)) < 0.01 * width + 0.5
    blue = near(picture, RGB_EDGE)[len(picture) // 3:len(picture) * 2 // 3]
    found = np.flatnonzero(blue.sum(axis=0) > blue.shape[0] * 0.8)
    for edge in (width / 4, width * 3 / 4):
        assert np.abs(found - (edge - 0.5)).min() < 0.01 * width + 0.5


def test_edges_meet_in_white():
    rgb, thermal = images(*SIZE)
    picture = edge_overlay(rgb, thermal)
    left = picture[100:140, 70:90].reshape(-1, 3).astype(int)
    assert left.min(axis=1).max() > 200
    assert (near(picture, THERMAL_EDGE) | near(picture, RGB_EDGE)).mean() < 0.01


@pytest.mark.parametrize('size', [(64, 48), (640, 480), (1280, 960)])
def test_lines_are_a_share_of_the_image_wide_and_smooth(size):
    width, height = size
    grey = np.full((height, width), 40, np.uint8)
    cv2.fillPoly(grey, [np.array([[0, 0], [width // 2, 0], [width // 4, height], [0, height]])],
                 200, cv2.LINE_AA)
    lines = edge_lines(grey)
    across = lines[height // 4:height * 3 // 4].sum(axis=1)
    # The line is slanted: with steps of whole pixels, rows would hold one or two of them.
    assert across.std() < 0.2 * across.mean()
    assert 1.0 < across.mean() < 1.5 + 4.0 * width / 640


def test_noise_and_flat_images_have_no_edges():
    noise = np.random.default_rng(0).normal(90, 4, (480, 640))
    assert edge_lines(noise.astype(np.uint8)).mean() < 0.002
    assert edge_lines(np.full((48, 64), 255, np.uint8)).max() == 0


@pytest.mark.parametrize(('width', 'height'), [*SIZES, (17, 9), (1, 1)])
@pytest.mark.parametrize('level', [0, 255])
def test_blank_images_give_pictures_all_the_same(width, height, level):
    rgb = np.full((height, width, 3), level, np.uint8)
    thermal = np.full((height, width), 255 - level, np.uint8)
    deformation = Deformation.stretch((width, height), (80, 60))
    assert len(np.unique(edge_overlay(rgb, thermal).reshape(-1, 3), axis=0)) == 1
    assert checkerboard(rgb, thermal).shape == rgb.shape
    assert composite(rgb, thermal, thermal, width=64).shape[2] == 3
    assert debug_picture(rgb, thermal, deformation, width=64).dtype == np.uint8
    assert displacement_colour(deformation).shape == rgb.shape
    assert confidence_picture(deformation).shape == rgb.shape


@pytest.mark.parametrize('size', SIZES)
def test_no_displacement_is_white(size):
    deformation = Deformation.stretch(size, (80, 60))
    assert (body(displacement_colour(deformation)) == 255).all()
    assert (body(displacement_colour(shifted(7, 3), shifted(7, 3))) == 255).all()


def test_tiny_displacements_stay_pale():
    assert body(displacement_colour(shifted(0.02, 0.01))).min() > 240


@pytest.mark.parametrize(('dx', 'dy', 'bgr'), [
    # Baker et al. 2011: right is red, down yellow, left cyan to blue, up violet.
    (8, 0, (0, 0, 255)), (0, 8, (0, 230, 255)), (-8, 0, (255, 232, 0)), (0, -8, (255, 0, 128))])
def test_direction_is_hue(dx, dy, bgr):
    colour = body(displacement_colour(shifted(dx, dy)))
    assert np.ptp(colour.reshape(-1, 3), axis=0).max() <= 1
    np.testing.assert_allclose(colour[0, 0], bgr, atol=40)


def test_length_is_saturation():
    vectors = np.array([[0.0, 0], [1, 0], [2, 0], [4, 0], [5, 0]])
    colours = flow_colours(vectors, 4.0)
    saturation = np.ptp(colours, axis=1) / colours.max(axis=1)
    np.testing.assert_allclose(saturation, [0, 0.25, 0.5, 1, 1], atol=0.01)
    assert colours[4].max() < colours[3].max(), 'beyond the scale is darker'


def test_hue_has_no_seam():
    angle = np.linspace(-np.pi, np.pi, 20_001)
    colours = flow_colours(np.stack([np.cos(angle), np.sin(angle)], -1), 1.0).astype(int)
    assert np.abs(np.diff(colours, axis=0)).max() <= 1
    np.testing.assert_allclose(colours[0], colours[-1], atol=1)


@pytest.mark.parametrize('size', [*SIZES, LARGEST])
def test_legend_shows_every_direction(size):
    picture = displacement_colour(shifted(8, 0, size))
    wheel, opacity = disc(max(9, round(min(size) / 6)))
    high = len(wheel)
    side = min(high + 60, *size)
    corner = picture[-side:, -side:]
    inner = slice(high // 4, high - high // 4)
    # Equally far from both borders.
    errors = [np.abs(corner[i:i + high, i:i + high][inner, inner].astype(int)
                     - wheel[inner, inner]).max() for i in range(side - high + 1)]
    assert min(errors) == 0
    assert opacity[high // 2, high // 2] == 1
    assert opacity[0, 0] == 0
    assert (picture == BACKGROUND).all(axis=2).any(), 'a plate behind it'


def test_displacement_is_in_rgb_pixels_whatever_the_thermal_image_has():
    stretch = Deformation.stretch((640, 480), (160, 120))
    grid = np.zeros((4, 5, 2), np.float32)
    grid[..., 0] = 2.0
    moved = dataclasses.replace(stretch, grid=grid)
    np.testing.assert_allclose(displacement(moved)[..., 0], 8.0, atol=1e-9)
    np.testing.assert_allclose(displacement(moved)[..., 1], 0.0, atol=1e-9)


def test_displacement_leads_to_where_the_other_map_shows_the_content():
    rng = np.random.default_rng(3)
    grid = cv2.resize(rng.normal(0, 2, (3, 4, 2)).astype(np.float32), (8, 6))
    true = Deformation(SIZE, (160, 128), np.array(
        [[0.5, 0.02, 3], [-0.01, 0.52, 2], [1e-4, -5e-5, 1]]), grid)
    other = Deformation(SIZE, (160, 128), np.array([[0.48, 0, 6], [0.01, 0.5, 5], [0, 1e-4, 1]]))
    field = displacement(true, other)
    nodes = np.stack(np.meshgrid(np.linspace(0, 319, 161), np.linspace(0, 239, 121)), -1)
    lands = nodes + field
    maps = dense_map(true), dense_map(other)
    inside = ((lands > 0) & (lands < np.array(SIZE) - 1)).all(axis=2)
    x, y = lands[..., 0].astype(np.float32), lands[..., 1].astype(np.float32)
    shown = cv2.remap(maps[1], x, y, cv2.INTER_LINEAR)[inside]
    x, y = nodes[..., 0].astype(np.float32), nodes[..., 1].astype(np.float32)
    wanted = cv2.remap(maps[0], x, y, cv2.INTER_LINEAR)[inside]
    assert inside.mean() > 0.5
    np.testing.assert_allclose(shown, wanted, atol=0.05)


def test_places_behind_the_camera_are_grey():
    # w = 1 - x / 160: the right half of the image lies behind the thermal camera.
    deformation = Deformation(SIZE, SIZE, np.array([[1, 0, 0], [0, 1, 0], [-1 / 160, 0, 1.0]]))
    picture = displacement_colour(deformation)
    assert (picture[:100, 170:] == 128).all()
    assert not (picture[:100, :140] == 128).all(axis=2).any()


@pytest.mark.parametrize('size', SIZES)
def test_confidence_as_colour(size):
    trust = np.linspace(0, 1, 5)[None].repeat(4, axis=0)
    picture = confidence_picture(shifted(0, 0, size, confidence=0.5, confidence_map=trust))
    ends = cv2.applyColorMap(np.array([[0, 255]], np.uint8), cv2.COLORMAP_VIRIDIS)[0]
    np.testing.assert_array_equal(picture[0, 0], ends[0])
    np.testing.assert_array_equal(picture[0, -1], ends[1])
    whole = confidence_picture(shifted(0, 0, size, confidence=0.5))
    assert (body(whole) == whole[0, 0]).all()
    assert (whole[-len(whole) // 5:] == BACKGROUND).all(axis=2).any(), 'a legend'


def test_confidence_of_each_pixel():
    trust = np.array([[0, 1], [0.5, 1]], np.float32)
    found = dense_confidence(shifted(0, 0, (5, 3), confidence_map=trust))
    assert found.dtype == np.float32
    np.testing.assert_allclose(
        found, [[0, .25, .5, .75, 1], [.25, .4375, .625, .8125, 1], [.5, .625, .75, .875, 1]],
        atol=1e-6)
    np.testing.assert_array_equal(
        dense_confidence(shifted(0, 0, (5, 3), confidence=0.25)), np.full((3, 5), 0.25))


def test_panels_lie_apart_and_captions_stay_above_their_own():
    tile = np.full((90, 120, 3), 200, np.uint8)
    rows = [[Panel(tile, 'W' * 99), Panel(tile, '')], [Panel(tile, 'left'), Panel(tile, 'right')]]
    made = sheet(rows, 'a line ' * 50)
    tiles = (made == 200).all(axis=2)
    assert cv2.connectedComponents(tiles.astype(np.uint8))[0] >= 5
    kept = cv2.connectedComponentsWithStats(tiles.astype(np.uint8))[2]
    assert sorted(kept[1:, cv2.CC_STAT_AREA])[-4:] == [90 * 120] * 4
    boxes = sorted(map(tuple, kept[kept[:, cv2.CC_STAT_AREA] == 90 * 120][:, :2]))
    left, top = boxes[0]
    right = boxes[-1][0]
    written = (made[:top] != BACKGROUND).any(axis=2)
    assert written[:, left:left + 120].any()
    assert not written[:, left + 121:right].any(), 'a caption that is too long is cut'
    assert (made[:, -1] == BACKGROUND).all()


def test_text_fits_the_room_that_it_has():
    canvas = np.full((30, 200, 3), BACKGROUND, np.uint8)
    write(canvas, 'confidence', 0, 24, 20, 60)
    assert not (canvas[:, 62:] != BACKGROUND).any()
    assert (canvas[:, :60] != BACKGROUND).any()
    assert text_width('confidence', 20) > 60


def test_summary_says_source_confidence_and_error():
    assert summary(Deformation.stretch(SIZE, SIZE)) == (
        'source: none, confidence 0.00, expected error unknown')
    assert summary(shifted(0, 0, source=DeformationSource.LAST_GOOD, confidence=0.874,
                           residual_px=0.68)) == (
        'source: last good, confidence 0.87, expected error 0.7 px')


def test_dark_images_are_lifted_and_bright_ones_kept():
    rgb, _ = images(*SIZE)
    dark = (rgb // 12).astype(np.uint8)
    assert legible(dark).mean() > 2 * dark.mean()
    assert abs(legible(rgb).mean() - rgb.mean()) < 30
    assert legible(dark[..., 0]).shape == dark.shape[:2]


@pytest.mark.parametrize('stem', ['FLIR_05697', 'FLIR_08749'], ids=['night', 'day'])
def test_more_edges_meet_where_real_images_lie_well(shared_data, stem):
    rgb, thermal = (cv2.imread(str(shared_data / 'roadscene' / sensor / f'{stem}.jpg'), flag)
                    for sensor, flag in (('rgb', 1), ('thermal', 0)))
    meeting = []
    for image in (np.roll(thermal, 9, axis=1), thermal):
        picture = edge_overlay(rgb, image)
        meeting.append(((picture.min(axis=2) > 170) & (np.ptp(picture, axis=2) < 40)).sum())
    assert meeting[1] > 1.4 * meeting[0]


def test_composite_has_four_pictures_of_the_width_asked_for():
    rgb, thermal = images(*SIZE)
    made = composite(rgb, np.roll(thermal, 30, axis=1), thermal, width=200)
    gap = (made.shape[1] - 2 * 200) // 3
    before, after = (made[:, x:x + 200] for x in (gap, 200 + 2 * gap))
    small = cv2.resize(thermal, (200, 150), interpolation=cv2.INTER_AREA)
    expected = edge_overlay(cv2.resize(rgb, (200, 150), interpolation=cv2.INTER_AREA), small)
    assert cv2.matchTemplate(after, expected, cv2.TM_SQDIFF).min() < 1e4
    assert cv2.matchTemplate(before, expected, cv2.TM_SQDIFF).min() > 1e6
