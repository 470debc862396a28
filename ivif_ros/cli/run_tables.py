# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures of a run as tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ivif_ros.cli.console import table

if TYPE_CHECKING:
    from ivif_ros.bags.summary import RunSummary, TimeOffset
    from ivif_ros.bags.writer import BagWriter


INPUTS = ('rgb.', 'thermal.', 'pair.')
"""Counters of frames and pairs; others count what happened without loss."""


def print_summary(summary: RunSummary, title: str) -> None:
    """Print what was done and lost, how long it took and how well the images were registered."""
    counts = [('pairs', summary.pairs_in), ('  fused', summary.pairs_fused)]
    counts += [(f"  {mode.replace('_', ' ')}", count) for mode, count in summary.modes.items()
               if count and mode != 'fused']
    counts += [('  made of one camera', summary.pairs_partial)]
    counts += [(f'not used: {name}' if name.startswith(INPUTS) else name.replace('.', ' '), count)
               for name, count in summary.dropped.items()]
    rows = [(name, str(count)) for name, count in counts]
    rows += [('seconds of the stream', f'{summary.stream_seconds:.1f}'),
             ('pairs per second', f'{summary.fps:.1f}')]
    table(title, ('', 'number'), rows)
    spread = {'skew of the stamps': summary.skew_ms, **summary.latency_ms}
    table('milliseconds', ('', 'median', '99 %'), [
        (name.replace('_', ' '), f"{values['p50']:.2f}", f"{values['p99']:.2f}")
        for name, values in spread.items() if values])
    if summary.time_offset is not None:
        print(f'time offset: {offset_words(summary.time_offset)}')
    if summary.registration_error is not None:
        error = dict(summary.registration_error)
        pairs = error.pop('pairs')
        table(f'registration error over {pairs} pairs', ('pixels of', 'median', 'mean'), [
            (unit.removesuffix('_px'), f"{values['median']:.2f}", f"{values['mean']:.2f}")
            for unit, values in error.items()])


def print_sizes(writer: BagWriter) -> None:
    """Print how large a closed recording is: each topic, and the file."""
    first_ns, last_ns = writer.span_ns or (0, 0)
    minutes = (last_ns - first_ns) / 60e9
    sizes = [(topic, size.messages, size.size) for topic, size in sorted(writer.sizes.items())]
    sizes.append(('all', sum(size[1] for size in sizes), sum(size[2] for size in sizes)))
    table(f'{writer.path}: {writer.disk_bytes() / 1e6:.1f} MB', (
        'topic', 'messages', 'MB', 'MB per minute'), [
            (topic, str(count), f'{size / 1e6:.2f}',
             f'{size / 1e6 / minutes:.1f}' if minutes else '')
            for topic, count, size in sizes])


def offset_words(offset: TimeOffset) -> str:
    """What was found about the clocks, in one line."""
    in_use = f'{offset.in_use_ms:+.1f} ms in use'
    if offset.estimate_ms is None:
        return f'{in_use}; no estimate: {offset.reason}'
    return (f'{in_use}; sync.thermal_offset_ms should be {offset.estimate_ms:+.1f} ms '
            f'(standard deviation {offset.std_ms:.1f} ms)')
