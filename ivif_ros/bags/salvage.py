# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What is intact of rosbag2 recordings that were cut off: power loss, full disk, broken copy.

An MCAP file is a sequence of records, its index comes last (https://mcap.dev/spec). Without it the
records are found one after the other; what lies in a chunk is not read until it is asked for.
A sqlite3 file is read row by row, up to the first page that is not there.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, cast
from urllib.parse import quote

import apsw
from rosbags.rosbag2.storage_mcap import decompress

from ivif_ros.errors import SourceError

_MAGIC = b'\x89MCAP0\r\n'
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _MESSAGE_INDEX, _DATA_END = 3, 4, 5, 6, 7, 15
_RECORD = struct.Struct('<BQ')
_LARGEST_RECORD = 2**34  # more is a length that was damaged
_VALID_FOR = 92
_SYSTEM = 'ivif_whole_length'

Stored = tuple[int, int, bytes]
"""Channel or topic id, receive time in nanoseconds, serialised message."""


class SalvagedTopic(NamedTuple):
    """One topic of a damaged file, with the fields of a connection of rosbags.

    Attributes:
        topic: absolute topic name.
        msgtype: message type.
    """

    topic: str
    msgtype: str


class TopicCount(NamedTuple):
    """Type and number of messages of a topic."""

    msgtype: str
    msgcount: int


class _File(Protocol):
    """What is left of one file."""

    topics: dict[int, SalvagedTopic]
    counts: dict[int, int]
    first_ns: int
    last_ns: int

    def messages(self, wanted: Collection[int], start: int, stop: int) -> Iterator[Stored]:
        """Yield the messages of some ids in the order of their receive time."""

    def close(self) -> None:
        """Close the file."""


class SalvagedReader:
    """Reads what is intact of a recording, with the methods of a reader of rosbags.

    Args:
        path: `.mcap` or `.db3` file, or a folder with some.
    """

    def __init__(self, path: Path) -> None:
        """Keep the path."""
        self._path = path
        self._files: list[_File] = []

    def open(self) -> None:
        """Look through the files.

        Raises:
            SourceError: not one message can be read.
        """
        paths = [self._path] if self._path.is_file() else sorted(self._path.iterdir())
        for path in paths:
            with suppress(OSError, apsw.Error, struct.error, UnicodeDecodeError):
                if path.suffix.lower() == '.mcap':
                    self._files.append(_Mcap(path))
                elif path.suffix.lower() == '.db3':
                    self._files.append(_Sqlite(path))
        for file in self._files:
            if not file.counts:
                file.close()
        self._files = sorted((file for file in self._files if file.counts),
                             key=lambda file: file.first_ns)
        if not self._files:
            raise SourceError(f"nothing can be read of '{self._path}'")

    @property
    def connections(self) -> list[SalvagedTopic]:
        """All topics."""
        return sorted({topic for file in self._files for topic in file.topics.values()})

    @property
    def topics(self) -> dict[str, TopicCount]:
        """Type and number of messages by name."""
        found: dict[str, TopicCount] = {}
        for file in self._files:
            for key, topic in file.topics.items():
                before = found.get(topic.topic, TopicCount(topic.msgtype, 0))
                found[topic.topic] = TopicCount(
                    topic.msgtype, before.msgcount + file.counts.get(key, 0))
        return found

    @property
    def message_count(self) -> int:
        """Number of messages that can be read."""
        return sum(sum(file.counts.values()) for file in self._files)

    @property
    def start_time(self) -> int:
        """Receive time of the first message in nanoseconds."""
        return min(file.first_ns for file in self._files)

    @property
    def duration(self) -> int:
        """Time from the first to the last message in nanoseconds."""
        return max(file.last_ns for file in self._files) - self.start_time

    def messages(self, connections: Collection[SalvagedTopic], start: int | None = None,
                 stop: int | None = None) -> Iterator[tuple[SalvagedTopic, int, bytes]]:
        """Yield the messages of some topics, file after file."""
        for file in self._files:
            wanted = [key for key, topic in file.topics.items() if topic in connections]
            for key, received_ns, data in file.messages(
                    wanted, start or 0, 2**63 - 1 if stop is None else stop):
                yield file.topics[key], received_ns, data

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()


@dataclass
class _Chunk:
    """Where a chunk lies; `counts` is empty until its index or its content was read."""

    offset: int
    size: int
    first_ns: int
    last_ns: int
    compression: str
    uncompressed_size: int
    crc: int
    counts: dict[int, int] = field(default_factory=dict)


class _Mcap:
    """Records of an MCAP file up to where it breaks off."""

    def __init__(self, path: Path) -> None:
        self.topics: dict[int, SalvagedTopic] = {}
        self.counts: dict[int, int] = {}
        self.first_ns, self.last_ns = 2**63 - 1, 0
        self._schemas: dict[int, str] = {}
        self._chunks: list[_Chunk] = []
        self._loose: list[tuple[int, int, int, int]] = []  # id, time, offset, size outside chunks
        self._bio: BinaryIO = path.open('rb')
        self._size = path.stat().st_size
        if self._bio.read(len(_MAGIC)) == _MAGIC:
            self._scan()

    def close(self) -> None:
        self._bio.close()

    def messages(self, wanted: Collection[int], start: int, stop: int) -> Iterator[Stored]:
        for chunk in self._chunks:
            if chunk.last_ns < start or chunk.first_ns >= stop or not (
                    chunk.counts.keys() & set(wanted)):
                continue
            yield from sorted(
                (message for message in self._content(chunk)
                 if message[0] in wanted and start <= message[1] < stop), key=lambda m: m[1])
        for key, time_ns, offset, size in self._loose:
            if key in wanted and start <= time_ns < stop:
                self._bio.seek(offset)
                yield key, time_ns, self._bio.read(size)

    def _scan(self) -> None:
        """Go from record to record; the index behind each chunk tells what is in it."""
        while len(head := self._bio.read(_RECORD.size)) == _RECORD.size:
            kind, size = _RECORD.unpack(head)
            begin = self._bio.tell()
            if size > _LARGEST_RECORD or kind == _DATA_END:
                break
            whole = begin + size <= self._size
            if kind == _CHUNK:
                self._add_chunk(begin, min(size, self._size - begin))
            elif whole and kind == _MESSAGE_INDEX and self._chunks:
                key, length = struct.unpack('<HI', self._bio.read(6))
                self._chunks[-1].counts[key] = length // 16
            elif whole and kind == _MESSAGE:
                key, _, time_ns, _ = struct.unpack('<HIQQ', self._bio.read(22))
                self._loose.append((key, time_ns, begin + 22, size - 22))
            elif whole and kind in (_SCHEMA, _CHANNEL):
                self._learn(kind, self._bio.read(size))
            if not whole:
                break
            self._bio.seek(begin + size)
        self._count()

    def _add_chunk(self, begin: int, size: int) -> None:
        first, last, uncompressed, crc, length = struct.unpack('<QQQII', self._bio.read(32))
        compression = self._bio.read(length).decode()
        stored = struct.unpack('<Q', self._bio.read(8))[0]
        offset = self._bio.tell()
        room = begin + size - offset
        # Of a chunk that is cut off the beginning can be read if it is not compressed.
        if stored <= room or not compression:
            self._chunks.append(_Chunk(offset, min(stored, room), first, last, compression,
                                       uncompressed, crc if stored <= room else 0))

    def _count(self) -> None:
        kept = []
        for chunk in self._chunks:
            if not chunk.counts or chunk.counts.keys() - self.topics.keys():
                found: dict[int, int] = {}
                for key, time_ns, _ in self._content(chunk):
                    found[key] = found.get(key, 0) + 1
                    self.last_ns = max(self.last_ns, time_ns)
                chunk.counts = found
            else:
                self.last_ns = max(self.last_ns, chunk.last_ns)
            if chunk.counts:
                kept.append(chunk)
                self.first_ns = min(self.first_ns, chunk.first_ns)
        self._chunks = kept
        for chunk in kept:
            for key, count in chunk.counts.items():
                self.counts[key] = self.counts.get(key, 0) + count
        for key, time_ns, _, _ in self._loose:
            self.counts[key] = self.counts.get(key, 0) + 1
            self.first_ns, self.last_ns = min(self.first_ns, time_ns), max(self.last_ns, time_ns)

    def _content(self, chunk: _Chunk) -> Iterator[Stored]:
        """Messages of a chunk as they lie in it; none of one that cannot be decompressed."""
        self._bio.seek(chunk.offset)
        data = self._bio.read(chunk.size)
        if chunk.compression:
            # The decompressors raise errors of their own on damaged data.
            try:
                data = decompress(data, chunk.compression, chunk.uncompressed_size, chunk.crc)
            except Exception:
                return
        place = 0
        while place + _RECORD.size <= len(data):
            kind, size = _RECORD.unpack_from(data, place)
            place += _RECORD.size
            if place + size > len(data):
                return
            if kind == _MESSAGE and size >= 22:
                key, _, time_ns, _ = struct.unpack_from('<HIQQ', data, place)
                if key in self.topics:
                    yield key, time_ns, data[place + 22:place + size]
            elif kind in (_SCHEMA, _CHANNEL):
                self._learn(kind, data[place:place + size])
            place += size

    def _learn(self, kind: int, record: bytes) -> None:
        """Take a schema (its name) or a channel (topic and type)."""
        key = struct.unpack_from('<H', record)[0]
        if kind == _SCHEMA:
            length = struct.unpack_from('<I', record, 2)[0]
            self._schemas[key] = record[6:6 + length].decode()
            return
        schema, length = struct.unpack_from('<HI', record, 2)
        self.topics[key] = SalvagedTopic(
            record[8:8 + length].decode(), self._schemas.get(schema, ''))


class _WholeLength(apsw.VFSFile):
    """A sqlite3 file whose header claims no length.

    The header has the number of pages at offset 28, which counts only if the number at 92 equals
    the change counter at 24. A file that is shorter than it claims is refused; one that claims
    nothing is read to its end (https://sqlite.org/fileformat2.html).
    """

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 (name of apsw)
        """Read, with the number at offset 92 made zero."""
        data = bytearray(super().xRead(amount, offset))
        if offset <= _VALID_FOR and offset + len(data) >= _VALID_FOR + 4:
            data[_VALID_FOR - offset:_VALID_FOR - offset + 4] = bytes(4)
        return bytes(data)


class _WholeLengthSystem(apsw.VFS):
    """Opens files as _WholeLength."""

    def __init__(self) -> None:
        super().__init__(_SYSTEM, base='')

    def xOpen(self, name: Any, flags: list[int]) -> _WholeLength:  # noqa: N802 (name of apsw)
        """Open a file."""
        return _WholeLength('', name, flags)


class _Sqlite:
    """Rows of a sqlite3 file up to the first page that is not there."""

    def __init__(self, path: Path) -> None:
        self.topics: dict[int, SalvagedTopic] = {}
        self.counts: dict[int, int] = {}
        self.first_ns, self.last_ns = 2**63 - 1, 0
        # Registered under its name for as long as the object lives.
        self._system = _WholeLengthSystem()
        self._base = apsw.Connection(
            f'file:{quote(str(path))}?mode=ro&immutable=1',
            flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI, vfs=_SYSTEM)
        for key, name, kind in self._base.execute('SELECT id, name, type FROM topics'):
            self.topics[int(str(key))] = SalvagedTopic(str(name), str(kind))
        for key, time_ns, _ in self._rows("x''"):
            self.counts[key] = self.counts.get(key, 0) + 1
            self.first_ns, self.last_ns = min(self.first_ns, time_ns), max(self.last_ns, time_ns)

    def close(self) -> None:
        self._base.close()

    def messages(self, wanted: Collection[int], start: int, stop: int) -> Iterator[Stored]:
        for row in self._rows('data'):
            if row[0] in wanted and start <= row[1] < stop:
                yield row

    def _rows(self, column: str) -> Iterator[Stored]:
        rows = cast('Iterator[Stored]', self._base.execute(
            f'SELECT topic_id, timestamp, {column} FROM messages ORDER BY id'))
        # The missing page shows itself when it is reached.
        with suppress(apsw.Error):
            for row in rows:
                if row[0] in self.topics:
                    yield row
