# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Diagnostics of what the nodes do with the images, beside those of the inputs."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping

from ivif_ros.nodes.inputs import SILENT_S, counts
from ivif_ros.nodes.monitor import RateMonitor
from ivif_ros.parameters import RegistrationParameters
from ivif_ros.ros.diagnostics import Finding, Level
from ivif_ros.sync import Synchroniser
from ivif_ros.types import DeformationSource, Mode, Outcome

OFFSET_MS = 10.0
"""Errors of the time offset that nobody needs to hear of."""


def sync_finding(rate: RateMonitor, dropped: Mapping[str, int],
                 synchroniser: Synchroniser | None) -> Finding:
    """State of the pairing.

    Args:
        rate: ticked with each pair.
        dropped: all counters of the node.
        synchroniser: knows the offset between the clocks; None while the node is inactive.
    """
    age = rate.age()
    values: dict[str, object] = {
        'rate [Hz]': rate.rate(), 'age [s]': 'never' if age is None else age, **dropped}
    problem = ''
    if synchroniser is not None:
        problem = _offset_problem(synchroniser, values)
    if age is None:
        return Finding(Level.STALE, 'no pair yet', values)
    if age > SILENT_S:
        return Finding(Level.ERROR, f'no pair for {age:.1f} s', values)
    if problem:
        return Finding(Level.WARN, problem, values)
    return Finding(Level.OK, 'pairing', values)


def _offset_problem(synchroniser: Synchroniser, values: dict[str, object]) -> str:
    """Say what is wrong with the offset in use, if anything; figures go into `values`."""
    in_use, estimate = synchroniser.in_use_ms, synchroniser.estimate
    values['thermal offset in use [ms]'] = in_use
    if not estimate.known:
        values['thermal offset estimate [ms]'] = f'unknown: {estimate.reason}'
        return ''
    values['thermal offset estimate [ms]'] = estimate.offset_ms
    values['thermal offset std [ms]'] = estimate.std_ms
    off = estimate.offset_ms - in_use
    if abs(off) < max(OFFSET_MS, 3 * estimate.std_ms):
        return ''
    return (f"thermal stamps are {abs(off):.0f} ms too {'late' if off < 0 else 'early'}: set "
            f'sync.thermal_offset_ms to {estimate.offset_ms:.0f}, or sync.offset_estimation to '
            'apply')


def registration_finding(
        result: Outcome | None, params: RegistrationParameters, problem: str) -> Finding:
    """How far the newest deformation can be trusted.

    Args:
        result: newest result, or None.
        params: mode and least confidence.
        problem: what is wrong with the registration; empty where nothing is.
    """
    if result is None or result.deformation is None:
        return Finding(Level.STALE, 'no thermal image yet')
    found = result.deformation
    values = {'source': found.source.name, 'confidence': float(found.confidence),
              'residual [px]': float(found.residual_px)}
    why = f' ({problem})' if problem else ''
    if params.mode == 'none':
        return Finding(Level.OK, 'switched off (registration.mode)', values)
    if found.source is DeformationSource.LAST_GOOD:
        return Finding(Level.WARN, f'the newest estimate is not credible{why}, the last good one '
                       'holds', values)
    if found.source is DeformationSource.NONE:
        return Finding(Level.WARN, f'nothing known about the rig{why}, the thermal image is '
                       'stretched; set registration.calibration or let the cameras see structure',
                       values)
    if found.source is DeformationSource.ESTIMATED and found.confidence < params.min_confidence:
        return Finding(Level.WARN, 'confidence is low', values)
    if found.source is DeformationSource.ESTIMATED and problem:
        return Finding(Level.WARN, problem, values)
    return Finding(Level.OK, f'{found.source.name.lower()} deformation in use', values)


def fusion_finding(result: Outcome | None, rate: RateMonitor, totals: Mapping[str, int],
                   dropped: Mapping[str, int]) -> Finding:
    """What the newest result was made of, and how fast.

    Args:
        result: newest result, or None.
        rate: ticked with each result.
        totals: pairs in, fused and partial.
        dropped: all counters of the node.
    """
    values: dict[str, object] = {'rate [Hz]': rate.rate(), **totals, **counts(dropped, 'pair')}
    if result is None:
        return Finding(Level.STALE, 'no result yet', values)
    values |= {f'{stage} [ms]': ms for stage, ms in result.latency_ms.items()}
    values['mode'] = result.mode.name
    age = rate.age()
    if age is not None and age > SILENT_S:
        return Finding(Level.ERROR, f'no result for {age:.1f} s', values)
    if result.mode is not Mode.FUSED:
        name = result.mode.name.lower().replace('_', ' ')
        return Finding(Level.WARN, f'{name}: {result.reason}', values)
    return Finding(Level.OK, 'fusing', values)


def memory_finding(device: str) -> Finding:
    """Memory of the device that fuses, or of this process where that is the CPU."""
    if device.startswith('cuda'):
        torch = sys.modules['torch']  # a device of this kind exists only after its import
        free, total = torch.cuda.mem_get_info(device)
        values = {'used by node [MiB]': torch.cuda.memory_reserved(device) / 2**20,
                  'free [MiB]': free / 2**20, 'total [MiB]': total / 2**20}
        if free < 0.05 * total:
            return Finding(Level.WARN, 'less than 5 % of the memory is free', values, device)
        return Finding(Level.OK, f'{free / 2**20:.0f} MiB free', values, device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB
    return Finding(Level.OK, f'{peak:.0f} MiB at most so far',
                   {'peak of the process [MiB]': peak}, device)
