# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures that all tests share."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Folder of real image pairs; tests that need it skip where it is missing."""
    folder = Path(os.environ.get('IVIF_DATA', REPOSITORY.parent / 'shared' / 'data'))
    if not folder.is_dir():
        pytest.skip(f'real image pairs are not there ({folder}); set IVIF_DATA to use them')
    return folder


@pytest.fixture(scope='session')
def shared_weights() -> Path:
    """Folder of COCO models; tests that need it skip where it is missing."""
    folder = Path(os.environ.get('IVIF_WEIGHTS', REPOSITORY.parent / 'shared' / 'weights'))
    if not folder.is_dir():
        pytest.skip(f'COCO models are not there ({folder}); set IVIF_WEIGHTS to use them')
    return folder
