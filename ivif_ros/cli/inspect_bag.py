# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Look at a recording: what is in it, how good it is, and what the package would make of it.

Topics, rates, jitter, gaps, latency and encodings; the range of the thermal values; camera_info;
the offset between the clocks, from motion in both streams; how the images lie on each other; which
parameters to use, as YAML, and what may go wrong with what to do about it. Of long recordings a few
parts are read. Damaged recordings are read as far as they are intact. The exit code is 1 where
something has to be done before the package can work with the recording.

  ivif inspect BAG --picture overlay.png
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

from ivif_ros.cli.console import progress_bar
from ivif_ros.cli.exit_codes import ExitCode
from ivif_ros.errors import OutputError, ParameterError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('bag', metavar='BAG', type=Path,
                        help='rosbag2 folder, .mcap, .db3 or ROS 1 .bag file')
    parser.add_argument('--rgb-topic', metavar='T', help='images of the colour camera; found by '
                        'type, name and encoding when left out')
    parser.add_argument('--thermal-topic', metavar='T', help='images of the thermal camera')
    parser.add_argument('--seconds', type=float, default=60.0, metavar='S', help='time of a long '
                        'recording to look at, in four parts (default: %(default)g)')
    parser.add_argument('--all', action='store_true', help='look at all of it')
    parser.add_argument('--quick', action='store_true', help='leave out the offset of the clocks '
                        'and the alignment')
    parser.add_argument('--picture', type=Path, metavar='FILE.png', help='picture of the '
                        'alignment: squares and edges of both images, before and after')
    parser.add_argument('--json', action='store_true', help='print everything as JSON')


def run(args: argparse.Namespace) -> int:
    """Look, and print what was found; exit code 1 where the package could not work with it."""
    from ivif_ros.bags.advice import advise
    from ivif_ros.bags.inspection import inspect_bag
    from ivif_ros.cli.inspect_tables import as_dict, print_inspection

    if not (args.seconds > 0 and math.isfinite(args.seconds)):
        raise ParameterError(f'--seconds is {args.seconds:g}, expected more than 0')
    if args.picture is not None:
        if args.quick:
            raise ParameterError('--picture shows the alignment, which --quick leaves out')
        if not args.picture.absolute().parent.is_dir():
            raise OutputError(
                f"'{args.picture}' cannot be written: '{args.picture.parent}' is no folder")
    estimator = None
    if not args.quick:
        from ivif_ros.registration.estimate import default_estimator

        estimator = default_estimator()
    with progress_bar('inspect, %', 100) as show:
        seen = inspect_bag(
            args.bag, seconds=None if args.all else args.seconds, rgb_topic=args.rgb_topic,
            thermal_topic=args.thermal_topic, motion=not args.quick, estimator=estimator,
            progress=lambda share: show(100 * share))
    advice = advise(seen)
    if args.json:
        print(json.dumps(as_dict(seen, advice), indent=1))
    else:
        print_inspection(seen, advice)
    if args.picture is not None:
        if seen.alignment is None or not seen.pairs:
            raise OutputError(f"'{args.picture}' is not written: no pair of both cameras was found")
        from ivif_ros.bags.inspection_pairs import alignment_picture
        from ivif_ros.cli.stills import write_picture

        write_picture(args.picture, alignment_picture(seen.pairs, seen.alignment))
        if not args.json:
            print(f'look at {args.picture}: lines must run on across the seams of the squares')
    return ExitCode.SOME_FAILED if any(item.severe for item in advice.cautions) else ExitCode.DONE
