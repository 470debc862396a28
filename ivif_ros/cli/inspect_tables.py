# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a look at a recording found, for people and as JSON."""

from __future__ import annotations

import math
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ivif_ros.bags.advice import Advice
from ivif_ros.bags.inspection_findings import CameraLook, Inspection
from ivif_ros.bags.inspection_images import ColourLook, ThermalLook
from ivif_ros.bags.inspection_pairs import PairingForecast
from ivif_ros.bags.topics import choose_topics
from ivif_ros.cli.console import table
from ivif_ros.errors import SourceError


def print_inspection(seen: Inspection, advice: Advice) -> None:
    """Print everything, the most important at the end, where people look."""
    print(f"recording '{seen.path}': {seen.size / 1e6:.1f} MB, {seen.duration_s:.1f} s")
    if seen.made:
        print(f"made by 'ivif import' of {seen.made.get('source', 'an unknown source')}")
    print(looked_words(seen))
    _print_topics(seen)
    if seen.cameras:
        rows = zip(*(_camera_rows(look, str(seen.made.get('camera_info', {}).get(sensor, '')))
                     for sensor, look in seen.cameras.items()),
                   strict=True)
        table('cameras', ('', 'rgb', 'thermal'),
              [(first[0], first[1], second[1]) for first, second in rows], words=True)
        _print_together(seen, advice)
    _print_cautions(advice)
    if seen.cameras and not any(item.severe for item in advice.cautions):
        print('parameters for this recording:' if advice.parameters or _transports(seen) else
              'the default parameters fit this recording')
        if advice.parameters or _transports(seen):
            print(parameters_yaml(seen, advice))
    if steps := next_steps(seen, advice):
        print('next:')
        for line in steps:
            print(f'  {line}')


def looked_words(seen: Inspection) -> str:
    """Say how much of the recording was looked at."""
    looked = seen.looked
    if not seen.cameras:
        return 'looked at: the index'
    size = f'{looked.messages} messages of both cameras, {looked.bytes / 1e6:.0f} MB'
    if looked.complete:
        return f'looked at: all of it, {size}'
    cut = ', cut where there was too much' if looked.cut else ''
    parts = f'{looked.parts} part{"" if looked.parts == 1 else "s"}'
    return (f'looked at: {parts}, {looked.seconds:.0f} of {looked.of_seconds:.0f} s, '
            f'{size}{cut} (--all reads everything)')


def _print_topics(seen: Inspection) -> None:
    encodings = {topic.name: topic.encoding for topic in seen.images}
    picked = {look.topic.name: sensor for sensor, look in seen.cameras.items()}
    span = seen.duration_s
    columns = 'topic', 'type', 'messages', 'per s', 'encoding', 'used as'
    table(f'{len(seen.topics)} topics', columns,
          [(topic.name, topic.msgtype.rpartition('/')[2], str(topic.count),
            f'{topic.count / span:.1f}' if span > 0 else '', encodings.get(topic.name, ''),
            picked.get(topic.name, '')) for topic in seen.topics], words=True)


def _camera_rows(look: CameraLook, origin: str) -> list[tuple[str, str]]:
    """Name and value of what is shown of a camera.

    Args:
        look: what was found.
        origin: where an import took the camera_info from; empty where it was none.
    """
    timing, info = look.timing, look.info
    values = look.look
    size = 'unknown' if values is None else f'{values.size[0]}x{values.size[1]}'
    rows = [
        ('images', f'{size} {look.topic.encoding or "of unknown encoding"}'),
        ('bytes an image', f'{timing.bytes / 1e3:.0f} kB'),
        ('rate', _number(timing.rate_hz, 'Hz', 2)),
        ('jitter of stamps', _number(timing.jitter_ms, 'ms', 1)),
        ('gaps', f'{timing.gaps}, in them {timing.missing} images missing'),
        ('longest gap', _number(timing.largest_gap_ms, 'ms', 0)),
        ('repeated images', f'{timing.repeated} of {timing.messages}'),
        ('stamp to reception', f'{_number(timing.latency_ms, "ms", 1)}, 99 %: '
                               f'{_number(timing.latency_p99_ms, "ms", 1)}'),
        ('frame', ', '.join(look.frame_ids) or 'unknown'),
        ('camera_info', info.problem if info.camera is None else (
            f'{info.fov_deg:.0f} degrees wide, {info.camera.distortion_model}'
            + (f' ({origin})' if origin else ''))),
        ('values', _value_words(values))]
    return rows


