# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Models for the tests of the detector."""

from pathlib import Path

import pytest


@pytest.fixture(scope='session')
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of a small model with three classes and random weights: its boxes are many and wrong."""
    pytest.importorskip('ultralytics')
    import torch

    from ivif_ros.detection.isolation import go_offline, process_settings_kept

    folder = tmp_path_factory.mktemp('weights')
    (folder / 'yolov8n.yaml').write_text(
        'nc: 3\nscales:\n  n: [0.33, 0.10, 256]\n'
        'backbone:\n'
        '  - [-1, 1, Conv, [64, 3, 2]]\n'
        '  - [-1, 1, Conv, [128, 3, 2]]\n'
        '  - [-1, 1, Conv, [256, 3, 2]]\n'
        'head:\n'
        '  - [-1, 1, Conv, [256, 3, 1]]\n'
        '  - [[3], 1, Detect, [nc]]\n')
    with process_settings_kept():
        go_offline()
        from ultralytics import YOLO

        torch.manual_seed(0)
        model = YOLO(str(folder / 'yolov8n.yaml'), task='detect')
        model.model.names = {0: 'person', 1: 'bicycle', 2: 'car'}
        path = folder / 'untrained.pt'
        model.save(path)
    return path
