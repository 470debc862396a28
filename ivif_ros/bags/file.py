# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A recording on disk: rosbag2 folders, single MCAP and sqlite3 files, and ROS 1 bags."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.rosbag1 import Reader as Reader1
from rosbags.rosbag2 import Reader as Reader2
from rosbags.typesys import Stores, get_typestore

from ivif_ros.bags.salvage import SalvagedReader
from ivif_ros.errors import SourceError
from ivif_ros.ros.typestore import typestore


@dataclass(frozen=True)
class BagTopic:
    """One topic of a recording.

    Attributes:
        name: absolute topic name.
        msgtype: message type such as `sensor_msgs/msg/Image`.
        count: number of messages.
    """

    name: str
    msgtype: str
    count: int


@dataclass(frozen=True)
class RawMessage:
    """One message of a recording, not deserialised.

    Attributes:
        topic: absolute topic name.
        msgtype: message type.
        received_ns: when it was recorded, in nanoseconds.
        data: CDR (rosbag2) or ROS 1 serialisation.
    """

    topic: str
    msgtype: str
    received_ns: int
    data: bytes | memoryview


class BagFile:
    """An open recording.

    Messages are deserialised with the definitions known here (those of ROS, vision_msgs and
    ivif_ros): recordings without definitions (Humble) and unknown types on other topics are fine.

    Args:
        path: rosbag2 folder, `.mcap`, `.db3` or ROS 1 `.bag` file.
        salvage: read what is intact of a rosbag2 recording that is damaged or was not closed.

    Attributes:
        damage: what is wrong with a recording that is read all the same; empty for an intact one.

    Raises:
        SourceError: not there, no metadata.yaml, truncated, corrupt or not a recording; with
            `salvage`, only where nothing can be read.
    """

    def __init__(self, path: Path | str, *, salvage: bool = False) -> None:
        """Open the recording and read its index."""
        self.path = Path(path)
        self.damage = ''
        if not self.path.exists():
            raise SourceError(f"recording '{self.path}' is not there")
        self._ros1 = self.path.suffix.lower() == '.bag' and self.path.is_file()
        self._store = get_typestore(Stores.ROS1_NOETIC) if self._ros1 else typestore()
        try:
            # Readers of rosbags for both ROS, or one of the same methods; no type says so.
            self._reader: Any = self._opened()
        except SourceError as error:
            if not salvage or self._ros1:
                raise
            self._reader = SalvagedReader(self.path)
            try:
                self._reader.open()
            except SourceError:
                raise error from None
            self.damage = str(error)

    def _opened(self) -> Reader1 | Reader2:
        if self.path.is_dir() and not (self.path / 'metadata.yaml').exists():
            raise SourceError(self._without_metadata())
        # A damaged file can make the library raise anything, from AssertionError to struct.error.
        try:
            reader: Reader1 | Reader2 = Reader1(self.path) if self._ros1 else Reader2(self.path)
            reader.open()
        except Exception as error:
            raise SourceError(self._unreadable(error)) from error
        return reader

    @property
    def start_ns(self) -> int:
        """Receive time of the first message in nanoseconds; 0 for an empty recording."""
        return int(self._reader.start_time) if self._reader.message_count else 0

    @property
    def duration_ns(self) -> int:
        """Time from the first to the last message in nanoseconds."""
        return max(0, int(self._reader.duration))

    def topics(self) -> list[BagTopic]:
        """List all topics by name."""
        return [BagTopic(name, info.msgtype or 'of several types', info.msgcount)
                for name, info in sorted(self._reader.topics.items())]

    def unknown_topics(self) -> list[BagTopic]:
        """List the topics whose messages cannot be read, because their type is not known here."""
        return [topic for topic in self.topics() if topic.msgtype not in self._store.types]

    def messages(self, topics: Collection[str], start_ns: int | None = None,
                 stop_ns: int | None = None) -> Iterator[RawMessage]:
        """Yield the messages of some topics in the order of their receive time.

        Args:
            topics: absolute topic names.
            start_ns: leave out what was received before; None for nothing.
            stop_ns: leave out what was received then or later; None for nothing.

        Raises:
            SourceError: the rest of the recording cannot be read.
        """
        connections = [
            connection for connection in self._reader.connections if connection.topic in topics]
        if not connections:
            return
        stream = self._reader.messages(connections=connections, start=start_ns, stop=stop_ns)
        count = 0
        while True:
            try:
                connection, received_ns, data = next(stream)
            except StopIteration:
                return
            except Exception as error:
                raise SourceError(
                    f'{self._unreadable(error)}; {count} messages before that could be read'
                ) from error
            count += 1
            yield RawMessage(connection.topic, connection.msgtype, received_ns, data)

    def deserialise(self, message: RawMessage) -> Any:
        """Turn a message into an object with the fields of its definition.

        Raises:
            SourceError: the data do not fit the type, or the type is not known here.
        """
        try:
            if self._ros1:
                return self._store.deserialize_ros1(message.data, message.msgtype)
            return self._store.deserialize_cdr(message.data, message.msgtype)
        except Exception as error:
            raise SourceError(
                f"message of type {message.msgtype} on '{message.topic}' cannot be deserialised: "
                f'{type(error).__name__} {error}') from error

    def stamp_ns(self, message: RawMessage) -> int:
        """Read the stamp of a message that begins with a std_msgs/Header.

        Raises:
            SourceError: the message is too short for a header.
        """
        try:
            if self._ros1:
                seconds, nanoseconds = struct.unpack_from('<II', message.data, 4)
                return int(seconds) * 1_000_000_000 + int(nanoseconds)
            return header_stamp_ns(message.data)
        except (struct.error, IndexError) as error:
            raise SourceError(f"message on '{message.topic}' is too short for a header") from error

    def close(self) -> None:
        """Close the files."""
        # A reader that failed to open, or was closed already, holds nothing.
        with suppress(Exception):
            self._reader.close()

    def __enter__(self) -> BagFile:
        """Return the recording itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close."""
        self.close()

    def _without_metadata(self) -> str:
        files = sorted(file.name for file in self.path.iterdir()
                       if file.suffix.lower() in ('.mcap', '.db3'))
        if not files:
            return f"folder '{self.path}' is not a recording: it has no metadata.yaml"
        return (f"recording '{self.path}' has no metadata.yaml, it was not closed properly: run "
                f"'ros2 bag reindex {self.path}', or give the file itself: "
                f"'{self.path / files[0]}'")

    def _unreadable(self, error: Exception) -> str:
        what = str(error) or type(error).__name__
        hint = ''
        if self.path.suffix.lower() == '.mcap' or (
                self.path.is_dir() and any(self.path.glob('*.mcap'))):
            hint = " ('mcap recover' rescues what is intact)"
        elif self._ros1:
            hint = " ('rosbag reindex' rescues what is intact)"
        return f"recording '{self.path}' is truncated, corrupt or not a recording: {what}{hint}"


def header_stamp_ns(cdr: bytes | memoryview) -> int:
    """Read the stamp of a serialised message that begins with a std_msgs/Header.

    The first four bytes name the encapsulation (the second byte is 1 for little endian).
    """
    seconds, nanoseconds = struct.unpack_from('<iI' if cdr[1] & 1 else '>iI', cdr, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
