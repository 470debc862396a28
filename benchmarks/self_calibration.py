# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How well a rig is calibrated from nothing, by one pair and by ten.

    python benchmarks/self_calibration.py --data DIR [--pairs N] [--rigs N] [--out DIR]

`roadscene_raw`, unseen stems, no calibration. The error is the mean distance between where the
estimated and the true homography put the corners of the RGB image, in RGB pixels, as a share of
the RGB diagonal (in percent).

The raw files were cropped one by one, so that no two of them share a geometry. Rigs of ten frames
are made: one pair keeps its own geometry, and the nine others whose geometry is nearest get the
same. Their RGB image is cut to the proportions of the first and resized, and their thermal image is
resampled once by the homography that makes the true map of the pair that of the rig. Mirrored
pixels continue it where the camera did not look.

`metu_vistir` has no truth: the agreement of its pairs is printed, and with --out the overlays are
written there, to be looked at.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from registration import corner_error
from registration_data import Case, raw_cases, read

from ivif_ros.registration.estimate import Estimator, default_estimator
from ivif_ros.registration.frame_picker import NamedPair
from ivif_ros.registration.maps import apply_homography, corners, map_planes
from ivif_ros.registration.pictures import composite
from ivif_ros.registration.rig_words import rig_view
from ivif_ros.registration.self_calibration import SelfCalibration, self_calibrate
from ivif_ros.types import Deformation

FRAMES = 10
WANTED = 1.0
"""Corner error in percent of the diagonal that counts as right."""


