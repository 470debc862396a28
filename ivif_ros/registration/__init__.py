# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Geometry between the cameras: calibration, deformation, refinement, tracking over time."""

from ivif_ros.registration.calibration import Calibration, fitted_deformation
from ivif_ros.registration.calibration_reader import load_calibration
from ivif_ros.registration.calibration_writer import save_calibration
from ivif_ros.registration.estimate import Estimate, Estimator
from ivif_ros.registration.maps import dense_confidence, dense_map, points_to_thermal, rescaled
from ivif_ros.registration.rig import calibrated_deformation
from ivif_ros.registration.tracker import DeformationTracker, SynchronousExecutor
from ivif_ros.registration.warp import Warper

__all__ = [
    'Calibration', 'DeformationTracker', 'Estimate', 'Estimator', 'SynchronousExecutor', 'Warper',
    'calibrated_deformation', 'dense_confidence', 'dense_map', 'fitted_deformation',
    'load_calibration', 'points_to_thermal', 'rescaled', 'save_calibration']
