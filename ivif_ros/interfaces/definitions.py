# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Texts of the message definitions and where they are kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ivif_ros.errors import MissingDependencyError

PACKAGES = ('vision_msgs', 'ivif_ros')
"""Packages that can be generated here."""


def ros_prefixes() -> list[Path]:
    """Return the folders that hold `share/<package>`: those of a sourced ROS, then our own."""
    named = [Path(p) for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    return list(dict.fromkeys([p for p in named if p.is_dir()] + [Path(sys.prefix)]))


def find_share(package: str) -> Path | None:
    """Return `<prefix>/share/<package>` of the first prefix that has it, or None."""
    for prefix in ros_prefixes():
        share = prefix / 'share' / package
        if share.is_dir():
            return share
    return None


def definitions(package: str) -> dict[str, str]:
    """Read the definitions of a package.

    Args:
        package: one of `PACKAGES`.

    Returns:
        Name of each message (`Status`) and the text of its .msg file, sorted by name.

    Raises:
        MissingDependencyError: the installation lacks its own message files.
    """
    here = Path(__file__).resolve()
    if package == 'ivif_ros':
        # The checkout has them at its top, an installation under share.
        share = find_share('ivif_ros')
        folders = [here.parents[2] / 'msg'] + ([share / 'msg'] if share else [])
    else:
        folders = [here.parent / package / 'msg']
    for folder in folders:
        files = sorted(folder.glob('*.msg'))
        if files:
            return {file.stem: file.read_text(encoding='utf-8') for file in files}
    raise MissingDependencyError(
        f'no message definitions of {package} in {" or ".join(map(str, folders))}; '
        'install ivif_ros again')