def adopted(member: Case, rig: Case) -> tuple[NamedPair, float]:
    """The pair of a case as the cameras of another one would have taken it.

    Returns:
        The pair, and the mean distance in thermal pixels by which the corners of its thermal image
        moved in the resampling, shift and zoom of the whole image included.
    """
    width, height = rig.initial.rgb_size
    own_width, own_height = member.initial.rgb_size
    scale = min(own_width / width, own_height / height)
    to_own = np.diag([scale, scale, 1.0])
    to_own[:2, 2] = [(own - scale * new + scale - 1.0) / 2.0
                     for own, new in ((own_width, width), (own_height, height))]
    assert member.homography is not None
    assert rig.homography is not None
    to_raw = member.homography @ to_own @ np.linalg.inv(rig.homography)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    rgb = cv2.warpPerspective(member.rgb, to_own, (width, height), flags=flags)
    size = rig.initial.thermal_size
    thermal = cv2.warpPerspective(
        member.thermal, to_raw, size, flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    outer = corners(size)
    moved = np.linalg.norm(apply_homography(to_raw, outer) - outer, axis=1).mean()
    return NamedPair(member.name, np.asarray(rgb), np.asarray(thermal)), float(moved)


def single_pairs(cases: list[Case], estimator: Estimator) -> dict[str, Any]:
    """Each pair by itself, from nothing."""
    estimates = [estimator(case.rgb, case.thermal, case.initial) for case in cases]
    errors = np.array([corner_error(estimate.deformation, case)
                       for estimate, case in zip(estimates, cases, strict=True)])
    accepted = np.array([estimate.accepted for estimate in estimates])
    return {'pairs': len(cases), 'median': float(np.median(errors)),
            'right': float((errors < WANTED).mean()), 'accepted': float(accepted.mean()),
            'wrong_of_accepted': float((errors[accepted] >= WANTED).sum() / max(accepted.sum(), 1))}


def rigs(cases: list[Case], count: int, estimator: Estimator) -> list[dict[str, Any]]:
    """Rigs of ten frames, each around one of the cases."""
    rows = []
    for index in np.linspace(0, len(cases) - 1, min(count or len(cases), len(cases))).astype(int):
        rig = cases[index]
        made = sorted((adopted(member, rig) for member in cases), key=lambda pair: pair[1])
        found = self_calibrate([pair for pair, _ in made[:FRAMES]], estimator)
        expected = 100.0 * found.corner_error_px / float(np.hypot(*rig.initial.rgb_size))
        rows.append({
            'rig': rig.name, 'error': corner_error(found.deformation, rig),
            'expected': expected, 'settled': found.settled, 'agreeing': found.agreeing,
            'reason': found.reason})
        row = rows[-1]
        print(f'  {row["rig"]:18} {row["error"]:6.2f} % expected {row["expected"]:5.2f} %  '
              f'{row["agreeing"]:2d} of {FRAMES} agree  {row["reason"] or "settled"}', flush=True)
    return rows


def unknown_rig(folder: Path, estimator: Estimator, out: Path | None) -> dict[str, Any]:
    """A rig without truth: whether its pairs agree, and overlays of all of them."""
    pairs = [NamedPair(path.stem, *read(folder, path.stem))
             for path in sorted((folder / 'thermal').iterdir())]
    found = self_calibrate(pairs, estimator)
    apart = np.array([verdict.distance_px for verdict in found.verdicts if verdict.agrees])
    width = found.deformation.rgb_size[0]
    print(f'\n{folder.name}: {found.agreeing} of {len(pairs)} pairs agree, '
          f'{np.median(apart) / width if len(apart) else float("nan"):.2%} of the width apart '
          f'(median); {rig_view(found.deformation)}; {found.reason or "settled"}')
    for verdict in found.verdicts:
        print(f'  {verdict.name:18} {verdict.distance_px:6.1f} px  {verdict.reason or "agrees"}')
    if out is not None:
        _overlays(pairs, found, out)
    return {'pairs': len(pairs), 'agreeing': found.agreeing, 'settled': found.settled,
            'reason': found.reason, 'apart_px': apart.tolist()}


def _overlays(pairs: list[NamedPair], found: SelfCalibration, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    before = Deformation.stretch(found.deformation.rgb_size, found.deformation.thermal_size)
    for pair in pairs:
        laid = [np.asarray(cv2.remap(pair.thermal, *map_planes(deformation), cv2.INTER_LINEAR))
                for deformation in (before, found.deformation)]
        picture = composite(pair.rgb, laid[0], laid[1], line=pair.name,
                            labels=('stretched', 'calibrated'))
        cv2.imwrite(str(out / f'{pair.name}.jpg'), picture)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, help='folder with the sets of pairs')
    parser.add_argument('--pairs', type=int, default=0, help='single pairs, 0 for all')
    parser.add_argument('--rigs', type=int, default=0, help='rigs of ten frames, 0 for all')
    parser.add_argument('--out', type=Path, help='folder for overlays of metu_vistir')
    parser.add_argument('--json', type=Path, help='also write the figures to this file')
    arguments = parser.parse_args()
    estimator = default_estimator()
    report: dict[str, Any] = {}
    if (arguments.data / 'roadscene_raw').is_dir():
        # The dense truth of each pair is large and not needed here.
        cases = [replace(case, truth=case.truth[:1, :1], valid=case.valid[:1, :1])
                 for case in raw_cases(arguments.data / 'roadscene_raw', 0)]
        chosen = cases if not arguments.pairs else cases[:arguments.pairs]
        single = report['single'] = single_pairs(chosen, estimator)
        print(f'roadscene_raw, {single["pairs"]} single pairs: median {single["median"]:.2f} % '
              f'of the diagonal, {single["right"]:.0%} under {WANTED:g} %; '
              f'{single["accepted"]:.0%} accepted, {single["wrong_of_accepted"]:.0%} of these are '
              'wrong')
        print(f'rigs of {FRAMES} frames')
        rows = report['rigs'] = rigs(cases, arguments.rigs, estimator)
        errors = np.array([row['error'] for row in rows])
        settled = np.array([row['settled'] for row in rows])
        print(f'{len(rows)} rigs: median {np.median(errors):.2f} %, largest {errors.max():.2f} %, '
              f'{(errors < WANTED).mean():.0%} under {WANTED:g} %; {settled.mean():.0%} settled, '
              f'{(settled & (errors >= WANTED)).sum()} of these wrong')
        if settled.any():
            ratio = np.median([row['error'] / row['expected'] for row in rows if row['settled']])
            print(f'true error over expected error, median of the settled ones: {ratio:.2f}')
    if (arguments.data / 'metu_vistir').is_dir():
        report['metu_vistir'] = unknown_rig(
            arguments.data / 'metu_vistir', estimator, arguments.out)
    if not report:
        print(f"neither roadscene_raw nor metu_vistir in '{arguments.data}'", file=sys.stderr)
        return 1
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2), encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
