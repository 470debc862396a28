# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Nouns -> messages and back, for live topics and for recordings alike.

Each function takes a `MessageFactory`, stamps in nanoseconds and the frame that goes into the
header. The way back reads any object with the fields of the message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ivif_ros.errors import CalibrationError
from ivif_ros.ros.compressed_codec import compress
from ivif_ros.ros.image_encoder import encode_image
from ivif_ros.ros.message_factory import MessageFactory
from ivif_ros.types import Array, CameraModel, Deformation, DeformationSource, Detections, Outcome

# Coefficients that ROS expects, at least, of each distortion model.
_COEFFICIENTS = {'plumb_bob': 5, 'rational_polynomial': 8, 'equidistant': 4}


def image_message(factory: MessageFactory, image: Array, encoding: str, stamp_ns: int,
                  frame_id: str) -> Any:
    """Return a sensor_msgs/Image.

    Args:
        factory: makes the message.
        image: as for `encode_image`, like `encoding`.
        encoding: name of the encoding.
        stamp_ns: stamp of the header.
        frame_id: frame of the header.

    Raises:
        ImageError: the picture cannot be brought into the encoding, see `encode_image`.
    """
    encoded = encode_image(image, encoding)
    return factory.make(
        'sensor_msgs/msg/Image', header=factory.header(stamp_ns, frame_id), height=encoded.height,
        width=encoded.width, encoding=encoding, is_bigendian=0, step=encoded.step,
        data=encoded.data)


def compressed_message(factory: MessageFactory, image: Array, kind: str, quality: int,
                       stamp_ns: int, frame_id: str) -> Any:
    """Return a sensor_msgs/CompressedImage; image, `kind` and `quality` as for `compress`.

    Raises:
        ImageError: the picture cannot be compressed like that.
    """
    name, data = compress(image, kind, quality)
    return factory.make('sensor_msgs/msg/CompressedImage',
                        header=factory.header(stamp_ns, frame_id), format=name, data=data)


def camera_info_message(factory: MessageFactory, camera: CameraModel, stamp_ns: int,
                        frame_id: str) -> Any:
    """Return a sensor_msgs/CameraInfo of an image that is not rectified.

    R is the identity and P is K without translation: a single camera whose rectified image keeps K.
    """
    count = max(len(camera.distortion), _COEFFICIENTS[camera.distortion_model])
    distortion = np.zeros(count)
    distortion[:len(camera.distortion)] = camera.distortion
    projection = np.hstack([camera.matrix, np.zeros((3, 1))])
    return factory.make(
        'sensor_msgs/msg/CameraInfo', header=factory.header(stamp_ns, frame_id),
        height=camera.height, width=camera.width, distortion_model=camera.distortion_model,
        d=distortion, k=camera.matrix, r=np.eye(3), p=projection)


