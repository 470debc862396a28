# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How well the expected error of a registration predicts the true one: figures and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ivif_ros.types import Array

PAIR_BINS = 8
PIXEL_BINS = 12
REMOVED = tuple(step / 20 for step in range(20))
"""Shares of the pixels that sparsification takes away."""
_ERROR_SCALE = 5.0
_SMALLEST = 0.05
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


def expected_error(confidence: Array) -> Array:
    """Error in pixels of an RGB image 640 wide that a confidence stands for.

    Deformations carry `confidence = exp(-expected error / 5 px)`.
    """
    return np.asarray(-_ERROR_SCALE * np.log(np.maximum(confidence, 1e-9)))


def reliability(expected: Array, true: Array, bins: int) -> list[dict[str, float]]:
    """True error in bins of the expected one that hold equally many values.

    Args:
        expected: (n,) expected errors.
        true: (n,) true errors.
        bins: how many, fewer where there are not enough values.

    Returns:
        One row a bin, from the most to the least confident.
    """
    order = np.argsort(expected, kind='stable')
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return [{'expected': float(expected[part].mean()), 'mean': float(true[part].mean()),
             'median': float(np.median(true[part])), 'p90': float(np.percentile(true[part], 90)),
             'count': len(part)} for part in parts]


def spearman(first: Array, second: Array) -> float:
    """Spearman's rank correlation, ties with their mean rank; NaN where one is constant."""
    ranks = []
    for values in (first, second):
        _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2.0)[place])
    a, b = (rank - rank.mean() for rank in ranks)
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else float('nan')


def sparsification(expected: Array, true: Array) -> dict[str, Any]:
    """Error of what remains when the least confident pixels are taken away.

    Ilg et al., Uncertainty Estimates and Multi-Hypotheses Networks for Optical Flow, 2018; the area
    between the curve and that of an oracle is divided by the mean error.

    Args:
        expected: (n,) expected errors.
        true: (n,) true errors.

    Returns:
        Shares that are removed, mean error of the rest by confidence and by an oracle that knows
        the true error, and the area (`ause`); chance would keep the first value throughout.
    """
    curves = []
    for key in (expected, true):
        running = np.cumsum(true[np.argsort(key, kind='stable')])
        kept = [max(round((1 - share) * len(true)), 1) for share in REMOVED]
        curves.append([float(running[count - 1]) / count for count in kept])
    between = float(np.mean(np.array(curves[0]) - np.array(curves[1])))
    return {'removed': list(REMOVED), 'by_confidence': curves[0], 'by_oracle': curves[1],
            'ause': between / max(curves[0][0], 1e-9)}


def confidence_report(pairs: Array, pixels: Array) -> dict[str, Any]:
    """All figures.

    Args:
        pairs: (n, 2) expected and true error of accepted estimates.
        pixels: (m, 2) the same for single pixels of them.

    Returns:
        The figures, ready for JSON; empty without values.
    """
    report: dict[str, Any] = {}
    for name, values, bins in (('pairs', pairs, PAIR_BINS), ('pixels', pixels, PIXEL_BINS)):
        if len(values):
            report[name] = {'bins': reliability(*values.T, bins), 'spearman': spearman(*values.T)}
    if len(pixels):
        report['sparsification'] = sparsification(*pixels.T)
    return report


def print_confidence(report: dict[str, Any]) -> None:
    """Print the figures as tables."""
    for name in ('pairs', 'pixels'):
        if name not in report:
            continue
        print(f'\nerror by confidence, {name} of accepted estimates (px at 640 px width); rank '
              f'correlation {report[name]["spearman"]:.2f}')
        print(f'{"expected":>10}{"mean":>8}{"median":>8}{"90 %":>8}{"count":>9}')
        for row in report[name]['bins']:
            print(f'{row["expected"]:10.2f}{row["mean"]:8.2f}{row["median"]:8.2f}'
                  f'{row["p90"]:8.2f}{row["count"]:9d}')
    if 'sparsification' in report:
        curve = report['sparsification']
        print('\nmean error of the pixels that remain when the least confident are taken away; '
              f'area to the oracle {curve["ause"]:.2f} of the mean error')
        print(f'{"removed":>10}{"error":>8}{"oracle":>8}')
        for share, own, oracle in list(zip(
                curve['removed'], curve['by_confidence'], curve['by_oracle'], strict=True))[::2]:
            print(f'{share:10.0%}{own:8.2f}{oracle:8.2f}')


def plot_confidence(report: dict[str, Any], pairs: Array, path: Path) -> None:
    """Draw the curves into an image file.

    Args:
        report: as `confidence_report` gives it.
        pairs: (n, 2) expected and true error of accepted estimates, drawn as points.
        path: file to write; its suffix says of which kind.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    figure, axes = pyplot.subplots(1, 3, figsize=(13, 4.2), layout='constrained')
    for axis, name in zip(axes[:2], ('pairs', 'pixels'), strict=True):
        rows = report[name]['bins']
        expected = [max(row['expected'], _SMALLEST) for row in rows]
        mean, high = ([max(row[key], _SMALLEST) for row in rows] for key in ('mean', 'p90'))
        if name == 'pairs':
            axis.plot(*np.maximum(pairs.T, _SMALLEST), '.', color='0.75', markersize=4,
                      label='one pair')
        shown = np.concatenate([expected, mean, high, *(pairs.T if name == 'pairs' else ())])
        limits = max(float(shown.min()) * 0.8, _SMALLEST), float(shown.max()) * 1.25
        axis.plot(limits, limits, '--', color='0.4', linewidth=1, label='expected = true')
        axis.plot(expected, high, 's:', color='tab:orange', markersize=4, label='90 % are below')
        axis.plot(expected, mean, 'o-', color='tab:blue', markersize=5, label='mean')
        axis.set(xscale='log', yscale='log', xlim=limits, ylim=limits, aspect='equal',
                 xlabel='expected error [px]', ylabel='true end-point error [px]',
                 title=f'per {name[:-1]}, rank correlation {report[name]["spearman"]:.2f}')
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_locator(FixedLocator(_TICKS))
            side.set_minor_locator(NullLocator())
            side.set_major_formatter(StrMethodFormatter('{x:g}'))
    curve = report['sparsification']
    removed = [100 * share for share in curve['removed']]
    axes[2].axhline(curve['by_confidence'][0], color='0.4', linestyle='--', linewidth=1,
                    label='by chance')
    axes[2].plot(removed, curve['by_confidence'], 'o-', color='tab:blue', markersize=4,
                 label='by confidence')
    axes[2].plot(removed, curve['by_oracle'], ':', color='tab:green', label='by true error')
    axes[2].set(xlabel='least confident pixels taken away [%]', xlim=(0, 100), ylim=(0, None),
                ylabel='mean error of the others [px]', title='sparsification')
    for axis in axes:
        axis.grid(True, which='major', color='0.9')
        axis.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
