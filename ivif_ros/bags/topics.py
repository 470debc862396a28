# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Which topics of a recording are the two cameras."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ivif_ros.errors import SourceError
from ivif_ros.types import Sensor

IMAGE_TYPE = 'sensor_msgs/msg/Image'
COMPRESSED_TYPE = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO_TYPE = 'sensor_msgs/msg/CameraInfo'

_DEEP_ENCODINGS = frozenset({'mono16', '16uc1', '16sc1', '32fc1'})
_GREY_ENCODINGS = frozenset({'mono8', '8uc1'})
_COLOUR_PREFIXES = ('bgr', 'rgb', 'bayer', 'yuv', 'uyvy', 'yuyv', 'nv', '8uc3', '8uc4')

# Images that are no camera image, or the output of this or a similar package. Words that are found
# inside longer words (compressedDepth) stand apart from those that must stand alone.
_OTHER_PARTS = ('depth', 'disparity', 'segment', 'semantic', 'confidence', 'reflec', 'nearir',
                'overlay', 'annotat', 'detection', 'heatmap', 'costmap')
_OTHER_WORDS = frozenset({'range', 'signal', 'nir', 'mask', 'label', 'labels', 'fused', 'fusion',
                          'registered', 'debug'})
# Names of long wave infrared cameras.
_THERMAL_PARTS = ('thermal', 'thermo', 'lwir', 'mwir', 'boson', 'lepton', 'microbolometer',
                  'optris', 'infiray', 'temperature')
_THERMAL_WORDS = frozenset({'tir', 'heat', 'tau2'})
# Names that near infrared cameras (depth sensors) and the visible cameras of FLIR carry as well.
_INFRARED_PARTS = ('flir', 'infrared')
_INFRARED_WORDS = frozenset({'ir', 'infra', 'seek', 't2', 'tau'})
_VISIBLE_PARTS = ('rgb', 'color', 'colour', 'visible')
_VISIBLE_WORDS = frozenset({'vis', 'eo', 'visual'})


@dataclass(frozen=True)
class ImageTopic:
    """One topic with images.

    Attributes:
        name: absolute topic name.
        msgtype: sensor_msgs/msg/Image or sensor_msgs/msg/CompressedImage.
        count: number of messages.
        encoding: encoding of the first message; empty where a compressed image does not say.
    """

    name: str
    msgtype: str
    count: int
    encoding: str = ''

    @property
    def base(self) -> str:
        """Topic of the image without the suffix of image_transport."""
        return self.name.removesuffix('/compressed') if self.compressed else self.name

    @property
    def compressed(self) -> bool:
        """True for sensor_msgs/msg/CompressedImage."""
        return self.msgtype == COMPRESSED_TYPE

    @property
    def camera_info(self) -> str:
        """Topic of the camera_info that belongs to it: the sibling of the image."""
        return f'{self.base.rpartition("/")[0]}/camera_info'

    @property
    def camera(self) -> str:
        """What all topics of the same camera share."""
        parent, _, last = self.base.rpartition('/')
        return parent if parent and last.startswith('image') else self.base

    def __str__(self) -> str:
        """Name with type, encoding and number of messages."""
        kind = self.msgtype.rpartition('/')[2]
        encoding = self.encoding or 'of unknown encoding'
        return f'{self.name} ({kind} {encoding}, {self.count} messages)'


def choose_topics(topics: Sequence[ImageTopic], where: str, *, rgb: str | None = None,
                  thermal: str | None = None) -> tuple[ImageTopic, ImageTopic]:
    """Find the colour and the thermal camera.

    Named topics are taken as they are. Otherwise names decide first (thermal, lwir, boson beat ir
    and flir, which other cameras carry as well), then encodings. What all names have in common says
    nothing (`/thermal_rig/rgb`, `/thermal_rig/ir`). Depth images, masks and fused images are never
    guessed. Among the topics of one camera the least processed with the most bits wins.

    Args:
        topics: all image topics of the recording.
        where: name of the recording for messages.
        rgb: topic of the colour camera, or None.
        thermal: topic of the thermal camera, or None.

    Returns:
        Colour topic and thermal topic.

    Raises:
        SourceError: a camera is missing or could be one of several topics; the message lists them.
    """
    if not topics:
        raise SourceError(f'{where} has no image topic (sensor_msgs Image or CompressedImage)')
    chosen_rgb = None if rgb is None else _named(topics, rgb, 'rgb', where)
    chosen_thermal = None if thermal is None else _named(topics, thermal, 'thermal', where)
    taken = {topic.camera for topic in (chosen_rgb, chosen_thermal) if topic is not None}
    common = len(common_prefix(topics))
    free = [topic for topic in topics
            if topic.count and topic.camera not in taken and not is_derived(topic.name)]
    if chosen_thermal is None:
        colours = chosen_rgb is not None or any(is_colour(topic.encoding) for topic in free)
        scores = [(thermal_score(topic.name[common:], topic.encoding, colours), topic)
                  for topic in free]
        chosen_thermal = _best(scores, _thermal_order, 'thermal', topics, where)
        free = [topic for topic in free if topic.camera != chosen_thermal.camera]
    if chosen_rgb is None:
        scores = [(rgb_score(topic.name[common:], topic.encoding), topic) for topic in free]
        chosen_rgb = _best(scores, _rgb_order, 'rgb', topics, where)
    return chosen_rgb, chosen_thermal


