# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Layout of the contact sheet, boxes of another aspect, and the video file."""

import cv2
import numpy as np
import pytest

from ivif_ros.demo import pictures
from ivif_ros.demo.pictures import SheetRow, Video, contact_sheet, letterbox, save_image
from ivif_ros.errors import OutputError


@pytest.mark.parametrize(('shape', 'box', 'inside'), [
    ((10, 40, 3), (80, 60), (slice(20, 40), slice(0, 80))),
    ((40, 10), (80, 60), (slice(0, 60), slice(32, 47))),
    ((120, 160), (80, 60), (slice(0, 60), slice(0, 80))),
])
def test_letterbox_keeps_the_aspect(shape, box, inside):
    boxed = letterbox(np.full(shape, 200, np.uint8), box)
    expected = np.full((box[1], box[0], 3), pictures.BACKGROUND, np.uint8)
    expected[inside] = 200
    np.testing.assert_array_equal(boxed, expected)


def test_sheet_has_a_tile_for_each_image():
    grays = (50, 100, 150, 200)
    rows = [SheetRow([np.full((30, 40), gray, np.uint8) for gray in grays], 'first'),
            SheetRow([np.full((30, 40, 3), 60, np.uint8), None, None,
                      np.full((30, 40, 3), 90, np.uint8)], 'second')]
    sheet = contact_sheet(rows, 'title')
    tile_height = 315
    assert sheet.shape == (56 + 2 * (tile_height + 28), 4 * 426 + 6, 3)
    for column, gray in enumerate(grays):
        left = 6 + column * 426
        assert (sheet[56:56 + tile_height, left:left + 420] == gray).all()
    second = sheet[56 + 343:56 + 343 + tile_height]
    assert (second[:, 6:426] == 60).all()
    assert (second[:, 432:1278] == pictures.BACKGROUND).all()
    assert (second[:, 1284:1704] == 90).all()
    # Title, names of the columns and captions are written between the tiles.
    for top, bottom in ((0, 28), (28, 56), (56 + 315, 56 + 343)):
        assert (sheet[top:bottom] != pictures.BACKGROUND).any()


def test_sheet_has_as_many_columns_as_names():
    row = SheetRow([np.full((30, 40), 50, np.uint8)] * 5, 'five')
    sheet = contact_sheet([row], 'title', ('a', 'b', 'c', 'd', 'e'))
    assert sheet.shape[1] == 5 * 426 + 6
    for column in range(5):
        assert (sheet[28:56, 6 + column * 426:6 + column * 426 + 40] != pictures.BACKGROUND).any()


def test_images_of_any_size_fit_the_video(tmp_path):
    path = tmp_path / 'v.mp4'
    video = Video(path, 10.0)
    shades = (40, 120, 200)
    for shade, shape in zip(shades, [(49, 65, 3), (49, 65, 3), (98, 130, 3)], strict=True):
        video.add(np.full(shape, shade, np.uint8))
    video.close()
    video.close()
    reader = cv2.VideoCapture(str(path))
    assert reader.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    for shade in shades:
        found, image = reader.read()
        assert found
        assert image.shape == (48, 64, 3)
        assert abs(int(image[24, 32, 0]) - shade) <= 6
    assert not reader.read()[0]


def test_files_that_cannot_be_written(tmp_path):
    image = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(OutputError, match=r'nowhere/a\.png'):
        save_image(tmp_path / 'nowhere' / 'a.png', image)
    with pytest.raises(OutputError, match=r'nowhere/a\.mp4'):
        Video(tmp_path / 'nowhere' / 'a.mp4', 10.0).add(image)
