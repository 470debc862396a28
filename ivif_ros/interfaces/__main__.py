# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Command line: `python -m ivif_ros.interfaces [--prefix DIR] [--force] [--quiet]`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from ivif_ros.errors import IvifError
from ivif_ros.interfaces.definitions import PACKAGES
from ivif_ros.interfaces.install import Target, install, is_current, provider


def main(arguments: list[str] | None = None) -> int:
    """Build what is missing.

    Args:
        arguments: words of the command line, those of the process by default.

    Returns:
        Exit status: 0 for success, 1 where something is missing (the message says what).
    """
    parser = argparse.ArgumentParser(
        prog='python -m ivif_ros.interfaces',
        description='Generate and compile the message packages that no ROS installation provides: '
                    + ', '.join(PACKAGES) + '.')
    parser.add_argument('--prefix', type=Path, default=Path(sys.prefix),
                        help='environment to install into (default: the running one)')
    parser.add_argument('--force', action='store_true', help='build again what is up to date')
    parser.add_argument('--quiet', action='store_true',
                        help='say nothing about packages that need nothing')
    options = parser.parse_args(arguments)
    target = Target(options.prefix.resolve())
    try:
        for package in PACKAGES:
            _provide(package, target, options)
    except IvifError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


def _provide(package: str, target: Target, options: argparse.Namespace) -> None:
    found = provider(package)
    if found is not None or (not options.force and is_current(package, target)):
        if not options.quiet:
            print(f'{package}: provided by {found}, nothing to do' if found is not None
                  else f'{package}: up to date in {target.prefix}')
        return
    started = time.monotonic()
    install(package, target, lambda line: print(line, flush=True))
    print(f'{package}: ready after {time.monotonic() - started:.1f} s')


if __name__ == '__main__':
    sys.exit(main())
