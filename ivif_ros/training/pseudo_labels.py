# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Label pairs by teachers: `python -m ivif_ros.training.pseudo_labels --data DIR --out LABELS …`.

Each teacher looks at the RGB, the thermal and the fused image; boxes on which enough of these looks
agree become labels, `LABELS/<data set>/<stem>.txt`. What too few have found goes to
`<stem>.doubt.txt`: training of the detector paints over it, because nobody knows what it is.
`LABELS/labels.json` tells how the labels were made. Pairs of the test split are never labelled.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivif_ros.errors import IvifError, OutputError, ParameterError

if TYPE_CHECKING:
    from ivif_ros.detection import Detector
    from ivif_ros.training.agreement import Agreed
    from ivif_ros.training.data.pairs import PairFiles
    from ivif_ros.types import Array

LOOKED_AT = ('rgb', 'thermal', 'fused')
"""Views of a pair that each teacher sees."""
DESCRIPTION = 'labels.json'
"""How the labels were made, beside those of the data sets."""
_LEAST_SCORE = 0.05


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when all is labelled, 2 for an error."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog='python -m ivif_ros.training.pseudo_labels',
        description='Label registered pairs by what teachers agree on.')
    add = parser.add_argument
    add('--data', type=Path, required=True, help='folder of data sets with rgb/ and thermal/')
    add('--out', type=Path, required=True, help='folder of the labels, outside the repository')
    add('--teacher', action='append', required=True, metavar='FILE', dest='teachers',
        help='model that ultralytics loads and that knows person, bicycle and car; repeat it for '
        'several')
    add('--datasets', default='', help='names, separated by commas; all with a list by default')
    add('--enough', type=float, default=1.0, help='sum of the scores that makes a label')
    add('--voters', type=int, default=2, help='looks that must have found the object')
    options = parser.parse_args(words)
    try:
        print(label(options, words))
    except IvifError as error:
        print(f'pseudo_labels: error: {error}', file=sys.stderr)
        return 2
    return 0


def label(options: argparse.Namespace, words: Sequence[str]) -> str:
    """Label all pairs that training and validation may see; returns what was done in words.

    Raises:
        IvifError: data, teachers or folder that cannot be used.
    """
    from ivif_ros.training.agreement import agree
    from ivif_ros.training.data.labelled import CLASSES, DOUBT_SUFFIX, read_images
    from ivif_ros.training.data.views import PairViews
    from ivif_ros.training.logs import Progress

    if options.enough <= 0 or options.voters < 1:
        raise ParameterError(f'--enough is {options.enough} and --voters {options.voters}, '
                             'expected more than 0 and 1 or more')
    if _in_package(options.out):
        raise OutputError(f"'{options.out}' lies in the repository: labels of other people's "
                          'images stay outside')
    pairs = _pairs(options.data, tuple(filter(None, options.datasets.split(','))))
    teachers = [_teacher(name) for name in options.teachers]
    views = PairViews()
    counts = dict.fromkeys(CLASSES, 0)
    doubtful = 0
    progress = Progress('labels', 0, len(pairs))
    for done, files in enumerate(pairs, 1):
        visible, thermal = read_images(files)
        agreed = agree([teacher.detect(views.make(view, visible, thermal))
                        for view in LOOKED_AT for teacher in teachers],
                       options.enough, options.voters)
        _write(agreed, options.out / files.dataset, files.stem, thermal, DOUBT_SUFFIX)
        for index in agreed.class_ids:
            counts[CLASSES[int(index)]] += 1
        doubtful += len(agreed.doubtful)
        progress.show(done, f'{sum(counts.values())} objects')
    progress.close()
    _describe(options.out, {
        'command': ['python', '-m', 'ivif_ros.training.pseudo_labels', *words],
        'teachers': [Path(name).name for name in options.teachers], 'views': LOOKED_AT,
        'enough': options.enough, 'voters': options.voters, 'pairs': len(pairs),
        'objects': counts, 'doubtful': doubtful})
    found = ', '.join(f'{count} {name}' for name, count in counts.items())
    return f"{len(pairs)} pairs: {found}; {doubtful} doubtful places, in '{options.out}'"


def _in_package(folder: Path) -> bool:
    return Path(__file__).resolve().parents[2] in folder.resolve().parents


def _pairs(root: Path, datasets: tuple[str, ...]) -> list[PairFiles]:
    """Stills that are trained on or choose the best weights."""
    from ivif_ros.errors import SourceError
    from ivif_ros.training.data.pairs import find_datasets, list_pairs

    pairs = [files for name, folder in find_datasets(root, datasets).items()
             for split in ('train', 'validation')
             for files in list_pairs(name, folder, split)  # type: ignore[arg-type]
             if not files.is_video]
    if not pairs:
        raise SourceError(f"data '{root}' have no pairs of images to label: all are videos or of "
                          'the test split')
    return pairs


def _teacher(name: str) -> Detector:
    from ivif_ros.detection import load_detector
    from ivif_ros.parameters import DetectionParameters

    teacher = load_detector(DetectionParameters(weights=name, confidence=_LEAST_SCORE), 'cpu')
    if teacher is None:
        raise ParameterError('--teacher is empty, expected a model file')
    return teacher


def _write(agreed: Agreed, folder: Path, stem: str, thermal: Array, suffix: str) -> None:
    import numpy as np

    from ivif_ros.detection.yolo_text import write_boxes, write_classes
    from ivif_ros.training.data.labelled import CLASSES

    size = thermal.shape[1], thermal.shape[0]
    write_classes(folder, CLASSES)
    write_boxes(folder / f'{stem}.txt', agreed.boxes, agreed.class_ids, size)
    write_boxes(folder / f'{stem}{suffix}', agreed.doubtful,
                np.zeros(len(agreed.doubtful), np.int64), size)


def _describe(folder: Path, content: dict[str, Any]) -> None:
    try:
        (folder / DESCRIPTION).write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')
    except OSError as error:
        raise OutputError(f"'{folder}' cannot be written: {error}") from error


def describe_labels(folder: Path) -> dict[str, Any]:
    """How the labels of a folder were made; empty where nothing there says it."""
    try:
        content = json.loads((folder / DESCRIPTION).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


if __name__ == '__main__':
    raise SystemExit(main())
