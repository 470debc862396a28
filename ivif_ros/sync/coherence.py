# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How likely each time offset between two sets of signals is.

Two signals that are the same but for gain, noise and a delay have, per frequency band, a
correlation r(delay). Of a band of B hertz over T seconds, N = 2 B T values are independent, and the
logarithm of the likelihood of a delay is -N/2 log(1 - r^2) (Knapp and Carter, IEEE Trans. ASSP
1976, with the signal-to-noise ratio of each band taken from the correlation itself). Bands in which
nothing is common drop out by themselves, low bands tell which of the peaks of a high band is meant,
and high bands make the peak sharp. A vibration fills hardly more than one frequency of its band, so
N leans towards the frequencies that the signals really fill: otherwise the nearest of its peaks
would look certain.
"""

from __future__ import annotations

import itertools

import numpy as np

from ivif_ros.types import Array

BANDS_HZ = (0.25, 0.6, 1.2, 2.4, 4.0, 6.5, 9.5)
"""Edges of the bands."""
SAMPLE_NS = 50_000_000
"""Sampling interval of the signals: 20 Hz holds all bands."""
STEP_MS = 10.0
"""Distance of the delays at which the likelihood is taken."""

_NYQUIST_SHARE = 0.42  # of the frame rate of the slower camera: highest frequency that is used
_CLIP = 4.0  # standard deviations beyond which a sample says no more
_RAMP_S = 1.0
_ENDS_S = 1.0  # time over which the weight of a window rises, and falls again
_MAX_ENDS = 0.3  # the same as a share of a short window, at most
_MAX_R = 0.995


def spectra(signals: Array, weights: Array, bins: Array) -> Array:
    """Transform signals of one camera; single large values count for less.

    Args:
        signals: (samples, signals) float32.
        weights: (samples,) weight of each sample, 0 where nothing is known.
        bins: indices of the frequencies that are kept.

    Returns:
        (signals, frequencies) complex64.
    """
    weight = weights[:, None].astype(np.float32)
    total = float(weights.sum()) + 1e-9
    centred = signals - (signals * weight).sum(axis=0) / total
    spread = np.sqrt((centred * centred * weight).sum(axis=0) / total)
    centred = np.clip(centred, -_CLIP * spread, _CLIP * spread) * weight
    return np.asarray(np.fft.rfft(centred.T, axis=1)[:, bins].astype(np.complex64))


def taper(known: Array) -> Array:
    """Weights of samples: 1 inside what is known, falling to 0 towards gaps and the ends.

    Args:
        known: (samples,) bool.

    Returns:
        (samples,) float64.
    """
    ramp = round(_RAMP_S * 1e9 / SAMPLE_NS)
    kernel = np.hanning(ramp + 2)[1:-1]
    padded = np.concatenate([np.zeros(ramp), known.astype(np.float64), np.zeros(ramp)])
    smooth = np.convolve(padded, kernel / kernel.sum(), 'same')[ramp:-ramp]
    inside = np.where(known, np.clip(2 * smooth - 1, 0, 1), 0.0)
    ends = round(min(_ENDS_S * 1e9 / SAMPLE_NS, _MAX_ENDS * len(known)))
    rise = np.sin(0.5 * np.pi * (np.arange(ends) + 0.5) / ends) ** 2
    inside[:ends] *= rise
    inside[len(inside) - ends:] *= rise[::-1]
    return np.asarray(inside)


def hann(spectra: Array) -> Array:
    """Spectra as if the signals had been multiplied by a Hann window.

    Args:
        spectra: (signals, frequencies) complex, neighbouring frequencies.
    """
    wide = np.pad(spectra, ((0, 0), (1, 1)))
    return np.asarray(0.5 * spectra - 0.25 * (wide[:, :-2] + wide[:, 2:]))


def band_bins(count: int, rate_hz: float) -> tuple[Array, list[slice], Array]:
    """Frequencies of a window and how they fall into the bands.

    Args:
        count: samples in the window.
        rate_hz: frame rate of the slower camera.

    Returns:
        Indices of the frequencies, slices of them per band, and the frequencies in hertz.
    """
    frequencies = np.fft.rfftfreq(count, SAMPLE_NS / 1e9)
    highest = _NYQUIST_SHARE * rate_hz
    bins: list[Array] = []
    slices: list[slice] = []
    for low, high in itertools.pairwise(BANDS_HZ):
        inside = np.flatnonzero((frequencies >= low) & (frequencies < min(high, highest)))
        if len(inside) > 1:
            start = sum(len(earlier) for earlier in bins)
            bins.append(inside)
            slices.append(slice(start, start + len(inside)))
    chosen = np.concatenate(bins) if bins else np.zeros(0, np.int64)
    return chosen, slices, frequencies[chosen]


def correlations(first: Array, second: Array, frequencies: Array, slices: list[slice],
                 delays_ms: Array) -> tuple[Array, Array]:
    """Correlation of each pair of signals in each band at each delay, and its number of values.

    Args:
        first: (signals, frequencies) complex spectra.
        second: the same of the other camera, whose signals come `delay` later.
        frequencies: (frequencies,) hertz.
        slices: which frequencies belong to each band.
        delays_ms: (delays,) milliseconds.

    Returns:
        (bands, signals, delays) float32, -1 to 1; (bands, signals) float32 independent values.
    """
    cross = np.conj(first) * second
    phase = (2e-3 * np.pi) * frequencies[:, None] * delays_ms[None]
    cosine, sine = np.cos(phase).astype(np.float32), np.sin(phase).astype(np.float32)
    found, counts = [], []
    for band in slices:
        energy = np.sqrt((np.abs(first[:, band]) ** 2).sum(axis=1)
                         * (np.abs(second[:, band]) ** 2).sum(axis=1)) + 1e-20
        part = cross[:, band]
        power = np.abs(part)
        # Twice, because the power of noise itself varies as an exponential distribution does. The
        # geometric mean with the width of the band keeps some faith in what is strong and narrow.
        filled = 2 * power.sum(axis=1) ** 2 / ((power ** 2).sum(axis=1) + 1e-20)
        counts.append(2 * np.sqrt(np.minimum(filled, part.shape[1]) * part.shape[1]))
        found.append((np.ascontiguousarray(part.real) @ cosine[band]
                      - np.ascontiguousarray(part.imag) @ sine[band]) / energy[:, None])
    return np.stack(found), np.stack(counts)


def log_likelihood(correlation: Array) -> Array:
    """-log(1 - r^2) of correlations, 0 where they are negative."""
    r = np.clip(correlation, 0, _MAX_R)
    return np.asarray(-np.log1p(-r * r))
