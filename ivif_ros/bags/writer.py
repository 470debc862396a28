# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Writing of rosbag2 recordings."""

from __future__ import annotations

import sqlite3
import struct
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from rosbags.serde import SerdeError
from rosbags.typesys import TypesysError

from ivif_ros.errors import OutputError
from ivif_ros.ros.typestore import typestore as standard_typestore

if TYPE_CHECKING:
    from rosbags.interfaces import Connection
    from rosbags.typesys.store import Typestore

Storage = Literal['mcap', 'sqlite3']

# Opened by Humble and all later distributions; Humble cannot read version 9, which Jazzy writes.
_METADATA_VERSION: Literal[8] = 8
_INFINITE = QosTime(9223372036, 854775807)
_FAILURES = (OSError, sqlite3.Error, WriterError)


class BagWriter:
    """A new rosbag2 recording that `ros2 bag` and Foxglove open.

    Message definitions and type hashes are in it. Used in a `with` block the recording is closed
    properly even when the block is left by an error or by Ctrl-C, so that everything written until
    then can be read.

    Args:
        path: folder of the recording; it must not exist.
        storage: `mcap` or `sqlite3`.
        typestore: definitions of the message types; None for the standard ones of ROS with
            vision_msgs and ivif_ros.

    Raises:
        OutputError: the path exists or cannot be written.
    """

    def __init__(self, path: Path | str, *, storage: Storage = 'mcap',
                 typestore: Typestore | None = None) -> None:
        """Create the folder and open the file."""
        self.path = Path(path)
        self._store = standard_typestore() if typestore is None else typestore
        if self.path.exists() or self.path.is_symlink():
            raise OutputError(
                f"output '{self.path}' exists already: choose another name or remove it first")
        if self.path.suffix in ('.mcap', '.db3'):
            raise OutputError(
                f"output '{self.path}' is named like a file, but a rosbag2 recording is a folder: "
                f"leave out '{self.path.suffix}'")
        plugin = StoragePlugin.MCAP if storage == 'mcap' else StoragePlugin.SQLITE3
        try:
            self._writer = Writer(self.path, version=_METADATA_VERSION, storage_plugin=plugin)
            self._writer.open()
        except _FAILURES as error:
            raise OutputError(f"output '{self.path}' cannot be created: {_why(error)}") from error
        self._connections: dict[tuple[str, str], Connection] = {}
        self._open = True

    def write(self, topic: str, message: Any, received_ns: int, *, latched: bool = False) -> None:
        """Write a message object of the typestore.

        Args:
            topic: topic name; a relative one is put under `/`.
            message: object of one of the typestore's classes.
            received_ns: receive time in nanoseconds.
            latched: True for topics that a late subscriber must get too (transient local).

        Raises:
            OutputError: it cannot be serialised or written (disk full, for instance).
        """
        msgtype = message.__msgtype__
        try:
            data = self._store.serialize_cdr(message, msgtype)
        except (SerdeError, TypesysError, KeyError, struct.error) as error:
            raise OutputError(
                f"message of type {msgtype} on '{topic}' cannot be serialised: {error}") from error
        self.write_raw(topic, msgtype, data, received_ns, latched=latched)

    def write_raw(self, topic: str, msgtype: str, cdr: bytes | memoryview, received_ns: int, *,
                  latched: bool = False) -> None:
        """Write a message that is serialised already.

        Args:
            topic: topic name; a relative one is put under `/`.
            msgtype: such as `sensor_msgs/msg/Image`.
            cdr: the message with its encapsulation header of four bytes.
            received_ns: receive time in nanoseconds.
            latched: True for topics that a late subscriber must get too (transient local).

        Raises:
            OutputError: unknown message type, or it cannot be written (disk full, for instance).
        """
        name = topic if topic.startswith('/') else f'/{topic}'
        if not self._open:
            raise OutputError(f"output '{self.path}' is closed already")
        try:
            connection = self._connections.get((name, msgtype))
            if connection is None:
                connection = self._writer.add_connection(
                    name, msgtype, typestore=self._store, offered_qos_profiles=[_qos(latched)])
                self._connections[name, msgtype] = connection
            self._writer.write(connection, received_ns, cdr)
        except TypesysError as error:
            raise OutputError(
                f"message type {msgtype} of '{name}' is not known, cannot record it") from error
        except _FAILURES as error:
            raise OutputError(f"output '{self.path}' cannot be written: {_why(error)}") from error

    def close(self) -> None:
        """Write index and metadata; a second call does nothing.

        Raises:
            OutputError: they cannot be written.
        """
        if not self._open:
            return
        self._open = False
        try:
            self._writer.close()
        except _FAILURES as error:
            with suppress(Exception):
                self._writer.abort()
            raise OutputError(f"output '{self.path}' cannot be completed: {_why(error)}") from error

    def __enter__(self) -> BagWriter:
        """Return the writer itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close; an error of the block is not hidden by one of closing."""
        if error is None:
            self.close()
        else:
            with suppress(OutputError):
                self.close()


def _qos(latched: bool) -> Qos:
    """What the node offers on such a topic."""
    return Qos(
        history=QosHistory.KEEP_LAST, depth=1, reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=_INFINITE, lifespan=_INFINITE, liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_INFINITE, avoid_ros_namespace_conventions=False)


def _why(error: Exception) -> str:
    """Say what the system said, without errno and path."""
    return getattr(error, 'strerror', None) or str(error) or type(error).__name__
