# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the sub-commands share that run a ROS node."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType

from ivif_ros.errors import MissingDependencyError

ROS_ARGS = '--ros-args'


def node_module(name: str, command: str) -> ModuleType:
    """Import a module of `ivif_ros.nodes`.

    Raises:
        MissingDependencyError: there is no ROS 2 for this Python.
    """
    try:
        return importlib.import_module(f'ivif_ros.nodes.{name}')
    except ModuleNotFoundError as error:
        if (error.name or '').startswith('ivif_ros.nodes'):
            raise
        raise MissingDependencyError(
            f"'ivif {command}' needs ROS 2, but this Python has no {error.name}: source a ROS 2 "
            "distribution, or run: pip install 'ivif_ros[ros]' and "
            'python -m ivif_ros.interfaces') from error


def ros_words(rest: Sequence[str]) -> list[str]:
    """Take what the parser did not know as ROS arguments, whether or not `--ros-args` is there."""
    return list(rest[1:] if list(rest[:1]) == [ROS_ARGS] else rest)
