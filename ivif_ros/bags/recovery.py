# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""MCAP recordings that broke off: what reached the disk gets its index and can be read.

A full disk stops a writer in the middle of a chunk, and there is no room for the index either. Here
the file is cut behind its last whole chunk, and behind chunks before that until the index fits.
Layout of the records: https://mcap.dev/spec
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b'\x89MCAP0\r\n'
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _INDEX = 0x02, 0x03, 0x04, 0x05, 0x06, 0x07
_CHUNK_INDEX, _STATISTICS, _DATA_END = 0x08, 0x0B, 0x0F
_METADATA_VERSION = 8

Buffer = bytes | mmap.mmap


@dataclass
class _Chunk:
    """A whole chunk of the file.

    Attributes:
        start: offset of its record in bytes.
        end: offset behind its record.
        raw_size: bytes of its records before compression.
        compression: name of the compression, empty for none.
        stored_size: bytes of its records in the file.
        messages: time in nanoseconds and offset within the chunk of each message, by channel.
        indices: offset in the file of the message index of each channel.
        indices_end: offset behind the message indices.
    """

    start: int
    end: int
    raw_size: int
    compression: str
    stored_size: int
    messages: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    indices: dict[int, int] = field(default_factory=dict)
    indices_end: int = 0

    @property
    def span_ns(self) -> tuple[int, int]:
        """Times of its first and last message in nanoseconds; zero without messages."""
        times = [time for entries in self.messages.values() for time, _ in entries]
        return (min(times), max(times)) if times else (0, 0)


@dataclass
class _Contents:
    """What was found in a file: chunks in order, and definitions by their number."""

    start: int
    chunks: list[_Chunk] = field(default_factory=list)
    schemas: dict[int, bytes] = field(default_factory=dict)
    channels: dict[int, bytes] = field(default_factory=dict)

    @property
    def counts(self) -> dict[int, int]:
        """Number of messages by channel."""
        counts = dict.fromkeys(self.channels, 0)
        for chunk in self.chunks:
            for channel, entries in chunk.messages.items():
                counts[channel] += len(entries)
        return counts

    @property
    def span_ns(self) -> tuple[int, int]:
        """Times of the first and last message in nanoseconds; zero without messages."""
        spans = [chunk.span_ns for chunk in self.chunks if chunk.messages]
        return (min(span[0] for span in spans), max(span[1] for span in spans)) if spans else (0, 0)


def complete(folder: Path, hashes: Mapping[str, str]) -> int:
    """Make a rosbag2 folder with one MCAP file readable, of which the end was never written.

    Args:
        folder: the recording; it gets a new metadata.yaml.
        hashes: type hash (RIHS01) of each message type in it.

    Returns:
        Number of messages that can be read now.

    Raises:
        OSError: the file cannot be read, is no MCAP file, or there is no room for even an empty
            index.
    """
    path = folder / f'{folder.name}.mcap'
    contents = _scan(path)
    while True:
        try:
            _cut(path, contents)
            (folder / 'metadata.yaml').write_text(_metadata(path.name, contents, hashes))
            return sum(contents.counts.values())
        except OSError:
            with suppress(OSError):
                (folder / 'metadata.yaml').unlink()
            if not contents.chunks:
                raise
            contents.chunks.pop()


def _scan(path: Path) -> _Contents:
    """Find all whole chunks of a file."""
    if path.stat().st_size <= len(MAGIC):
        raise OSError(f"'{path}' is empty")
    with (open(path, 'rb') as file,
          closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as data):
        if data[:len(MAGIC)] != MAGIC:
            raise OSError(f"'{path}' is not an MCAP file")
        contents = _Contents(len(MAGIC))
        for code, start, body, end in _records(data, len(MAGIC), len(data)):
            if code == _CHUNK:
                contents.chunks.append(_read_chunk(data, start, body, end, contents))
            elif code == _INDEX and contents.chunks:
                chunk = contents.chunks[-1]
                chunk.indices[struct.unpack_from('<H', data, body)[0]] = start
                chunk.indices_end = end
            elif not contents.chunks:
                contents.start = end  # the header
    return contents