def common_prefix(topics: Sequence[ImageTopic]) -> str:
    """Leading namespaces that all cameras share, such as `/robot1/head`."""
    parts = [topic.camera.split('/') for topic in topics]
    shared: list[str] = []
    for names in zip(*(camera[:-1] for camera in parts), strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return '/'.join(shared)


def is_colour(encoding: str) -> bool:
    """Tell whether an encoding has colour."""
    return encoding.lower().startswith(_COLOUR_PREFIXES)


def is_derived(name: str) -> bool:
    """Tell whether the name says that the images are not a camera's (depth, mask, fused, ...)."""
    return _says(name, _OTHER_PARTS, _OTHER_WORDS)


def thermal_score(name: str, encoding: str, colour_beside: bool) -> int:
    """How likely a topic is the thermal camera; 0 for not at all.

    Args:
        name: its name, or the part of it that tells cameras apart.
        encoding: encoding of its images; empty where unknown.
        colour_beside: True where another topic has colour: only then a grey image without a telling
            name may be thermal.
    """
    encoding = encoding.lower()
    if _says(name, _THERMAL_PARTS, _THERMAL_WORDS):
        return 6
    if _says(name, _VISIBLE_PARTS, _VISIBLE_WORDS):
        return 0
    if _says(name, _INFRARED_PARTS, _INFRARED_WORDS):
        return 5 if encoding in _DEEP_ENCODINGS else 1 if is_colour(encoding) else 4
    if encoding in _DEEP_ENCODINGS:
        return 3
    return 2 if encoding in _GREY_ENCODINGS and colour_beside else 0


def rgb_score(name: str, encoding: str) -> int:
    """How likely a topic is the colour camera; 0 for not at all."""
    encoding = encoding.lower()
    if _says(name, _THERMAL_PARTS, _THERMAL_WORDS) or encoding in _DEEP_ENCODINGS:
        return 0
    if _says(name, _VISIBLE_PARTS, _VISIBLE_WORDS):
        return 4
    if _says(name, _INFRARED_PARTS, _INFRARED_WORDS) and not is_colour(encoding):
        return 0
    return 3 if is_colour(encoding) else 1 if encoding else 2


def _says(name: str, parts: tuple[str, ...], words: frozenset[str]) -> bool:
    """Tell whether a name contains one of the parts anywhere, or one of the words on its own."""
    lower = name.lower()
    compact = re.sub(r'[^a-z0-9]', '', lower)
    alone = set(re.findall(r'[a-z]+', lower)) | set(re.findall(r'[a-z]+\d+', lower))
    return bool(alone & words) or any(part in compact for part in parts)


def _named(topics: Sequence[ImageTopic], name: str, sensor: Sensor, where: str) -> ImageTopic:
    wanted = name if name.startswith('/') else f'/{name}'
    exact = [topic for topic in topics if topic.name == wanted]
    # image_transport: who names the image means its compressed form where only that was recorded.
    found = exact or [topic for topic in topics if topic.base == wanted]
    if not found:
        raise SourceError(f"{where} has no image topic '{wanted}' for the {sensor} camera; "
                          f'it has {_listed(topics)}')
    if not found[0].count:
        raise SourceError(f"{where} has no message on '{wanted}' for the {sensor} camera")
    return found[0]


def _best(scored: Sequence[tuple[int, ImageTopic]],
          order: Callable[[ImageTopic], tuple[int, int, int, str]], sensor: Sensor,
          topics: Sequence[ImageTopic], where: str) -> ImageTopic:
    """Take the topic with the best score, if only one camera has it."""
    top = max((points for points, _ in scored), default=0)
    option = f'{sensor}_topic (--{sensor}-topic)'
    if top == 0:
        raise SourceError(f'{where} has no topic that looks like the {sensor} camera; it has '
                          f'{_listed(topics)}; name the right one with {option}')
    winners = [topic for points, topic in scored if points == top]
    cameras = {topic.camera for topic in winners}
    if len(cameras) > 1:
        raise SourceError(f'{where} has {len(cameras)} topics that may be the {sensor} camera: '
                          f'{_listed(winners)}; name the right one with {option}')
    camera = cameras.pop()
    same = [topic for points, topic in scored if topic.camera == camera and points > 0]
    return min(same, key=order)


def _thermal_order(topic: ImageTopic) -> tuple[int, int, int, str]:
    encoding = topic.encoding.lower()
    bits = (0 if encoding in ('mono16', '16uc1') else 1 if encoding in _DEEP_ENCODINGS
            else 2 if encoding in _GREY_ENCODINGS else 3 if not encoding else 4)
    return bits, int(topic.compressed), _processing(topic), topic.name


def _rgb_order(topic: ImageTopic) -> tuple[int, int, int, str]:
    encoding = topic.encoding.lower()
    colour = 0 if is_colour(encoding) else 1 if not encoding else 2
    return int(topic.compressed), colour, _processing(topic), topic.name


def _processing(topic: ImageTopic) -> int:
    """How far an image is from the sensor, by the names of image_pipeline."""
    last = topic.base.rpartition('/')[2]
    order = ('image_raw', 'image', 'image_color', 'image_rect_color', 'image_rect', 'image_mono')
    return order.index(last) if last in order else len(order)


def _listed(topics: Sequence[ImageTopic]) -> str:
    return ', '.join(str(topic) for topic in sorted(topics, key=lambda topic: topic.name))
