# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Registration of a simulated rig as a stream: how good, from when on, and in whose time.

    python benchmarks/rig.py [--seconds S] [--settle S] [--seeds A,B] [--lag-ms MS]
                             [--offset apply|known] [--set NAME=VALUE] [--json FILE]

The rig drives down a street that no training has seen: cameras 10 cm apart, thermal stamps that
lag. Its frames go through the synchroniser and the pipeline as in a replay, from nothing (no
intrinsics, no calibration) and from the calibration. Beside them stand the calibration alone and
each pair by itself, which shows what following the stream costs or gains. Errors are end-point
errors in RGB pixels at 640x480, over the image and over people and vehicles from 5 m on, against
the truth at the instant of the RGB image. `apart` is the time between the exposures of both images
of a pair.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from simulated_truth import UNSEEN_SEED, objects

from ivif_ros.bags.replay import replay
from ivif_ros.errors import IvifError
from ivif_ros.frame_source import FrameSource
from ivif_ros.parameters import Parameters, from_dict
from ivif_ros.parameters.yaml_file import parse_setting
from ivif_ros.pipeline import Pipeline
from ivif_ros.registration import Calibration, calibrated_deformation, dense_map
from ivif_ros.registration.maps import thermal_scale
from ivif_ros.simulation import RigConfig, SimulatedRig
from ivif_ros.simulation.config import LIGHTINGS
from ivif_ros.types import Array, Deformation, Frame, FusionResult, Sensor, ThermalOffset

STARTS = {
    'calibration alone': ('calibrated', True), 'from nothing': ('refine', False),
    'calibrated': ('refine', True)}
"""Name of a run -> registration.mode and whether the calibration is known."""
_EVERY = 6
_SECONDS_SHOWN = (1.0, 2.0, 4.0, 7.0)


class Drive(FrameSource):
    """Frames of a rig, rendered once and kept."""

    def __init__(self, rig: SimulatedRig, seconds: float) -> None:
        """Render the first seconds of a drive."""
        super().__init__()
        self._frames = list(rig.frames(seconds))

    def frames(self) -> Iterator[tuple[Sensor, Frame]]:
        """Yield the frames in the order in which they arrive."""
        return iter(self._frames)

    def describe(self) -> str:
        """Say what it is."""
        return 'simulated drive'


@dataclass(frozen=True)
class Sample:
    """Errors at one instant.

    Attributes:
        t: seconds since the first frame.
        image: mean error over the image.
        people: mean error over people and vehicles, NaN without any.
        apart_ms: time between the exposures of the two images.
        source: what the deformation rested on.
        offset: of the thermal stamps, in use and estimated.
    """

    t: float
    image: float
    people: float
    apart_ms: float
    source: str
    offset: ThermalOffset


class Judge:
    """Compares deformations with the truth about one rig; the truth is computed once an instant."""

    def __init__(self, rig: SimulatedRig) -> None:
        """Keep the rig."""
        self._rig = rig
        self._truth: dict[float, tuple[Array, Array]] = {}
        guess = calibrated_deformation(
            calibration_of(rig), rig.config.rgb_size, rig.config.thermal_size, 15.0)
        self._unit = thermal_scale(guess)

    def sample(self, result: FusionResult) -> Sample | None:
        """Judge a result; None for the frames between samples and those of one camera."""
        rgb, thermal = result.pair.rgb, result.pair.thermal
        if rgb is None or thermal is None or result.deformation is None:
            return None
        t, at = (self._rig.capture_time_s(sensor, frame.stamp_ns)
                 for sensor, frame in (('rgb', rgb), ('thermal', thermal)))
        if round(t * self._rig.config.rgb_hz) % _EVERY:
            return None
        return self._measure(t, result.deformation, abs(t - at) * 1e3, result.pair.offset)

    def _measure(self, t: float, deformation: Deformation, apart_ms: float,
                 offset: ThermalOffset) -> Sample:
        if t not in self._truth:
            self._truth[t] = self._rig.true_map(t), objects(self._rig, t)
        truth, shown = self._truth[t]
        apart = np.linalg.norm(dense_map(deformation) - truth, axis=2) / self._unit
        known = np.isfinite(apart)
        people = apart[known & shown]
        return Sample(t, float(apart[known].mean()),
                      float(people.mean()) if len(people) else float('nan'), apart_ms,
                      deformation.source.name, offset)


def calibration_of(rig: SimulatedRig) -> Calibration:
    """All that can be known of a rig."""
    return Calibration(rig.rgb_camera, rig.thermal_camera, rig.thermal_from_rgb)


def make_pipeline(params: Parameters, rig: SimulatedRig, calibrated: bool) -> Pipeline:
    """A pipeline that does or does not know the rig."""
    pipeline = Pipeline(params)
    if calibrated:
        pipeline.set_extrinsics(rig.thermal_from_rgb)
    return pipeline


def drive(name: str, base: Parameters, rig: SimulatedRig, source: Drive,
          judge: Judge, settle_s: float) -> list[dict[str, Any]]:
    """Run the stream from one start, and each sampled pair by itself.

    Returns:
        One or two rows of figures.
    """
    mode, calibrated = STARTS[name]
    params = replace(base, registration=replace(
        base.registration, mode=mode, use_camera_info=calibrated))
    alone = make_pipeline(params, rig, calibrated)
    stream: list[Sample] = []
    single: list[Sample] = []

    def take(result: FusionResult) -> None:
        sample = judge.sample(result)
        if sample is None:
            return
        stream.append(sample)
        if mode == 'refine' and sample.t >= settle_s:
            pair = result.pair
            found = judge.sample(alone.process_still(pair.rgb, pair.thermal))
            assert found is not None
            single.append(found)

    pipeline = make_pipeline(params, rig, calibrated)
    replay(source, None, pipeline, params, on_result=take)
    settled = [sample for sample in stream if sample.t >= settle_s]
    rows = [{'run': name, **figures(settled), 'counters': pipeline.counters.snapshot(),
             'before': before(stream, settle_s)}]
    if single:
        rows.append({'run': f'{name}, pairs alone', **figures(single)})
    pipeline.close()
    alone.close()
    return rows


