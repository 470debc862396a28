# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Which pairs are trained on, which choose the best weights, and which stay unseen.

The lists of the public data sets lie beside this module (`splits/<name>.txt`, written by
`scripts/make_splits`): a stem a line below `[train]` or `[validation]`. A pair of such a data set
that is not listed is unseen. Data sets without a list are the user's own: a hash of the stem puts a
tenth of the pairs into validation, the rest is trained on.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Literal

from ivif_ros.errors import ParameterError

Split = Literal['train', 'validation', 'test']
SPLITS: tuple[Split, ...] = ('train', 'validation', 'test')
_FOLDER = Path(__file__).with_name('splits')


def known_datasets() -> tuple[str, ...]:
    """Names of the data sets that have a list, in alphabetical order."""
    return tuple(sorted(path.stem for path in _FOLDER.glob('*.txt')))


def split_of(dataset: str, stem: str) -> Split:
    """Say what a pair is for.

    Args:
        dataset: name of the data set, that is of its folder.
        stem: file name of the pair without suffix.
    """
    listed = _listed(dataset)
    if listed is not None:
        return listed.get(stem, 'test')
    digest = hashlib.sha256(f'{dataset}/{stem}'.encode()).digest()
    return 'validation' if int.from_bytes(digest[:4], 'big') % 10 == 0 else 'train'


def check_split(name: str) -> Split:
    """Return the name of a split.

    Raises:
        ParameterError: no such split.
    """
    for split in SPLITS:
        if split == name:
            return split
    raise ParameterError(f"split is '{name}', expected one of {', '.join(SPLITS)}")


@cache
def _listed(dataset: str) -> dict[str, Split] | None:
    """Map the listed stems of a data set to their split; None where there is no list."""
    if dataset not in known_datasets():
        return None
    listed: dict[str, Split] = {}
    split: Split = 'test'
    for line in (_FOLDER / f'{dataset}.txt').read_text(encoding='utf-8').splitlines():
        if line.startswith('['):
            split = check_split(line.strip('[]'))
        elif line and not line.startswith('#'):
            listed[line] = split
    return listed
