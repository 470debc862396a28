# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Messages of rosbags, for recordings that are written without ROS."""

from __future__ import annotations

from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys.store import Typestore

from ivif_ros.errors import MissingDependencyError
from ivif_ros.ros.message_factory import MessageFactory
from ivif_ros.ros.typestore import typestore

# Defaults of the definitions, which rosbags does not keep.
_DEFAULTS = {'geometry_msgs/msg/Quaternion': {'w': 1.0}}


class RosbagsFactory(MessageFactory):
    """Makes messages that rosbags serialises.

    Args:
        store: types that are known, all that the package uses by default.
    """

    def __init__(self, store: Typestore | None = None) -> None:
        """Take the types."""
        self._store = typestore() if store is None else store

    def message_class(self, name: str) -> type:
        """Return the class of a message, see the base class."""
        try:
            found: type = self._store.types[name]
        except KeyError as error:
            raise MissingDependencyError(
                f'message {name} is not among the types of this recording; use the typestore of '
                'ivif_ros.ros.typestore, or register its definition there') from error
        return found

    def make(self, name: str, /, **fields: Any) -> Any:
        """Make a message, see the base class."""
        kind = self.message_class(name)
        values = {}
        for field, (node, detail) in self._store.fielddefs[name][1]:
            if field in fields:
                value = fields.pop(field)
                numeric = isinstance(value, np.ndarray)
                values[field] = _numbers(value, detail) if numeric else value
            else:
                values[field] = self._default(name, field, node, detail)
        if fields:
            raise TypeError(f"{name} has no field '{next(iter(fields))}', only {', '.join(values)}")
        return kind(**values)

    def _default(self, name: str, field: str, node: Nodetype, detail: Any) -> Any:
        if field in _DEFAULTS.get(name, {}):
            return _DEFAULTS[name][field]
        if node == Nodetype.NAME:
            return self.make(detail)
        if node == Nodetype.BASE:
            return _zero(detail[0])
        (element, what), length = detail
        count = length if node == Nodetype.ARRAY else 0
        if element == Nodetype.NAME:
            return [self.make(what) for _ in range(count)]
        if what[0] == 'string':
            return [''] * count
        return np.zeros(count, what[0])


def _zero(kind: str) -> str | bool | float | int:
    if kind == 'string':
        return ''
    if kind == 'bool':
        return False
    return 0.0 if kind.startswith('float') else 0


def _numbers(values: np.ndarray[Any, Any], detail: Any) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(values, detail[0][1][0]).reshape(-1)
