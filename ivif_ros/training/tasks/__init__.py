# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Task networks: what sees fused images, and whose loss teaches TDFusion. The modules load late."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ivif_ros.errors import IvifError, ParameterError

if TYPE_CHECKING:
    from ivif_ros.training.tasks.base import TaskNetwork

TASKS = {
    'detection': 'ivif_ros.training.tasks.detection:UltralyticsTask',
    'segmentation': 'ivif_ros.training.tasks.segmentation:Segmenter',
}
"""Name -> module and class."""


def build_task(name: str, **config: Any) -> TaskNetwork:
    """Make a task network.

    Args:
        name: a name of TASKS.
        config: keyword arguments of its constructor.

    Raises:
        ParameterError: unknown name, or a configuration that the task does not take.
        IvifError: weights or a package that the task needs are missing or do not fit.
    """
    if name not in TASKS:
        raise ParameterError(f"unknown task '{name}', expected one of {', '.join(TASKS)}")
    module, _, cls = TASKS[name].partition(':')
    try:
        task: TaskNetwork = getattr(importlib.import_module(module), cls)(**config)
    except IvifError:
        raise    # some of them are ValueErrors, too
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"task '{name}' does not take the configuration {config}: {error}") from error
    return task
