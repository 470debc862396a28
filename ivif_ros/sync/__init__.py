# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairing of the two cameras in time."""

from ivif_ros.sync.matcher import LOSSES, PairMatcher
from ivif_ros.sync.offset import OffsetEstimate, OffsetEstimator
from ivif_ros.sync.period import PeriodEstimator
from ivif_ros.sync.synchroniser import Synchroniser

__all__ = ['LOSSES', 'OffsetEstimate', 'OffsetEstimator', 'PairMatcher', 'PeriodEstimator',
           'Synchroniser']
