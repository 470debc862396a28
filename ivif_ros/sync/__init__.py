# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairing of the two cameras in time."""

from ivif_ros.sync.matcher import LOSSES, PairMatcher
from ivif_ros.sync.period import PeriodEstimator

__all__ = ['LOSSES', 'PairMatcher', 'PeriodEstimator']
