# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Command line of the demo."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import shutil
import sys
import time
from pathlib import Path

from rich.console import Console

from ivif_ros.cli.run_tables import print_summary
from ivif_ros.errors import IvifError, OutputError, ParameterError

MARKER = '.ivif_demo'
"""File that tells a folder of results from any other folder."""
MADE = frozenset({MARKER, 'contact_sheet.png', 'fused.mp4', 'logs', 'outputs',
                  'samples', 'summary.json'})
"""All that a run leaves in its folder."""

DESCRIPTION = """Camera source, fusion node and recorder talk over DDS for some seconds. Then the
folder given by --out holds fused.mp4, contact_sheet.png, outputs/ (MCAP of the output topics),
summary.json and the logs of the processes."""


def main() -> int:
    """Run the demo from the command line."""
    parser = argparse.ArgumentParser(prog='demo', description=DESCRIPTION)
    parser.add_argument('--source', default='sim', help=(
        "sim (options: 'sim:night,thermal_rate_hz=9'), a rosbag2 recording, or a folder with "
        'rgb/ and thermal/'))
    parser.add_argument('--seconds', type=float, default=10.0,
                        help='length of the run (default 10)')
    parser.add_argument('--out', type=Path, default=Path('out/demo'), help='folder of the results')
    parser.add_argument('--weights', default='',
                        help='detector weights (default: those of the package)')
    parser.add_argument('--calibration', default='', help='calibration file of the rig')
    parser.add_argument('--set', action='append', default=[], metavar='NAME=VALUE',
                        help='set a parameter of the node, for example fusion.method=average')
    options = parser.parse_args()
    console = Console()
    try:
        return _demo(options, console)
    except IvifError as error:
        print(f'demo: error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _demo(options: argparse.Namespace, console: Console) -> int:
    from ivif_ros.demo.report import RunFiles, make_pictures, summarise
    from ivif_ros.demo.run import run
    from ivif_ros.sources import open_source

    if not 0 < options.seconds < math.inf:
        raise ParameterError(f'--seconds is {options.seconds:g}, expected more than 0')
    node_arguments = _node_arguments(options)
    # Errors of the source are worth knowing before anything starts.
    with open_source(options.source, seconds=options.seconds) as source:
        console.print(source.describe(), highlight=False)
    out = _fresh_folder(options.out, options.source)
    started = time.monotonic()
    with console.status(f'three processes over DDS, {options.seconds:g} s of images'):
        status = run(out, options.source, options.seconds, node_arguments)
    files = RunFiles(out / 'outputs', out / 'samples')
    with console.status('pictures'):
        summary = summarise(files)
        found = make_pictures(files, out / 'fused.mp4', out / 'contact_sheet.png',
                              f'ivif_ros  {options.source}')
    text = json.dumps({'source': options.source, **summary.as_dict(),
                       'detections': dataclasses.asdict(found)}, indent=2)
    (out / 'summary.json').write_text(text)
    print_summary(summary, 'what the recorder received')
    console.print(f'{found}' if found.images else f'{found}, see {out / "logs"}', soft_wrap=True)
    if status != 0:
        console.print(f'the fusion node ended with status {status}, see {out / "logs"}',
                      style='red', soft_wrap=True)
    if summary.pairs_in == 0:
        console.print(f'no pair was fused, see {out / "logs"}', style='red', soft_wrap=True)
        return 1
    console.print(f'{out} made in {time.monotonic() - started:.0f} s: fused.mp4, '
                  'contact_sheet.png, outputs/ (MCAP), summary.json',
                  highlight=False, soft_wrap=True)
    return 0 if status == 0 else 1


def _fresh_folder(folder: Path, source: str) -> Path:
    """Make the folder of the results; those of an earlier run are replaced, nothing else ever."""
    elsewhere = 'choose another with --out'
    path = Path(source).expanduser().resolve()
    if path.exists() and folder.resolve() in (path, *path.parents):
        raise OutputError(f"folder '{folder}' holds the source '{source}'; {elsewhere}")
    try:
        found = {item.name for item in folder.iterdir()} if folder.exists() else set()
        others = sorted(found - MADE if MARKER in found else found)
        if others:
            raise OutputError(
                f"folder '{folder}' holds things that the demo did not make ('{others[0]}'); "
                + elsewhere)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).touch()
        for item in (folder / name for name in found - {MARKER}):
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item)
            else:
                item.unlink()
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"folder '{folder}' cannot be written: {error.strerror}; {elsewhere}") from error
    return folder


def _node_arguments(options: argparse.Namespace) -> list[str]:
    settings = [f'detection.weights:={options.weights}'] if options.weights else []
    if options.calibration:
        settings.append(f'registration.calibration:={options.calibration}')
    for item in options.set:
        name, given, value = item.partition('=')
        if not (name and given and value):
            raise ParameterError(f"--set is '{item}', expected NAME=VALUE")
        settings.append(f'{name}:={value}')
    return ['--ros-args', *(part for item in settings for part in ('-p', item))]


if __name__ == '__main__':
    raise SystemExit(main())