def _value_words(look: ThermalLook | ColourLook | None) -> str:
    if look is None:
        return 'not one image could be decoded'
    if isinstance(look, ColourLook):
        return (f'mean {look.brightness:.0f}, {look.dark:.0%} dark, {look.saturated:.0%} saturated')
    if not look.percentiles:
        return look.words
    low, high = look.percentiles[0.1], look.percentiles[99.9]
    digits = 2 if look.dtype == 'float32' else 0
    radiometric = {'no': 'not radiometric', 'unknown': 'radiometric or not: unknown'}.get(
        look.radiometric, f'radiometric: {look.radiometric}')
    return (f'{low:.{digits}f} to {high:.{digits}f} (0.1 to 99.9 %), median '
            f'{look.percentiles[50.0]:.{digits}f}; {look.words}; {radiometric}')


def _print_together(seen: Inspection, advice: Advice) -> None:
    rows = []
    if not math.isnan(seen.overlap_s):
        rows.append(('time that both cover', f'{seen.overlap_s:.1f} s' if seen.overlap_s > 0 else
                     f'none, their stamps are {-seen.overlap_s:.1f} s apart'))
    offset = seen.offset
    if offset is not None:
        rows.append(('offset of the clocks', (
            f'thermal stamps need {offset.offset_ms:+.1f} ms (standard deviation '
            f'{offset.std_ms:.1f} ms, {offset.agreeing} of {offset.parts} parts agree, confidence '
            f'{offset.confidence:.2f})') if offset.known else f'not known: {offset.reason}'))
        rows.append(('  by receive times', f'{_number(offset.clocks_ms, "ms", 1, sign=True)}, if '
                     'both cameras take equally long'))
    found = seen.alignment
    if found is not None:
        if found.deformation is None:
            rows.append(('alignment', f'not found in {found.pairs} pairs: {found.words}'))
        else:
            rows.append(('alignment', (
                f'{found.words}; {found.shift_px:.1f} px from plain stretching on average'
                + ('' if found.misaligned else ', which is within its error'))))
            rows.append(('  how sure', (
                f'{found.agreeing} of {found.pairs} pairs agree, confidence '
                f'{found.confidence:.2f}, expected error {found.expected_error_px:.1f} px')))
    for name, forecast in (('pairs, default parameters', advice.as_is),
                           ('pairs, parameters below', advice.advised)):
        if forecast is not None and (advice.parameters or forecast is advice.as_is):
            rows.append((name, _pairing_words(forecast)))
    if rows:
        table('both cameras together', ('', 'found'), rows, words=True)


def _pairing_words(found: PairingForecast) -> str:
    words = (f'of {found.rgb_frames} RGB frames {found.fused} fused, {found.held} with a held '
             f'thermal frame, {found.rgb_only} alone; {found.thermal_only} thermal frames alone')
    words += ''.join(f'; not used: {name} {count}' for name, count in found.lost.items())
    if not math.isnan(found.skew_ms):
        words += f'; stamps {found.skew_ms:.1f} ms apart, 99 %: {found.skew_p99_ms:.1f} ms'
    return words


def _print_cautions(advice: Advice) -> None:
    for item in advice.cautions:
        print(f'{"PROBLEM" if item.severe else "note"}: {item.what}\n    -> {item.remedy}')


def parameters_yaml(seen: Inspection, advice: Advice) -> str:
    """The recommended parameters as a ROS parameter file."""
    lines = ['/**:', '  ros__parameters:']
    lines += [f'    {name}: {value}' for name, value in _transports(seen).items()]
    group = ''
    for name, value in sorted(advice.parameters.items()):
        prefix, _, leaf = name.partition('.')
        if prefix != group:
            lines.append(f'    {prefix}:')
            group = prefix
        lines += [f'      # {advice.reasons[name]}', f'      {leaf}: {value}']
    return '\n'.join(lines)


def _transports(seen: Inspection) -> dict[str, str]:
    """Parameters of the node for compressed topics."""
    return {f'{sensor}_transport': 'compressed' for sensor, look in seen.cameras.items()
            if look.topic.compressed}


