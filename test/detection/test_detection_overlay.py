# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The picture of the detections."""

from dataclasses import replace

import numpy as np
import pytest

from ivif_ros.detection import draw, overlay
from ivif_ros.detection.overlay import PALETTE
from ivif_ros.types import Detections


def one(box, class_id=0, names=None):
    return Detections(np.array([box]), [0.87], [class_id], names or {0: 'person', 1: 'car'})


def luminance(bgr):
    return np.asarray(bgr, float) @ (0.114, 0.587, 0.299)


@pytest.mark.parametrize('background', [0, 255])
def test_box_and_label_stand_out_on_dark_and_on_bright(background):
    image = np.full((240, 320, 3), background, np.uint8)
    picture = draw(image, one((100, 120, 200, 200)))
    assert (image == background).all(), 'the input was drawn into'
    crossing = luminance(picture[160, 94:106])
    assert np.ptp([*crossing, background]) > 100
    label = luminance(picture[100:118, 100:140])
    assert np.ptp(label) > 100, 'letters do not stand out from their ground'
    # Nothing is drawn inside or far outside the box.
    assert (picture[130:190, 110:190] == background).all()
    assert (picture[:80] == background).all()


def test_the_box_lies_on_the_pixels_of_its_edges():
    picture = draw(np.zeros((240, 320, 3), np.uint8), one((100, 120, 200, 200)))
    colour = np.array(PALETTE[0])
    for row, column in ((160, 100), (160, 199), (199, 150), (120, 180)):
        assert np.abs(picture[row, column] - colour).max() < 40, (row, column)


def test_classes_have_different_colours():
    image = np.zeros((100, 100, 3), np.uint8)
    person, car = (draw(image, one((20, 40, 80, 90), index)) for index in (0, 1))
    assert np.abs(person[60, 20].astype(int) - car[60, 20]).max() > 50
    assert len(set(PALETTE)) == len(PALETTE) == 8


@pytest.mark.parametrize('box', [(0, 0, 320, 240), (280, 1, 330, 20), (-20, -20, 10, 10),
                                 (300, 220, 319, 239)])
def test_labels_stay_in_the_picture(box):
    picture = draw(np.zeros((240, 320, 3), np.uint8), one(box, names={0: 'construction worker'}))
    black_on_colour = (picture == np.array(PALETTE[0])).all(-1)
    # A label that was cut would have less ground than one in the open.
    whole = draw(np.zeros((240, 320, 3), np.uint8),
                 one((100, 120, 105, 125), names={0: 'construction worker'}))
    assert black_on_colour.sum() >= 0.9 * (whole == np.array(PALETTE[0])).all(-1).sum()


def test_unknown_class_ids_are_written_as_numbers():
    image = np.zeros((100, 200, 3), np.uint8)
    assert draw(image, one((20, 40, 80, 90), 17)).any()


def test_the_track_id_is_written_where_there_is_one(monkeypatch):
    written = []
    put = overlay.cv2.putText

    def note(picture, text, *rest):
        written.append(text)
        return put(picture, text, *rest)
    monkeypatch.setattr(overlay.cv2, 'putText', note)
    image = np.zeros((100, 200, 3), np.uint8)
    for track_ids in (None, [-1], [12]):
        draw(image, replace(one((20, 40, 80, 90)), track_ids=track_ids))
    assert written == ['person 87%', 'person 87%', 'person #12 87%']


def test_lines_grow_with_the_image():
    def thickness(height, width):
        picture = draw(np.zeros((height, width, 3), np.uint8),
                       one((width // 4, height // 4, width // 2, height // 2)))
        return int((luminance(picture[3 * height // 8, :3 * width // 8]) > 60).sum())

    assert thickness(2160, 3840) >= 2.5 * thickness(480, 640)
