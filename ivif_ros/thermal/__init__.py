# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Raw thermal images: to 8 bits, to degrees Celsius, and frozen cameras."""

from ivif_ros.thermal.freeze import FreezeDetector, FreezeState
from ivif_ros.thermal.normalise import ThermalNormaliser
from ivif_ros.thermal.temperature import celsius

__all__ = ['FreezeDetector', 'FreezeState', 'ThermalNormaliser', 'celsius']