def next_steps(seen: Inspection, advice: Advice) -> list[str]:
    """Commands to go on with: what rescues the recording, what uses it."""
    bag = shlex.quote(str(seen.path))
    steps = _rescue(seen.path) if seen.damage or seen.looked.broke_off else []
    if not seen.cameras or any(item.severe for item in advice.cautions):
        return steps
    settings = _topic_options(seen) + ''.join(
        f' --set {name}={value}' for name, value in advice.parameters.items())
    found = seen.alignment
    if found is not None and found.misaligned:
        steps.append(f'ivif calibrate {bag} --out rig.yaml')
    rgb, thermal = (seen.cameras[sensor].topic for sensor in ('rgb', 'thermal'))
    transports = ''.join(f' {name}:={value}' for name, value in _transports(seen).items())
    return [*steps, f'ivif replay {bag} --out fused{settings}',
            f'ivif evaluate {bag} --out evaluation{settings}',
            f'ros2 launch ivif_ros fusion.launch.py rgb_image:={rgb.base} '
            f'thermal_image:={thermal.base}{transports} params_file:=FILE.yaml']


def _topic_options(seen: Inspection) -> str:
    """Options that name the cameras, where they would not be found by themselves."""
    chosen = tuple(look.topic for look in seen.cameras.values())
    try:
        if choose_topics(seen.images, 'the recording') == chosen:
            return ''
    except SourceError:
        pass
    return ''.join(f' --{sensor}-topic {look.topic.name}' for sensor, look in seen.cameras.items())


def _rescue(path: Path) -> list[str]:
    """Commands that make a damaged recording whole, as far as it is there."""
    steps = []
    if path.is_dir() and not (path / 'metadata.yaml').exists():
        steps.append(f'ros2 bag reindex {shlex.quote(str(path))}')
    files = [path] if path.is_file() else sorted(path.iterdir())
    for file in files:
        name, rescued = shlex.quote(str(file)), f'rescued_{file.name}'
        if file.suffix.lower() == '.mcap':
            steps.append(f'mcap recover {name} -o {shlex.quote(rescued)}')
        elif file.suffix.lower() == '.db3':
            steps.append(f'sqlite3 {name} .recover | sqlite3 {shlex.quote(rescued)}')
    return steps


def _number(value: float, unit: str, digits: int, *, sign: bool = False) -> str:
    if math.isnan(value):
        return 'unknown'
    if unit == 'ms' and abs(value) >= 10_000:
        value, unit = value / 1e3, 's'
    return f'{value:{"+" if sign else ""}.{digits}f} {unit}'


def as_dict(seen: Inspection, advice: Advice) -> dict[str, Any]:
    """Everything in types that JSON can hold; what is not known is null."""
    cameras = {}
    for sensor, look in seen.cameras.items():
        model = look.info.camera
        cameras[sensor] = {
            'topic': asdict(look.topic), 'timing': asdict(look.timing),
            'frame_ids': look.frame_ids, 'undecodable': look.undecodable,
            'values': None if look.look is None else asdict(look.look),
            'camera_info': {
                'topic': look.info.topic, 'messages': look.info.messages,
                'problem': look.info.problem, 'fov_deg': look.info.fov_deg,
                'matrix': None if model is None else model.matrix.tolist(),
                'distortion': None if model is None else model.distortion.tolist()}}
    found = seen.alignment
    plain = {
        'path': str(seen.path), 'bytes': seen.size, 'damage': seen.damage,
        'start_ns': seen.start_ns, 'duration_s': seen.duration_s,
        'topics': [asdict(topic) for topic in seen.topics],
        'images': [asdict(topic) for topic in seen.images],
        'looked': asdict(seen.looked), 'made': seen.made, 'choice_problem': seen.choice_problem,
        'cameras': cameras,
        'overlap_s': seen.overlap_s,
        'offset': None if seen.offset is None else asdict(seen.offset),
        'alignment': None if found is None else {
            'pairs': found.pairs, 'accepted': found.accepted, 'agreeing': found.agreeing,
            'confidence': found.confidence, 'expected_error_px': found.expected_error_px,
            'shift_px': found.shift_px, 'words': found.words,
            'homography': None if found.deformation is None
            else found.deformation.homography.tolist()},
        'pairing': {name: None if item is None else asdict(item) for name, item in
                    (('default', advice.as_is), ('advised', advice.advised))},
        'parameters': {**_transports(seen), **advice.parameters}, 'reasons': advice.reasons,
        'cautions': [asdict(item) for item in advice.cautions]}
    known: dict[str, Any] = _known(plain)
    return known


def _known(value: Any) -> Any:
    """Replace NaN by null, also in what a value holds."""
    if isinstance(value, dict):
        return {str(key): _known(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_known(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
