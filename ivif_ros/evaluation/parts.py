# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What is finished of an evaluation: one folder for each recording and method, whole or not there.

    parts/<recording>/<method>/results.jsonl   PairRecord, one in a line
                               objects.jsonl   ObjectsRecord, one in a line; where labels are known
                               frames/...      pictures of the pairs that are kept
                               part.json       PartInfo

A part is written beside its place and renamed when it is complete, so that an interrupted run
leaves whole parts only. Its key says what it was made of and how; a part with another key is made
again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ivif_ros.errors import OutputError, SourceError
from ivif_ros.evaluation.records import FRAMES, RESULTS, PairRecord, from_json, to_json

PARTS, INFO, OBJECTS = 'parts', 'part.json', 'objects.jsonl'
PROGRESS = '.progress'
UNFINISHED = '.unfinished-'


@dataclass(frozen=True)
class PartInfo:
    """What a part is.

    Attributes:
        key: what it was made of and how.
        recording: name of the recording.
        method: fusion method.
        pairs: number of pairs.
        duration_s: length of the stream; 0 for stills.
        dropped: frames and pairs that gave no output, by reason.
        time_offset_ms: what `sync.thermal_offset_ms` should be, where it is known.
        flicker: figures of `metrics.video.Flicker`; None where it was not measured.
        kept: pairs of which there are pictures, as they are to be named.
        error: why the recording was not read to its end; empty where it was.
        seconds: how long it took.
        classes: class id -> name of the detector; empty without one.
    """

    key: str
    recording: str
    method: str
    pairs: int
    duration_s: float
    dropped: dict[str, int] = field(default_factory=dict)
    time_offset_ms: float | None = None
    flicker: dict[str, float | None] | None = None
    kept: dict[str, str] = field(default_factory=dict)
    error: str = ''
    seconds: float = 0.0
    classes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ObjectsRecord:
    """Found and true objects of a pair that has a label, class ids of the detector.

    Attributes:
        index: of the pair.
        found: modality -> rows of x0, y0, x1, y1, score, class id.
        truth: rows of x0, y0, x1, y1, class id.
    """

    index: int
    found: dict[str, list[list[float]]]
    truth: list[list[float]]


def file_name(method: str) -> str:
    """Name of a method that any file system takes; files of networks get a hash of their path."""
    safe = re.sub(r'[^A-Za-z0-9_-]+', '_', method)
    if safe == method:
        return method
    return f'{safe[-40:]}-{hashlib.sha256(method.encode()).hexdigest()[:8]}'


class Part:
    """Place of one part in an output folder."""

    def __init__(self, out: Path, recording: str, method: str) -> None:
        """Name it; nothing is read or written."""
        self.recording, self.method = recording, method
        self.folder = out / PARTS / recording / file_name(method)

    def info(self) -> PartInfo | None:
        """What stands there; None where nothing does, or nothing that this version wrote."""
        path = self.folder / INFO
        try:
            return from_json(PartInfo, json.loads(path.read_text(encoding='utf-8')), f"'{path}'")
        except (OSError, ValueError, SourceError):
            return None

    def finished(self, key: str) -> bool:
        """Whether it was made of the same, in the same way, to the end."""
        info = self.info()
        return info is not None and info.key == key and not info.error

    def objects(self) -> Iterator[ObjectsRecord]:
        """Read found and true objects; none where no labels were given."""
        path = self.folder / OBJECTS
        if path.is_file():
            with path.open(encoding='utf-8') as lines:
                for line in lines:
                    yield from_json(ObjectsRecord, json.loads(line), f"'{path}'")


class PartWriter:
    """Writes one part; `finish` puts it into its place, `close` removes what is not finished.

    Every method raises OutputError where the file system refuses.
    """

    def __init__(self, part: Part) -> None:
        """Make a folder beside the place."""
        self.part = part
        self._folder = part.folder.with_name(
            f'{UNFINISHED}{part.folder.name}-{uuid.uuid4().hex[:8]}')
        self._files: dict[str, IO[str]] = {}
        with writing(self._folder):
            (self._folder / FRAMES).mkdir(parents=True)
            self._files[RESULTS] = (self._folder / RESULTS).open('w', encoding='utf-8')

    def record(self, record: PairRecord) -> None:
        """Add a line of results.jsonl."""
        self._line(RESULTS, record)

    def objects(self, record: ObjectsRecord) -> None:
        """Add a line of objects.jsonl."""
        self._line(OBJECTS, record)

    def picture(self, name: str, data: bytes) -> None:
        """Add a picture."""
        with writing(self._folder):
            (self._folder / FRAMES / name).write_bytes(data)

    def finish(self, info: PartInfo) -> None:
        """Put the part into its place."""
        with writing(self.part.folder):
            self._close_files()
            (self._folder / INFO).write_text(
                json.dumps(to_json(info), indent=1) + '\n', encoding='utf-8')
            shutil.rmtree(self.part.folder, ignore_errors=True)
            os.replace(self._folder, self.part.folder)

    def close(self) -> None:
        """Remove what was not finished."""
        with suppress(OSError):  # a full disk: what could not be written is removed anyway
            self._close_files()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _line(self, name: str, record: Any) -> None:
        with writing(self._folder):
            if name not in self._files:
                self._files[name] = (self._folder / name).open('w', encoding='utf-8')
            self._files[name].write(json.dumps(to_json(record)) + '\n')

    def _close_files(self) -> None:
        files, self._files = self._files, {}
        for file in files.values():
            file.close()


def remove_unfinished(out: Path) -> None:
    """Remove what an interrupted run has left."""
    for folder in (out / PARTS).glob(f'*/{UNFINISHED}*'):
        shutil.rmtree(folder, ignore_errors=True)
    for file in (out / PARTS).glob(f'*/*{PROGRESS}'):
        file.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    beside = path.with_name(f'{UNFINISHED}{path.name}')
    with writing(path):
        try:
            beside.write_text(text, encoding='utf-8')
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into one clear error.

    Raises:
        OutputError: something in the block could not be written.
    """
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"'{path}' cannot be written: {error.strerror or error}; what is finished is kept: "
            'make room and start the same command again') from error