def camera_from_message(message: Any) -> CameraModel | None:
    """Read the intrinsics of the image that a camera sends.

    K of a sensor_msgs/CameraInfo is that of the whole sensor. Here a region of interest moves the
    principal point and binning scales K (REP-104), so the result fits the image as it is sent.
    Messages of ROS 1 (fields D, K) are read too.

    Returns:
        The model, or None for an all-zero K, by which drivers say that nothing is known.

    Raises:
        CalibrationError: size, region, matrix or distortion contradict each other.
    """
    matrix = np.array(_either(message, 'k'), np.float64).reshape(3, 3)
    if not matrix.any():
        return None
    distortion = np.array(_either(message, 'd'), np.float64)
    model = message.distortion_model
    if not distortion.any():
        # Some drivers leave the model empty, or say "none".
        distortion, model = np.zeros(0), model if model in _COEFFICIENTS else 'plumb_bob'
    region = message.roi
    width, height = region.width or message.width, region.height or message.height
    if region.x_offset + width > message.width or region.y_offset + height > message.height:
        raise CalibrationError(
            f'camera_info: region {width}x{height} at ({region.x_offset}, {region.y_offset}) is '
            f'not inside the {message.width}x{message.height} px of the sensor')
    matrix[:2, 2] -= region.x_offset, region.y_offset
    bins = max(message.binning_x, 1), max(message.binning_y, 1)
    # Pixel centres are integers: the centre of the first bin lies (bins - 1) / 2 from that of pixel
    # 0.
    for axis in (0, 1):
        matrix[axis] /= bins[axis]
        matrix[axis, 2] += (1 / bins[axis] - 1) / 2
    return CameraModel(width // bins[0], height // bins[1], matrix, distortion, model)


def _either(message: Any, name: str) -> Any:
    return getattr(message, name) if hasattr(message, name) else getattr(message, name.upper())


def deformation_message(factory: MessageFactory, deformation: Deformation, stamp_ns: int,
                        frame_id: str, thermal_frame_id: str) -> Any:
    """Return an ivif_ros/Deformation; the header is that of the RGB image."""
    grid = np.zeros((0, 0, 2)) if deformation.grid is None else deformation.grid
    trust = (np.zeros((0, 0), np.uint8) if deformation.confidence_map is None
             else np.rint(deformation.confidence_map * 255.0).astype(np.uint8))
    return factory.make(
        'ivif_ros/msg/Deformation', header=factory.header(stamp_ns, frame_id),
        thermal_frame_id=thermal_frame_id, rgb_width=deformation.rgb_size[0],
        rgb_height=deformation.rgb_size[1], thermal_width=deformation.thermal_size[0],
        thermal_height=deformation.thermal_size[1], homography=deformation.homography,
        grid_width=grid.shape[1], grid_height=grid.shape[0], displacement=grid,
        source=int(deformation.source), confidence=float(deformation.confidence),
        residual=float(deformation.residual_px), confidence_width=trust.shape[1],
        confidence_height=trust.shape[0], confidence_map=trust)


def deformation_from_message(message: Any) -> Deformation:
    """Read an ivif_ros/Deformation.

    Raises:
        CalibrationError: sizes that contradict each other, or an unknown source.
    """
    values = np.array(message.displacement, np.float32)
    shape = message.grid_height, message.grid_width, 2
    if values.size != np.prod(shape):
        raise CalibrationError(
            f'deformation: {values.size} numbers for a grid of {shape[1]}x{shape[0]}, expected '
            f'{np.prod(shape)}')
    trust = np.array(message.confidence_map, np.uint8)
    places = message.confidence_height, message.confidence_width
    if trust.size != np.prod(places):
        raise CalibrationError(
            f'deformation: {trust.size} numbers for a confidence map of {places[1]}x{places[0]}, '
            f'expected {np.prod(places)}')
    if min(message.rgb_width, message.rgb_height, message.thermal_width,
           message.thermal_height) < 1:
        raise CalibrationError('deformation: an image size is zero, expected positive pixels')
    if message.source not in set(DeformationSource):
        raise CalibrationError(f'deformation: source is {message.source}, expected 0 to '
                               f'{max(DeformationSource)}')
    return Deformation(
        rgb_size=(message.rgb_width, message.rgb_height),
        thermal_size=(message.thermal_width, message.thermal_height),
        homography=np.array(message.homography, np.float64).reshape(3, 3),
        grid=values.reshape(shape) if values.size else None,
        confidence=float(message.confidence), residual_px=float(message.residual),
        source=DeformationSource(message.source),
        confidence_map=trust.reshape(places) / np.float32(255.0) if trust.size else None)


def status_message(factory: MessageFactory, result: Outcome, stamp_ns: int, frame_id: str, *,
                   pairs_in: int, pairs_fused: int, pairs_partial: int,
                   dropped: Mapping[str, int]) -> Any:
    """Return an ivif_ros/Status.

    Args:
        factory: makes the message.
        result: the pair that it is about.
        stamp_ns: stamp of the fused image.
        frame_id: frame of the fused image.
        pairs_in: pairs given to the pipeline so far.
        pairs_fused: of these, fused from both cameras.
        pairs_partial: of these, made from one camera.
        dropped: frames and pairs that gave no output so far, by reason.
    """
    pair, deformation = result.pair, result.deformation
    stamps = [factory.time(frame.stamp_ns if frame is not None else 0)
              for frame in (pair.rgb, pair.thermal)]
    return factory.make(
        'ivif_ros/msg/Status', header=factory.header(stamp_ns, frame_id), mode=int(result.mode),
        reason=result.reason, rgb_stamp=stamps[0], thermal_stamp=stamps[1],
        skew=pair.skew_ns / 1e6, thermal_held=bool(pair.held),
        thermal_offset=float(pair.offset.in_use_ms),
        thermal_offset_estimate=float(pair.offset.estimate_ms),
        thermal_offset_std=float(pair.offset.std_ms),
        deformation_source=int(deformation.source if deformation else DeformationSource.NONE),
        confidence=float(deformation.confidence) if deformation else 0.0,
        residual=float(deformation.residual_px) if deformation else float('nan'),
        latencies=[factory.make('ivif_ros/msg/StageLatency', name=name, latency=float(latency))
                   for name, latency in result.latency_ms.items()],
        pairs_in=pairs_in, pairs_fused=pairs_fused, pairs_partial=pairs_partial,
        dropped=[factory.make('ivif_ros/msg/Counter', name=name, count=count)
                 for name, count in dropped.items()])


def detections_message(factory: MessageFactory, detections: Detections, stamp_ns: int,
                       frame_id: str) -> Any:
    """Return a vision_msgs/Detection2DArray.

    `class_id` of a hypothesis is the *name* of the class ("person"), as most YOLO nodes for ROS
    fill it in and as RViz and people read it; LabelInfo gives the number of each name. Boxes are in
    pixels counted from the outer edge of the image, as detectors give them. The pose of the
    hypothesis is not known. `id` is the track id as text, empty for an object without a track.
    """
    header = factory.header(stamp_ns, frame_id)
    tracks = [-1] * len(detections) if detections.track_ids is None else (
        detections.track_ids.tolist())
    found = []
    for (x0, y0, x1, y1), score, number, track in zip(
            detections.boxes.tolist(), detections.scores.tolist(), detections.class_ids.tolist(),
            tracks, strict=True):
        hypothesis = factory.make('vision_msgs/msg/ObjectHypothesis',
                                  class_id=detections.names.get(number, str(number)), score=score)
        centre = factory.make('vision_msgs/msg/Pose2D', position=factory.make(
            'vision_msgs/msg/Point2D', x=(x0 + x1) / 2, y=(y0 + y1) / 2))
        found.append(factory.make(
            'vision_msgs/msg/Detection2D', header=header,
            results=[factory.make('vision_msgs/msg/ObjectHypothesisWithPose',
                                  hypothesis=hypothesis)],
            bbox=factory.make('vision_msgs/msg/BoundingBox2D', center=centre, size_x=x1 - x0,
                              size_y=y1 - y0),
            id=str(track) if track >= 0 else ''))
    return factory.make('vision_msgs/msg/Detection2DArray', header=header, detections=found)


def detections_from_message(message: Any, names: Mapping[int, str]) -> Detections:
    """Read a vision_msgs/Detection2DArray; the best hypothesis of each object counts.

    Args:
        message: the message; rotated boxes are read as if they were upright.
        names: names by id, as LabelInfo gives them. Nodes that write the id into `class_id` are
            read as well; a name that is not listed gets the next free id.

    Returns:
        The objects; with track ids where at least one of them has a number in `id`.
    """
    known = dict(names)
    ids = {name: number for number, name in known.items()}
    boxes, scores, numbers, tracks = [], [], [], []
    for detection in message.detections:
        if not detection.results:
            continue
        best = max((result.hypothesis for result in detection.results), key=lambda h: h.score)
        if best.class_id not in ids:
            number = int(best.class_id) if best.class_id.isdecimal() else max(known, default=-1) + 1
            known.setdefault(number, best.class_id)
            ids[best.class_id] = number
        box, centre = detection.bbox, detection.bbox.center.position
        boxes.append([centre.x - box.size_x / 2, centre.y - box.size_y / 2,
                      centre.x + box.size_x / 2, centre.y + box.size_y / 2])
        scores.append(best.score)
        numbers.append(ids[best.class_id])
        tracks.append(_track_id(detection.id))
    return Detections(np.array(boxes), np.array(scores), np.array(numbers, np.int64), known,
                      np.array(tracks, np.int64) if max(tracks, default=-1) >= 0 else None)


def _track_id(text: str) -> int:
    """Read a track id; -1 for none, and for what other nodes write that is no 64-bit number."""
    return int(text) if text.isdecimal() and len(text) <= 18 else -1


def label_info_message(factory: MessageFactory, names: Mapping[int, str], stamp_ns: int,
                       threshold: float = 0.0) -> Any:
    """Return a vision_msgs/LabelInfo.

    Args:
        factory: makes the message.
        names: class names by id, 0 to 65535.
        stamp_ns: time from which they hold.
        threshold: least score that is reported.
    """
    return factory.make(
        'vision_msgs/msg/LabelInfo', header=factory.header(stamp_ns, ''),
        class_map=[factory.make('vision_msgs/msg/VisionClass', class_id=number, class_name=name)
                   for number, name in sorted(names.items())],
        threshold=float(threshold))
