# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Rigs that several tests look at; painting one takes a second."""

from collections.abc import Callable

import pytest

from ivif_ros.simulation import RigConfig, SimulatedRig

Rigs = Callable[..., SimulatedRig]


@pytest.fixture(scope='session')
def rigs() -> Rigs:
    """Give a rig for a configuration, painted once per session."""
    known: dict[RigConfig, SimulatedRig] = {}

    def get(**settings: object) -> SimulatedRig:
        config = RigConfig(**settings)  # type: ignore[arg-type]
        if config not in known:
            known[config] = SimulatedRig(config)
        return known[config]

    return get
