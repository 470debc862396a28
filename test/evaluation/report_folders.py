# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Folders as an evaluation leaves them, with figures that are made up but of the right kind."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from ivif_ros.evaluation.records import (
    FRAMES,
    PICTURES,
    RESULTS,
    RUN,
    SUMMARY,
    Estimate,
    MethodSummary,
    PairRecord,
    RecordingSummary,
    RunInfo,
    Summary,
    to_json,
)

METRICS = {'EN': 6.9, 'SD': 45.0, 'SF': 14.0, 'AG': 4.9, 'MI': 2.6, 'CC': 0.62, 'SCD': 1.5,
           'VIF': 0.45, 'Qabf': 0.5, 'SSIM': 0.62, 'MS-SSIM': 0.85, 'PSNR': 16.5, 'dE': 6.2}
METHODS = 'learned_pyramid', 'laplacian', 'mean'
STAGES = {'thermal': 1.2, 'registration': 18.0, 'warp': 2.4, 'fusion': 21.0}


def make_folder(folder: Path, *, methods: tuple[str, ...] = METHODS,
                recordings: tuple[str, ...] = ('steps', 'smoke', 'front'), pairs: int = 60,
                every: int = 1, kept: int = 3, size: tuple[int, int] = (160, 120),
                detect: bool = True) -> Path:
    """Write run.json, results.jsonl, summary.json and frames/.

    Args:
        folder: where to.
        methods: names of methods; later ones get worse figures.
        recordings: names of recordings.
        pairs: number of pairs of each recording.
        every: each how many-th of them has metrics.
        kept: number of frames with pictures for each recording and method.
        size: (width, height) of the pictures in pixels.
        detect: whether there is a detector with labels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = RunInfo(
        {name: f'folder of {name}' for name in recordings}, list(methods),
        {'fusion.method': methods[0], 'sync.slop_ms': 20.0}, every,
        labels='labels' if detect else '', detector='detector.onnx' if detect else '',
        versions={'ivif_ros': '0.1.0', 'numpy': np.__version__},
        machine={'cpu': 'Some CPU', 'cores': '2', 'device': 'cpu'},
        started='2026-11-21T18:30:00+01:00', seconds=83.0, real_time_factor=6.2, jobs=2,
        thresholds={f'{methods[0]}.VIF<0.4': True}, command='ivif evaluate steps smoke front')
    with (folder / RESULTS).open('w') as lines:
        for number, recording in enumerate(recordings):
            for place, method in enumerate(methods):
                for index in range(pairs):
                    record = _record(recording, number, method, place, index, every, detect)
                    if kept and index % max(1, pairs // kept) == 0:
                        record = replace(record, frames=_pictures(folder, record, size))
                    lines.write(json.dumps(to_json(record)) + '\n')
    (folder / RUN).write_text(json.dumps(to_json(run)))
    (folder / SUMMARY).write_text(json.dumps(to_json(_summary(run, pairs, detect))))
    return folder


def _record(recording: str, number: int, method: str, place: int, index: int, every: int,
            detect: bool) -> PairRecord:
    wave = math.sin(index / 17 + number) + 0.2 * math.sin(index * 2.3 + place)
    alone = 40 <= index < 46
    return PairRecord(
        recording, method, index, index * 33_333_333, index / 30,
        mode='rgb_only' if alone else 'fused', reason='thermal_missing' if alone else '',
        skew_ms=None if alone else 3 * wave, confidence=min(1.0, 0.8 + 0.15 * wave),
        expected_error_px=1.4 - wave / 2,
        latency_ms={stage: value * (1 + 0.2 * abs(wave) + 0.15 * place)
                    for stage, value in STAGES.items()},
        metrics=None if alone or index % every else {
            key: value * (1 + 0.1 * wave - 0.06 * place) for key, value in METRICS.items()},
        registration=None if index % every else {'NCC': 0.4 + 0.1 * wave, 'EPE': 1.3 - wave},
        detections={'rgb': index % 4, 'thermal': 2, 'fused': 3} if detect else None)


def _pictures(folder: Path, record: PairRecord, size: tuple[int, int]) -> str:
    base = f'{FRAMES}/{record.recording}/{record.index:06d}_{record.method}'
    (folder / base).parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(record.index)
    coarse = generator.integers(0, 255, (size[1] // 8, size[0] // 8, 3), np.uint8)
    for picture in PICTURES:
        image = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
        if picture in ('thermal', 'registered'):
            image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        cv2.imwrite(str(folder / f'{base}_{picture}.webp'), image, [cv2.IMWRITE_WEBP_QUALITY, 80])
    return base


def _summary(run: RunInfo, pairs: int, detect: bool) -> Summary:
    over = 'recordings' if len(run.sources) > 1 else 'pairs'
    methods = {method: MethodSummary(
        {key: Estimate(value * (1 - 0.06 * place), value * (0.97 - 0.06 * place),
                       value * (1.03 - 0.06 * place), pairs * len(run.sources), over)
         for key, value in METRICS.items()},
        {stage: {'p50': value, 'p90': 1.3 * value, 'p99': 1.8 * value}
         for stage, value in STAGES.items()},
        pairs * len(run.sources), 0, {'fused': pairs * len(run.sources) - 6, 'rgb_only': 6},
        {'ratio': 0.9 + 0.1 * place, 'unexplained': 0.2, 'consistency': 0.9 - 0.2 * place},
        {'NCC': Estimate(0.4, 0.3, 0.5, pairs, over), 'EPE': Estimate(1.31, 1.2, 1.4, pairs, over)})
        for place, method in enumerate(run.methods)}
    recordings = {name: RecordingSummary(
        {method: {key: value * (1 - 0.06 * place - 0.05 * number) for key, value in METRICS.items()}
         for place, method in enumerate(run.methods)},
        {'thermal.late': 4, 'pair.replaced': number} if number else {}, pairs / 30, pairs,
        12.4 if number == 1 else None, f'videos of {name}')
        for number, name in enumerate(run.sources)}
    detection = {method: {modality: _quality(score - 0.02 * place * (modality == 'fused'))
                          for modality, score in (('rgb', 0.5), ('thermal', 0.55), ('fused', 0.62))}
                 for place, method in enumerate(run.methods)}
    return Summary(run, methods, recordings, detection if detect else None)


def _quality(score: float) -> dict[str, object]:
    return {'precision': score + 0.1, 'recall': score, 'AP50': score, 'AP75': score / 2,
            'mAP50-95': score / 1.8, 'objects': 120, 'images': 60,
            'per_class': {'person': {'AP50': score}, 'car': {'AP50': score + 0.1}}}
