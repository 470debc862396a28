# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Writing of rosbag2 recordings."""

from __future__ import annotations

import sqlite3
import struct
from contextlib import suppress
from dataclasses import dataclass
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
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer, WriterError
from rosbags.serde import SerdeError
from rosbags.typesys import TypesysError

from ivif_ros.bags.recovery import complete
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


@dataclass
class TopicSize:
    """How much was written on one topic.

    Attributes:
        messages: number of messages.
        size: bytes of the serialised messages, before the file compresses them.
    """

    messages: int = 0
    size: int = 0


class BagWriter:
    """A new rosbag2 recording that `ros2 bag` and Foxglove open.

    Message definitions and type hashes are in it. Used in a `with` block the recording is closed
    properly even when the block is left by an error or by Ctrl-C, so that everything written until
    then can be read. Where the file cannot grow any more (full disk, quota), an MCAP file is closed
    behind what reached the disk: the last megabyte may be missing. In a sqlite3 file nothing is
    left then, because it is one transaction.

    Args:
        path: folder of the recording; it must not exist.
        storage: `mcap` or `sqlite3`.
        typestore: definitions of the message types; None for the standard ones of ROS with
            vision_msgs and ivif_ros.
        zstd: compress the chunks of an MCAP file without loss.

    Attributes:
        path: folder of the recording.
        sizes: how much was written, by absolute topic name.
        span_ns: receive times of the first and last message in nanoseconds, or None.

    Raises:
        OutputError: the path exists or cannot be written.
    """

    def __init__(self, path: Path | str, *, storage: Storage = 'mcap',
                 typestore: Typestore | None = None, zstd: bool = False) -> None:
        """Create the folder and open the file."""
        self.path = Path(path)
        self.sizes: dict[str, TopicSize] = {}
        self.span_ns: tuple[int, int] | None = None
        self._store = standard_typestore() if typestore is None else typestore
        if self.path.exists() or self.path.is_symlink():
            raise OutputError(
                f"output '{self.path}' exists already: choose another name or remove it first")
        if self.path.suffix in ('.mcap', '.db3'):
            raise OutputError(
                f"output '{self.path}' is named like a file, but a rosbag2 recording is a folder: "
                f"leave out '{self.path.suffix}'")
        self._plugin = StoragePlugin.MCAP if storage == 'mcap' else StoragePlugin.SQLITE3
        try:
            self._writer = Writer(
                self.path, version=_METADATA_VERSION, storage_plugin=self._plugin)
            if zstd:
                self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
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
            OutputError: unknown message type, or it cannot be written (disk full, for instance);
                nothing can be written after that.
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
            self._open = False
            raise OutputError(f"output '{self.path}' cannot be written: {_why(error)}; "
                              f'{self._rescue()}') from error
        size = self.sizes.setdefault(name, TopicSize())
        size.messages += 1
        size.size += len(cdr)
        first_ns, last_ns = self.span_ns or (received_ns, received_ns)
        self.span_ns = min(first_ns, received_ns), max(last_ns, received_ns)

    def disk_bytes(self) -> int:
        """Bytes of the recording on the disk; about a megabyte is still in memory."""
        return sum(file.stat().st_size for file in self.path.iterdir())

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
            raise OutputError(f"output '{self.path}' cannot be completed: {_why(error)}; "
                              f'{self._rescue()}') from error

    def _rescue(self) -> str:
        """Close a file that cannot grow, and say what is left of it."""
        with suppress(Exception):
            self._writer.abort()
        if self._plugin is StoragePlugin.MCAP:
            hashes = {msgtype: connection.digest
                      for (_, msgtype), connection in self._connections.items()}
            with suppress(OSError):
                return f'{complete(self.path, hashes)} messages before that are kept in it'
        return 'nothing in it can be read'

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
