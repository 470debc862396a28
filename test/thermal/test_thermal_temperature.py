# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Counts to degrees Celsius."""

import numpy as np
import pytest

from ivif_ros.errors import ParameterError
from ivif_ros.parameters import ThermalParameters
from ivif_ros.thermal import celsius


@pytest.mark.parametrize(('scale', 'offset', 'counts', 'degrees'), [
    (0.04, -273.15, 7329, 20.01), (0.01, -273.15, 31015, 37.0), (0.1, -40.0, 0, -40.0)])
def test_counts(scale, offset, counts, degrees):
    params = ThermalParameters(celsius_scale=scale, celsius_offset=offset)
    out = celsius(np.full((2, 3), counts, np.uint16), params)
    assert out.dtype == np.float32
    assert out.shape == (2, 3)
    assert out == pytest.approx(degrees, abs=1e-3)


def test_float_images():
    kelvin = np.array([[273.15, np.nan, 310.15]], np.float32)
    out = celsius(kelvin, ThermalParameters(celsius_scale=1.0))
    assert out[0, [0, 2]] == pytest.approx([0.0, 37.0], abs=1e-3)
    assert np.isnan(out[0, 1])
    degrees = np.array([[21.5]], np.float32)
    out = celsius(degrees, ThermalParameters())
    assert out == degrees
    assert not np.shares_memory(out, degrees)


def test_counts_without_scale_are_refused():
    with pytest.raises(ParameterError, match=r'thermal\.celsius_scale'):
        celsius(np.zeros((2, 2), np.uint16), ThermalParameters())
