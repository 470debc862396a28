# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Record what the running node publishes into a rosbag2 recording (MCAP), until Ctrl-C.

Messages are stored as they come over DDS, with the time at which they come. `--inputs` records the
images and camera_info of both cameras too: such a recording is what 'ivif replay' and
'ivif inspect' read. What this command does not know goes to ROS, so that remappings are those of
'ivif up':

  ivif record --out run1 --inputs -r rgb/image_raw:=/front/image_raw -r __ns:=/robot
  ivif record --out run2 --compress jpeg --max-size 2000
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivif_ros.cli.console import warn
from ivif_ros.cli.exit_codes import ExitCode
from ivif_ros.cli.interruption import Interruption
from ivif_ros.cli.options import add_compression_option, image_compression
from ivif_ros.cli.ros import ROS_ARGS, node_module, ros_words
from ivif_ros.cli.run_tables import print_sizes
from ivif_ros.errors import ParameterError, SourceError
from ivif_ros.parameters import OutputParameters

if TYPE_CHECKING:
    from ivif_ros.nodes.recorder import Recorded

PASSES_REST = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('--out', required=True, type=Path, metavar='BAG',
                        help='rosbag2 folder to make; it must not exist')
    parser.add_argument('--topics', nargs='+', metavar='T', help='outputs of the node to record, '
                        'such as fused/image status; all but fused/weight when left out')
    parser.add_argument('--weight', action='store_true',
                        help='record the share of the thermal image too (fused/weight); the node '
                        'computes it only for those who listen')
    parser.add_argument('--inputs', nargs='?', const='raw', choices=('raw', 'compressed'),
                        help='record the cameras too, raw unless said otherwise')
    add_compression_option(parser)
    parser.add_argument('--jpeg-quality', type=int, metavar='Q',
                        default=OutputParameters().jpeg_quality,
                        help='1 to 100 (default: %(default)s)')
    parser.add_argument('--max-size', type=float, metavar='MB',
                        help='end when the file has this size, in 1e6 bytes')
    parser.add_argument('--seconds', type=float, metavar='S',
                        help='end this long after the first message')


def run(args: argparse.Namespace) -> int:
    """Record, then say what is there and what is missing.

    Raises:
        SourceError: nothing came.
    """
    for option in ('max_size', 'seconds'):
        value = getattr(args, option)
        if value is not None and not 0 < value < math.inf:
            raise ParameterError(f"--{option.replace('_', '-')} is {value:g}, expected more than 0")
    if not 1 <= args.jpeg_quality <= 100:
        raise ParameterError(f'--jpeg-quality is {args.jpeg_quality}, expected 1 to 100')
    recorder = node_module('recorder', 'record')
    settings = recorder.Settings(
        topics=_topics(args, recorder.OUTPUTS), inputs=args.inputs,
        compression=image_compression(args.compress), jpeg_quality=args.jpeg_quality,
        zstd=args.compress == 'zstd', seconds=args.seconds,
        max_bytes=None if args.max_size is None else round(args.max_size * 1e6))
    print(f"recording to '{args.out}', Ctrl-C ends it", flush=True)
    with Interruption() as interruption:
        recorded = recorder.record(args.out, settings, lambda: interruption.requested,
                                   [ROS_ARGS, *ros_words(args.rest)])
    _report(recorded, args.max_size)
    return ExitCode.DONE


def _topics(args: argparse.Namespace, known: dict[str, Any]) -> list[str]:
    """Names of the outputs to record.

    Raises:
        ParameterError: a name that is no output of the node.
    """
    chosen = args.topics or [topic for topic in known if topic != 'fused/weight']
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        raise ParameterError(f"--topics: the node has no output {', '.join(unknown)}; it has "
                             f"{', '.join(known)}; give them without namespace, remappings hold")
    return [*dict.fromkeys([*chosen, *(['fused/weight'] if args.weight else [])])]


def _report(recorded: Recorded, max_size: float | None) -> None:
    """Tell people what was recorded.

    Raises:
        SourceError: nothing came.
    """
    writer = recorded.writer
    if not writer.sizes:
        raise SourceError(
            f"nothing came on {', '.join(recorded.silent)}: '{writer.path}' is empty; is the node "
            'active, in the same ROS domain, namespace and with the same remappings?')
    if recorded.full:
        print(f'the size limit of {max_size:g} MB was reached')
    print_sizes(writer)
    if recorded.silent:
        print(f"nothing came on {', '.join(recorded.silent)}")
    for name, count in recorded.counters.snapshot().items():
        topic, _, reason = name.rpartition('.')
        warn(f'{topic}: at least {count} messages lost on the way' if reason == 'lost' else
             f'{topic}: {count} images written as they came, they cannot be compressed ({reason})')
