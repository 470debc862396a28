# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters: their description and their values."""

from ivif_ros.parameters.groups import (
    DetectionParameters,
    FusionParameters,
    HealthParameters,
    OutputParameters,
    Parameters,
    RegistrationParameters,
    SyncParameters,
    ThermalParameters,
)
from ivif_ros.parameters.spec import ParameterSpec, from_dict, replace, specs, to_dict

__all__ = [
    'DetectionParameters', 'FusionParameters', 'HealthParameters', 'OutputParameters', 'Parameters',
    'ParameterSpec', 'RegistrationParameters', 'SyncParameters', 'ThermalParameters', 'from_dict',
    'replace', 'specs', 'to_dict']