def figures(samples: list[Sample]) -> dict[str, Any]:
    """Sum up; the time offset is that of the first sample."""
    if not samples:
        return {'frames': 0}
    people = np.array([sample.people for sample in samples])
    image = np.array([sample.image for sample in samples])
    sources = Counter(sample.source for sample in samples)
    used, found = samples[0].offset.in_use_ms, samples[0].offset.estimate_ms
    return {
        'frames': len(samples), 'people_mean': float(np.nanmean(people)),
        'people_median': float(np.nanmedian(people)),
        'people_p90': float(np.nanpercentile(people, 90)),
        'image_mean': float(image.mean()), 'image_median': float(np.median(image)),
        'apart_ms': float(np.mean([sample.apart_ms for sample in samples])),
        'offset_in_use_ms': used, 'offset_estimate_ms': found if np.isfinite(found) else None,
        'sources': {source: count / len(samples) for source, count in sorted(sources.items())}}


def before(stream: list[Sample], settle_s: float) -> dict[str, float]:
    """Mean error on people and vehicles in the first second, the next, and so on."""
    ends = [end for end in _SECONDS_SHOWN if end < settle_s] + [settle_s]
    means, start = {}, 0.0
    for end in ends:
        people = [s.people for s in stream if start <= s.t < end and np.isfinite(s.people)]
        means[f'{start:g}-{end:g} s'] = float(np.mean(people)) if people else float('nan')
        start = end
    return means


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Print the figures of one street."""
    print(f'{"run":28}{"frames":>7}{"people":>8}{"median":>8}{"90 %":>8}{"image":>8}{"median":>8}'
          f'{"apart":>8}  sources')
    for row in rows:
        if not row['frames']:
            print(f'{row["run"]:28}{0:7d}')
            continue
        sources = ', '.join(f'{name} {share:.0%}' for name, share in row['sources'].items())
        print(f'{row["run"]:28}{row["frames"]:7d}{row["people_mean"]:8.2f}'
              f'{row["people_median"]:8.2f}{row["people_p90"]:8.2f}{row["image_mean"]:8.2f}'
              f'{row["image_median"]:8.2f}{row["apart_ms"]:8.1f}  {sources}')
    for row in rows:
        if 'before' in row:
            print(f'  {row["run"]}: people before ' + ', '.join(
                f'{span} {error:.2f}' for span, error in row['before'].items()))
    first = rows[0]
    if first['frames']:
        found = first['offset_estimate_ms']
        print(f'  time offset: in use {first["offset_in_use_ms"]:.1f} ms, found '
              + ('none' if found is None else f'{found:.1f} ms'), flush=True)


def numbers(text: str) -> list[int]:
    """Read whole numbers separated by commas."""
    return [int(part) for part in text.split(',')]


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--seconds', type=float, default=14.0, help='length of the drive')
    parser.add_argument('--settle', type=float, default=10.0, help='what counts begins here')
    parser.add_argument('--seeds', type=numbers, help='streets; the lighting changes from one to '
                        'the next', default=[UNSEEN_SEED, UNSEEN_SEED + 1, UNSEEN_SEED + 2])
    parser.add_argument('--lag-ms', type=float, default=80.0,
                        help='how far the thermal clock is ahead')
    parser.add_argument('--offset', choices=('apply', 'known'), default='apply',
                        help='estimate the time offset and use it, or give it')
    parser.add_argument('--set', metavar='NAME=VALUE', action='append', default=[],
                        help='one parameter of the pipeline; may be repeated')
    parser.add_argument('--json', type=Path, help='also write the figures to this file')
    args = parser.parse_args()
    if not 0 <= args.settle < args.seconds:
        parser.error('--settle must be less than --seconds')
    return args


def parameters(args: argparse.Namespace) -> Parameters:
    """Those of the node; the fusion, which nothing here depends on, is the cheapest."""
    values: dict[str, Any] = {'fusion.method': 'average'}
    if args.offset == 'known':
        values['sync.thermal_offset_ms'] = -args.lag_ms
    else:
        values['sync.offset_estimation'] = 'apply'
    values.update(parse_setting(text) for text in args.set)
    return from_dict(Parameters, values)


def main() -> int:
    """Drive down each street from each start and print the tables."""
    args = parse()
    try:
        params = parameters(args)
    except IvifError as error:
        print(error, file=sys.stderr)
        return 1
    report: list[dict[str, Any]] = []
    for seed in args.seeds:
        rig = SimulatedRig(RigConfig(
            seed=seed, lighting=LIGHTINGS[seed % len(LIGHTINGS)], baseline_m=0.10,
            thermal_lag_s=args.lag_ms / 1e3))
        judge, source = Judge(rig), Drive(rig, args.seconds)
        rows = [row for name in STARTS
                for row in drive(name, params, rig, source, judge, args.settle)]
        print(f'\n{rig.config.lighting}, seed {seed}; px from {args.settle:g} s on')
        print_rows(rows)
        report.append({'seed': seed, 'lighting': rig.config.lighting, 'runs': rows})
    if args.json:
        args.json.write_text(json.dumps(
            {'lag_ms': args.lag_ms, 'offset': args.offset, 'streets': report}, indent=1) + '\n',
            encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
