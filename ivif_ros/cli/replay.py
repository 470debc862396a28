# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Fuse a recording offline, with the pairing and the pipeline of the live node.

The outputs are written on the topics of the live node into a new rosbag2 recording (MCAP). Equal
recordings and parameters give equal images, whatever the speed of the machine.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ivif_ros.bags.writer import BagWriter
from ivif_ros.cli.console import progress_bar
from ivif_ros.cli.exit_codes import ExitCode
from ivif_ros.cli.interruption import Interruption
from ivif_ros.cli.options import (
    add_compression_option,
    add_fusion_options,
    add_parameter_options,
    image_compression,
    parameters_from,
)
from ivif_ros.cli.run_tables import print_sizes, print_summary
from ivif_ros.errors import ParameterError, SourceError
from ivif_ros.frame_source import FrameSource
from ivif_ros.parameters import Parameters
from ivif_ros.pipeline import Pipeline
from ivif_ros.sources import open_source

if TYPE_CHECKING:
    from ivif_ros.bags.summary import RunSummary


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
    add_compression_option(parser)
    parser.add_argument('--weight', action='store_true',
                        help='write the share of the thermal image too (fused/weight)')
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
            with BagWriter(args.out, zstd=args.compress == 'zstd') as writer:
                summary = _replay(args, source, writer, pipeline, params)
        finally:
            pipeline.close()
    print_summary(summary, str(args.out))
    print_sizes(writer)
    problem = summary.why_unpaired()
    if problem:
        raise SourceError(f"'{args.source}' has no pair of both cameras: {problem}; '{args.out}' "
                          f'holds {summary.pairs_in} results of one camera')
    return ExitCode.DONE


def _replay(args: argparse.Namespace, source: FrameSource, writer: BagWriter, pipeline: Pipeline,
            params: Parameters) -> RunSummary:
    """Replay with a progress bar; what breaks off says where and what is there.

    Raises:
        SourceError: the source cannot be read to its end.
        OutputError: the outputs cannot be written.
        KeyboardInterrupt: interrupted between two frames.
    """
    from ivif_ros.bags.replay import replay  # torch comes with it

    length_ns = source.duration_ns()
    done = 0

    def on_progress(done_ns: int, _: int | None, results: int) -> None:
        nonlocal done
        done = results
        show(done_ns / 1e9)
        interruption.check()

    with (progress_bar('replay, s', None if length_ns is None else length_ns / 1e9) as show,
          Interruption() as interruption):
        try:
            return replay(source, writer, pipeline, params, on_progress,
                          compression=image_compression(args.compress), weight=args.weight)
        except SourceError as error:
            raise SourceError(f"{error}; '{args.out}' holds the {done} results before") from error
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"'{args.out}' holds the {done} results before") from None