def _records(data: Buffer, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield code, start, start of the body and end of each whole record."""
    while start + 9 <= stop:
        code, length = struct.unpack_from('<BQ', data, start)
        end = start + 9 + length
        if end > stop or code in (0, _FOOTER, _DATA_END):
            return
        yield code, start, start + 9, end
        start = end


def _read_chunk(data: Buffer, start: int, body: int, end: int, contents: _Contents) -> _Chunk:
    """Read what a chunk holds; definitions in it go into the contents."""
    raw_size, _, name_length = struct.unpack_from('<QII', data, body + 16)
    name_end = body + 32 + name_length
    compression = bytes(data[body + 32:name_end]).decode()
    stored = struct.unpack_from('<Q', data, name_end)[0]
    chunk = _Chunk(start, end, raw_size, compression, stored, indices_end=end)
    inside: Buffer = data
    first, last = name_end + 8, name_end + 8 + stored
    if compression == 'zstd':
        inside = zstd.decompress(data[first:last])
        first, last = 0, len(inside)
    elif compression:
        raise OSError(f"compression '{compression}' of a chunk is not known")
    for code, at, content, stop in _records(inside, first, last):
        if code == _MESSAGE:
            channel, _, time_ns = struct.unpack_from('<HIQ', inside, content)
            chunk.messages.setdefault(channel, []).append((time_ns, at - first))
        elif code in (_SCHEMA, _CHANNEL):
            known = contents.schemas if code == _SCHEMA else contents.channels
            known[struct.unpack_from('<H', inside, content)[0]] = bytes(inside[content:stop])
    return chunk


def _cut(path: Path, contents: _Contents) -> None:
    """End a file behind the last of these chunks, with all that follows the chunks of a file."""
    last = contents.chunks[-1] if contents.chunks else None
    end = last.end if last is not None else contents.start
    tail = bytearray()
    if last is not None:
        last.indices.clear()
        for channel, entries in last.messages.items():
            last.indices[channel] = end + len(tail)
            tail += _record(_INDEX, struct.pack('<HI', channel, 16 * len(entries)) + b''.join(
                struct.pack('<QQ', *entry) for entry in entries))
        last.indices_end = end + len(tail)
    tail += _record(_DATA_END, bytes(4))
    summary = end + len(tail)
    for code, found in ((_SCHEMA, contents.schemas), (_CHANNEL, contents.channels)):
        for _, content in sorted(found.items()):
            tail += _record(code, content)
    for chunk in contents.chunks:
        tail += _record(_CHUNK_INDEX, _chunk_index(chunk))
    tail += _record(_STATISTICS, _statistics(contents))
    tail += _record(_FOOTER, struct.pack('<QQI', summary, 0, 0)) + MAGIC
    with open(path, 'r+b', buffering=0) as file:
        file.truncate(end)
        file.seek(end)
        rest = memoryview(tail)
        while rest:
            rest = rest[file.write(rest):]
        os.fsync(file.fileno())


def _record(code: int, content: bytes) -> bytes:
    return struct.pack('<BQ', code, len(content)) + content


def _chunk_index(chunk: _Chunk) -> bytes:
    offsets = b''.join(struct.pack('<HQ', *item) for item in chunk.indices.items())
    name = chunk.compression.encode()
    return (struct.pack('<QQQQI', *chunk.span_ns, chunk.start, chunk.end - chunk.start,
                        len(offsets)) + offsets
            + struct.pack('<QI', chunk.indices_end - chunk.end, len(name)) + name
            + struct.pack('<QQ', chunk.stored_size, chunk.raw_size))


def _statistics(contents: _Contents) -> bytes:
    counts = contents.counts
    return struct.pack(
        '<QHIIIIQQI', sum(counts.values()), len(contents.schemas), len(counts), 0, 0,
        len(contents.chunks), *contents.span_ns, 10 * len(counts)) + b''.join(
            struct.pack('<HQ', *item) for item in sorted(counts.items()))


def _metadata(name: str, contents: _Contents, hashes: Mapping[str, str]) -> str:
    """What metadata.yaml of a rosbag2 folder says."""
    counts = contents.counts
    topics = []
    for number, body in sorted(contents.channels.items()):
        schema = contents.schemas[struct.unpack_from('<H', body, 2)[0]]
        kind, _ = _text(schema, 2)
        topic, at = _text(body, 4)
        encoding, at = _text(body, at)
        options: dict[str, str] = {}
        at += 4  # size of the map
        while at < len(body):
            key, at = _text(body, at)
            options[key], at = _text(body, at)
        topics.append({'message_count': counts[number], 'topic_metadata': {
            'name': topic, 'type': kind, 'serialization_format': encoding,
            'offered_qos_profiles': options.get('offered_qos_profiles', ''),
            'type_description_hash': hashes.get(kind, '')}})
    first_ns, last_ns = contents.span_ns
    when = {'starting_time': {'nanoseconds_since_epoch': first_ns},
            'duration': {'nanoseconds': last_ns - first_ns}}
    total = sum(counts.values())
    text: str = yaml.safe_dump({'rosbag2_bagfile_information': {
        'version': _METADATA_VERSION, 'storage_identifier': 'mcap', **when,
        'message_count': total, 'relative_file_paths': [name],
        'topics_with_message_count': topics, 'compression_format': '', 'compression_mode': '',
        'files': [{'path': name, 'message_count': total, **when}],
        'custom_data': None, 'ros_distro': 'rosbags'}})
    return text


def _text(body: bytes, at: int) -> tuple[str, int]:
    """Read the text at a place in a record; returns it and the place behind it."""
    end = at + 4 + struct.unpack_from('<I', body, at)[0]
    return body[at + 4:end].decode(), end
