# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Record the simulated rig: into a rosbag2 recording, or as a folder of pairs with the truth.

A recording has images and camera_info of both cameras on the topics rgb/... and thermal/..., with
the rates, jitter, clock offset and transport delays of the rig.

A folder (--pairs) has exactly simultaneous images, rgb/<n>.png and thermal/<n>.png (16-bit counts),
and truth/<n>.npz with `map`, float32 (H, W, 2): thermal x, y of each RGB pixel, NaN where there is
none; and `boxes`, `class_ids`, `visibility` of people and vehicles in the RGB image. Beside them
stand calibration.yaml, the true calibration, and simulation.json with settings and class names.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ivif_ros.bags.outputs import ImageWriter
from ivif_ros.bags.writer import BagWriter
from ivif_ros.cli.console import progress_bar
from ivif_ros.cli.exit_codes import ExitCode
from ivif_ros.cli.files import make_folder, write_file
from ivif_ros.errors import OutputError, ParameterError
from ivif_ros.registration import Calibration, save_calibration
from ivif_ros.ros.messages import camera_info_message
from ivif_ros.ros.rosbags_messages import RosbagsFactory
from ivif_ros.simulation import SimulatedRig
from ivif_ros.simulation.config import LIGHTINGS
from ivif_ros.sources.simulated import rig_config
from ivif_ros.types import Sensor

SENSORS: tuple[Sensor, Sensor] = ('rgb', 'thermal')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('--out', required=True, type=Path, metavar='PATH',
                        help='recording or folder to make; it must not exist')
    parser.add_argument('--seconds', type=float, default=10.0, metavar='S',
                        help='length (default: %(default)s)')
    parser.add_argument('--pairs', action='store_true',
                        help='make a folder of pairs with the truth, at the slower rate')
    parser.add_argument('--jpeg', action='store_true',
                        help='compressed images in the recording (thermal as 16-bit PNG)')
    rig = parser.add_argument_group('rig')
    rig.add_argument('--lighting', choices=LIGHTINGS, default='night', help='default: night')
    rig.add_argument('--seed', type=int, default=0, help='street, traffic and noise')
    rig.add_argument('--rgb-hz', type=float, metavar='HZ', help='rate of the colour camera')
    rig.add_argument('--thermal-hz', type=float, metavar='HZ', help='rate of the thermal camera')
    rig.add_argument('--rig', action='append', default=[], metavar='NAME=VALUE',
                     help='any setting of the rig, such as rgb_size=1280x720, baseline_m=0.2, '
                     'smoke=true; may be repeated')


def run(args: argparse.Namespace) -> int:
    """Render and write."""
    if not (args.seconds > 0 and math.isfinite(args.seconds)):
        raise ParameterError(f'--seconds is {args.seconds:g}, expected more than 0')
    options = [f'lighting={args.lighting}', f'seed={args.seed}']
    options += [f'{name}={value}' for name, value in
                (('rgb_hz', args.rgb_hz), ('thermal_hz', args.thermal_hz)) if value is not None]
    rig = SimulatedRig(rig_config('sim:' + ','.join(options + args.rig)))
    start = time.perf_counter()
    if args.pairs:
        written = write_pairs(rig, args.seconds, args.out)
    else:
        written = write_recording(rig, args.seconds, args.out, jpeg=args.jpeg)
    print(f'{written}, {args.seconds:g} s of the stream in {time.perf_counter() - start:.1f} s: '
          f'{args.out}')
    return ExitCode.DONE


def write_recording(rig: SimulatedRig, seconds: float, out: Path, *, jpeg: bool) -> str:
    """Write all frames as the drivers would publish them.

    Returns:
        What was written, for people.

    Raises:
        OutputError: it exists or cannot be written.
    """
    factory = RosbagsFactory()
    counts = dict.fromkeys(SENSORS, 0)
    first_ns: int | None = None
    with BagWriter(out) as writer, progress_bar('sim, s', seconds) as show:
        images = {sensor: ImageWriter(writer, factory, f'{sensor}/image_raw',
                                      compression='jpeg' if jpeg else 'none') for sensor in SENSORS}
        for sensor, frame in rig.frames(seconds):
            received_ns = frame.received_ns
            if frame.camera is not None:
                writer.write(f'{sensor}/camera_info', camera_info_message(
                    factory, frame.camera, frame.stamp_ns, frame.frame_id), received_ns)
            images[sensor].write(frame.image, frame.stamp_ns, frame.frame_id, received_ns)
            counts[sensor] += 1
            first_ns = received_ns if first_ns is None else first_ns
            show((received_ns - first_ns) / 1e9)
    return f"{counts['rgb']} RGB and {counts['thermal']} thermal frames"


def write_pairs(rig: SimulatedRig, seconds: float, out: Path) -> str:
    """Write simultaneous images of both cameras with the truth.

    Returns:
        What was written, for people.

    Raises:
        OutputError: it exists or cannot be written.
    """
    if out.exists():
        raise OutputError(f"output '{out}' exists already: choose another name or remove it first")
    for name in (*SENSORS, 'truth'):
        make_folder(out / name)
    save_calibration(out / 'calibration.yaml', Calibration(
        rig.rgb_camera, rig.thermal_camera, rig.thermal_from_rgb))
    names: dict[int, str] = {}
    count = 0
    with progress_bar('sim, s', seconds) as show:
        for count, t in enumerate(_times(rig, seconds), 1):
            stem = f'{count - 1:06d}'
            boxes = rig.true_boxes(t)
            names.update(boxes.names)
            truth = io.BytesIO()
            np.savez_compressed(truth, map=rig.true_map(t), boxes=boxes.boxes,
                                class_ids=boxes.class_ids, visibility=boxes.visibility)
            write_file(out / 'truth' / f'{stem}.npz', truth.getbuffer())
            for sensor, image in (('rgb', rig.render_rgb(t)), ('thermal', rig.render_thermal(t))):
                write_file(out / sensor / f'{stem}.png', cv2.imencode('.png', image)[1].data)
            show(t)
    settings = {'config': dataclasses.asdict(rig.config), 'class_names': names}
    write_file(out / 'simulation.json', json.dumps(settings, indent=2).encode())
    return f'{count} pairs'


def _times(rig: SimulatedRig, seconds: float) -> Iterator[float]:
    rate = min(rig.config.rgb_hz, rig.config.thermal_hz)
    index = 0
    while index / rate < seconds:
        yield index / rate
        index += 1
