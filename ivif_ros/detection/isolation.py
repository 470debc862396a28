# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Keep the packages that run detectors off the network and out of the settings of the process.

Without this, ultralytics looks for updates, installs packages and sends statistics, and ONNX
Runtime and OpenVINO send statistics as soon as they are imported. A robot wants none of that.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import torch

OFFLINE = {
    # ultralytics: no network, no installation of packages, no log below errors.
    'YOLO_OFFLINE': 'true', 'YOLO_AUTOINSTALL': 'false', 'YOLO_VERBOSE': 'false',
    # ONNX Runtime: no statistics, no device id; which name counts depends on the release.
    'ORT_DISABLE_TELEMETRY': '1', 'ORT_TELEMETRY_DISABLED': '1',
}
"""Environment that is set before the packages are imported."""

SAFE_LOAD = 'ULTRALYTICS_SAFE_LOAD'
"""With this variable a .pt file may hold known classes only: loading it runs no foreign code.

Older releases of ultralytics do not know it; give them files from trusted people only.
"""


def go_offline() -> None:
    """Switch off everything that detector packages do over the network."""
    os.environ.update(OFFLINE)
    os.environ.setdefault(SAFE_LOAD, 'true')
    # OpenVINO knows no variable for this, but does without statistics where the package that sends
    # them is not installed; None in this table means exactly that.
    sys.modules.setdefault('openvino_telemetry', None)  # type: ignore[arg-type]
    from ultralytics import SETTINGS

    # Covers a process that had imported ultralytics before. The setter of SETTINGS itself would
    # write the value into the user's settings file.
    dict.__setitem__(SETTINGS, 'sync', False)
    if os.environ[SAFE_LOAD].lower() in ('true', '1'):
        for name in ('ultralytics.utils', 'ultralytics.nn.tasks'):
            module = sys.modules.get(name)
            if hasattr(module, 'SAFE_LOAD'):
                setattr(module, 'SAFE_LOAD', True)  # noqa: B010 (a type checker knows none)


@contextmanager
def process_settings_kept() -> Iterator[None]:
    """Put back what the import of ultralytics and its loading of a model change in the process.

    Those are the threads of OpenCV and PyTorch (set to one) and the way NumPy prints numbers.
    """
    threads, cv_threads = torch.get_num_threads(), cv2.getNumThreads()
    omp_threads, printing = os.environ.get('OMP_NUM_THREADS'), np.get_printoptions()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(cv_threads)
        np.set_printoptions(**printing)
        if omp_threads is None:
            os.environ.pop('OMP_NUM_THREADS', None)


@contextmanager
def onnxruntime_threads(count: int) -> Iterator[None]:
    """Let ONNX Runtime sessions that are made inside use few threads, which sleep when idle.

    By default they use all cores and go on spinning for a while after each image, at the cost of
    whatever else the machine is to do. ultralytics passes no options on.

    Args:
        count: threads; 0 leaves the default.
    """
    if not count or importlib.util.find_spec('onnxruntime') is None:
        yield
        return
    os.environ.update(OFFLINE)
    import onnxruntime

    original = onnxruntime.InferenceSession

    class Session(original):    # type: ignore[misc,valid-type]
        def __init__(self, model: Any, sess_options: Any = None, *args: Any, **named: Any) -> None:
            options = sess_options or onnxruntime.SessionOptions()
            options.intra_op_num_threads = count
            options.add_session_config_entry('session.intra_op.allow_spinning', '0')
            super().__init__(model, options, *args, **named)

    onnxruntime.InferenceSession = Session
    try:
        yield
    finally:
        onnxruntime.InferenceSession = original
