# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw detections into a picture for people."""

from __future__ import annotations

import cv2

from ivif_ros.types import Array, Detections

# Paul Tol's "light" scheme (colour-blind safe, https://personal.sron.nl/~pault) in BGR: bright
# enough for night images, and with black text and a black seam readable on bright ones.
PALETTE = ((136, 221, 238), (221, 170, 119), (102, 136, 238), (153, 187, 68), (187, 170, 255),
           (51, 204, 187), (255, 221, 153), (221, 221, 221))
SEAM = (16, 16, 16)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(bgr: Array, detections: Detections) -> Array:
    """Draw boxes with class names, track ids (where there are any) and scores.

    Args:
        bgr: (H, W, 3) uint8.
        detections: boxes in pixels of that image.

    Returns:
        (H, W, 3) uint8 copy with the boxes; lines and letters grow with the image.
    """
    picture: Array = bgr.copy()
    shorter = min(picture.shape[:2])
    line = max(2, round(shorter / 320))
    # The best scores are drawn last, on top.
    order = detections.scores.argsort()
    for index in order:
        x0, y0, x1, y1 = (int(value) for value in detections.boxes[index].round())
        for colour, width in ((SEAM, line + 2), (_colour(detections, index), line)):
            cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), colour, width, cv2.LINE_AA)
    for index in order:
        _label(picture, detections, int(index), line)
    return picture


def _colour(detections: Detections, index: int) -> tuple[int, int, int]:
    return PALETTE[int(detections.class_ids[index]) % len(PALETTE)]


def _label(picture: Array, detections: Detections, index: int, line: int) -> None:
    """Write name, track id and score above the box, inside the picture."""
    height, width = picture.shape[:2]
    class_id = int(detections.class_ids[index])
    name = detections.names.get(class_id, str(class_id))
    track = -1 if detections.track_ids is None else int(detections.track_ids[index])
    number = f' #{track}' if track >= 0 else ''
    text = f'{name}{number} {100 * detections.scores[index]:.0f}%'
    scale = max(0.36, min(height, width) / 1200)
    stroke = max(1, line // 2)
    (text_width, text_height), below = cv2.getTextSize(text, FONT, scale, stroke)
    pad = line + 1
    box_width, box_height = text_width + 2 * pad, text_height + below + 2 * pad
    x = max(0, min(int(detections.boxes[index, 0]) - line, width - box_width))
    y = int(detections.boxes[index, 1]) - line - box_height
    if y < 0:  # no room above the box
        y = max(0, min(int(detections.boxes[index, 1]) + line, height - box_height))
    cv2.rectangle(picture, (x, y), (x + box_width, y + box_height), _colour(detections, index), -1)
    origin = (x + pad, y + pad + text_height)
    cv2.putText(picture, text, origin, FONT, scale, SEAM, stroke, cv2.LINE_AA)
