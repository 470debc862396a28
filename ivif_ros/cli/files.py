# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Writing of files, with errors that name them."""

from __future__ import annotations

from pathlib import Path

from ivif_ros.errors import OutputError


def make_folder(path: Path) -> None:
    """Create a folder for output.

    Raises:
        OutputError: it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"output folder '{path}' cannot be created: {error.strerror}") from error


def write_file(path: Path, data: bytes | memoryview) -> None:
    """Write a file.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise OutputError(f"'{path}' cannot be written: {error.strerror}") from error
