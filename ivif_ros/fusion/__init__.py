# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Two registered images become one; PyTorch loads with the first use of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ivif_ros.fusion.engine import FusionEngine

__all__ = ['FusionEngine']


def __getattr__(name: str) -> Any:
    """Load the engine, and PyTorch with it, when it is asked for."""
    if name == 'FusionEngine':
        from ivif_ros.fusion.engine import FusionEngine

        return FusionEngine
    raise AttributeError(f"module 'ivif_ros.fusion' has no attribute '{name}'")
