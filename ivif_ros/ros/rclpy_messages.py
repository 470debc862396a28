# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Messages of rclpy."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from ivif_ros.errors import MissingDependencyError
from ivif_ros.interfaces.definitions import PACKAGES
from ivif_ros.memory import keep_freed_memory
from ivif_ros.ros.image_encoder import as_array
from ivif_ros.ros.message_factory import MessageFactory

# Type code of array.array for the primitive types of the definitions.
_TYPE_CODES = {'uint8': 'B', 'int8': 'b', 'uint16': 'H', 'int16': 'h', 'uint32': 'I', 'int32': 'i',
               'uint64': 'Q', 'int64': 'q', 'float': 'f', 'double': 'd'}


class RclpyFactory(MessageFactory):
    """Makes messages that rclpy publishes."""

    def __init__(self) -> None:
        """Start with no class loaded, and with an allocator that suits images."""
        keep_freed_memory()
        self._classes: dict[str, tuple[Any, dict[str, str]]] = {}

    def message_class(self, name: str) -> type:
        """Import the class of a message, see the base class."""
        return self._load(name)[0]     # type: ignore[no-any-return]

    def make(self, name: str, /, **fields: Any) -> Any:
        """Make a message, see the base class."""
        kind, types = self._load(name)
        message = kind()
        for field, value in fields.items():
            if field not in types:
                # rclpy itself says nothing since Iron.
                raise TypeError(f"{name} has no field '{field}', only {', '.join(types)}")
            if isinstance(value, np.ndarray):
                value = _numbers(value, types[field])
            # The constructor would copy sequences once more.
            setattr(message, field, value)
        return message

    def _load(self, name: str) -> tuple[Any, dict[str, str]]:
        if name not in self._classes:
            package, _, kind = name.split('/')
            try:
                found = getattr(importlib.import_module(f'{package}.msg'), kind)
            except (ImportError, AttributeError) as error:
                advice = ('run: python -m ivif_ros.interfaces' if package in PACKAGES else
                          'source a ROS 2 installation, or run: pip install ros-jazzy-'
                          + package.replace('_', '-'))
                raise MissingDependencyError(
                    f'message {name} is not installed ({error}); {advice}') from error
            self._classes[name] = found, found.get_fields_and_field_types()
        return self._classes[name]


def _numbers(values: np.ndarray[Any, Any], field_type: str) -> Any:
    """Numbers as the field keeps them: array.array for a sequence, ndarray for a fixed length."""
    if field_type.startswith('sequence<'):
        code = _TYPE_CODES[field_type[len('sequence<'):].rstrip('>').split(',')[0]]
        return as_array(values, code)
    code = _TYPE_CODES[field_type.partition('[')[0]]
    return np.ascontiguousarray(values, code).reshape(-1)
