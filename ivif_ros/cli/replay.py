# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Fuse a recording offline, with the pairing and the pipeline of the live node.

The outputs are written on the topics of the live node into a new rosbag2 recording (MCAP). Equal
recordings and parameters give equal images, whatever the speed of the machine.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ivif_ros.bags.replay import replay
from ivif_ros.bags.writer import BagWriter
from ivif_ros.cli.console import progress_bar
from ivif_ros.cli.exit_codes import ExitCode
from ivif_ros.cli.options import add_fusion_options, add_parameter_options, parameters_from
from ivif_ros.cli.run_tables import print_summary
from ivif_ros.errors import ParameterError
from ivif_ros.pipeline import Pipeline
from ivif_ros.sources import open_source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        'source', metavar='BAG', help='rosbag2 folder, .mcap, .db3 or ROS 1 .bag file; or a folder '
        'with rgb/ and thermal/; or sim')
    parser.add_argument('--out', required=True, type=Path, metavar='BAG',
                        help='rosbag2 folder to make; it must not exist')
    parser.add_argument('--rgb-topic', metavar='T', help='images of the colour camera; found by '
                        'type, name and encoding when left out')
    parser.add_argument('--thermal-topic', metavar='T', help='images of the thermal camera')
    parser.add_argument('--seconds', type=float, metavar='S', help='stop after this time of the '
                        'recording')
    add_fusion_options(parser)
    parser.add_argument('--calibration', metavar='FILE', help='calibration of the rig (YAML)')
    parser.add_argument('--detect', nargs='?', const='', metavar='WEIGHTS',
                        help='find objects, with these weights or those of detection.weights')
    parser.add_argument('--jpeg', action='store_true', help='write compressed images')
    add_parameter_options(parser)


def run(args: argparse.Namespace) -> int:
    """Replay and print what came of it."""
    detection = {'detection__weights': args.detect, 'detection__enabled': True}
    params = parameters_from(args, **(detection if args.detect else {}))
    if args.detect is not None and not params.detection.weights:
        raise ParameterError('--detect needs a model: give its file, or set detection.weights')
    with open_source(args.source, seconds=args.seconds, rgb_topic=args.rgb_topic,
                     thermal_topic=args.thermal_topic) as source:
        print(source.describe())
        pipeline = Pipeline(params)
        try:
            if args.detect is not None:
                pipeline.load_detector()
            length_ns = source.duration_ns()
            total = None if length_ns is None else length_ns / 1e9
            with BagWriter(args.out) as writer, progress_bar('replay, s', total) as show:
                summary = replay(
                    source, writer, pipeline, params,
                    lambda done_ns, total_ns, results: show(done_ns / 1e9),
                    compression='jpeg' if args.jpeg else 'none')
        finally:
            pipeline.close()
    print_summary(summary, str(args.out))
    return ExitCode.DONE
