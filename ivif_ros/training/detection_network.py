# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The network of our detector: an ultralytics model of our own layout, and its files.

ultralytics is loaded when a network is made or a file is read; nothing else of the package needs
it.
"""

from __future__ import annotations

import copy
import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from ivif_ros.detection.isolation import go_offline, process_settings_kept
from ivif_ros.errors import MissingDependencyError, OutputError, WeightsError
from ivif_ros.training.checkpoint import write_atomically
from ivif_ros.training.data.detection import PADDING
from ivif_ros.training.data.labelled import CLASSES
from ivif_ros.training.yolox_weights import load_yolox
from ivif_ros.types import Array, Detections, Size

STRIDE = 32
"""Sides of images that the network takes are multiples of this."""

LICENCE = ('Apache-2.0 (started from YOLOX-nano, Apache-2.0); trained and exported with '
           'ultralytics, AGPL-3.0')
"""What an exported file says of its origin."""

WIDTH = 16
"""Channels of the first layer; all others are multiples of it."""


def layout(width: int = WIDTH) -> dict[str, Any]:
    """Describe the network in the words of ultralytics.

    That of YOLOX-nano (Ge et al. 2021): CSPDarknet, features down and up again at strides of 8, 16
    and 32 pixels, and separate towers for class and box, all 3x3 convolutions depthwise. What the
    words of ultralytics do not say (depthwise convolutions inside of blocks, the towers) is put in
    by `build_network`; the boxes are distributions over distances, as in YOLOv8.

    Args:
        width: channels of the first layer.
    """
    p1, p2, p3, p4, p5 = (width * factor for factor in (1, 2, 4, 8, 16))
    return {
        'nc': len(CLASSES),
        'backbone': [
            [-1, 1, 'Focus', [p1, 3]],
            [-1, 1, 'DWConv', [p1, 3, 2]],
            [-1, 1, 'Conv', [p2, 1, 1]],
            [-1, 1, 'C3', [p2]],
            [-1, 1, 'DWConv', [p2, 3, 2]],
            [-1, 1, 'Conv', [p3, 1, 1]],
            [-1, 3, 'C3', [p3]],               # 6: stride 8
            [-1, 1, 'DWConv', [p3, 3, 2]],
            [-1, 1, 'Conv', [p4, 1, 1]],
            [-1, 3, 'C3', [p4]],               # 9: stride 16
            [-1, 1, 'DWConv', [p4, 3, 2]],
            [-1, 1, 'Conv', [p5, 1, 1]],
            [-1, 1, 'SPP', [p5, [5, 9, 13]]],
            [-1, 1, 'C3', [p5, False]],        # 13: stride 32
        ],
        'head': [
            [-1, 1, 'Conv', [p4, 1, 1]],       # 14
            [-1, 1, 'nn.Upsample', [None, 2, 'nearest']],
            [[-1, 9], 1, 'Concat', [1]],
            [-1, 1, 'C3', [p4, False]],
            [-1, 1, 'Conv', [p3, 1, 1]],       # 18
            [-1, 1, 'nn.Upsample', [None, 2, 'nearest']],
            [[-1, 6], 1, 'Concat', [1]],
            [-1, 1, 'C3', [p3, False]],        # 21: stride 8
            [-1, 1, 'DWConv', [p3, 3, 2]],
            [-1, 1, 'Conv', [p3, 1, 1]],
            [[-1, 18], 1, 'Concat', [1]],
            [-1, 1, 'C3', [p4, False]],        # 25: stride 16
            [-1, 1, 'DWConv', [p4, 3, 2]],
            [-1, 1, 'Conv', [p4, 1, 1]],
            [[-1, 14], 1, 'Concat', [1]],
            [-1, 1, 'C3', [p5, False]],        # 29: stride 32
            [21, 1, 'Conv', [p3, 1, 1]],
            [25, 1, 'Conv', [p3, 1, 1]],
            [29, 1, 'Conv', [p3, 1, 1]],
            [[30, 31, 32], 1, 'Detect', ['nc']],
        ]}


def build_network(width: int = WIDTH) -> nn.Module:
    """Make the network with fresh weights, from PyTorch's default generator.

    Raises:
        MissingDependencyError: ultralytics is not installed.
    """
    with process_settings_kept():
        try:
            go_offline()
            from ultralytics.cfg import get_cfg
            from ultralytics.nn.tasks import DetectionModel
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                f'training of the detector needs the Python package {error.name}, which is not '
                f'installed: pip install {error.name}') from error
        network: nn.Module = DetectionModel(layout(width), ch=3, nc=len(CLASSES), verbose=False)
        network.args = get_cfg()    # type: ignore[assignment]
        network.names = dict(enumerate(CLASSES))    # type: ignore[assignment]
        _make_depthwise(network)
    for name, parameter in network.named_parameters():
        # The weights of the expected value of a distribution are 0, 1, 2, ...: nothing to learn.
        parameter.requires_grad_('.dfl.' not in name)
    return network


def _make_depthwise(network: nn.Module) -> None:
    """Put depthwise convolutions into the blocks, and towers of them into the head."""
    from ultralytics.nn.modules import C3, Conv, Detect, DWConv
    from ultralytics.utils.torch_utils import initialize_weights

    def separable(channels: int, out: int) -> nn.Sequential:
        return nn.Sequential(DWConv(channels, out, 3), Conv(out, out, 1))

    def tower(channels: int, width: int, out: int) -> nn.Sequential:
        return nn.Sequential(separable(channels, width), separable(width, width),
                             nn.Conv2d(width, out, 1))

    for block in network.modules():
        if isinstance(block, C3):
            for bottleneck in block.m:
                channels = bottleneck.cv2.conv.out_channels
                bottleneck.cv2 = separable(channels, channels)
        elif isinstance(block, Detect):
            sides = [one[0].conv.in_channels for one in block.cv2]
            block.cv2 = nn.ModuleList(tower(side, side, 4 * block.reg_max) for side in sides)
            # Twice as wide: what is an object, and which one it is.
            block.cv3 = nn.ModuleList(tower(side, 2 * side, block.nc) for side in sides)
            block.bias_init()
    initialize_weights(network)


def save_network(path: Path, network: nn.Module, training: Mapping[str, Any]) -> None:
    """Write a file that ultralytics loads: the network in half precision, and how it was made.

    Args:
        path: file, `.pt`.
        network: what `build_network` made.
        training: plain values that say how it was trained.

    Raises:
        OutputError: the file cannot be written.
    """
    kept = copy.deepcopy(network).cpu().half().to(memory_format=torch.contiguous_format).eval()
    kept.requires_grad_(False)
    kept.args = {'task': 'detect', 'imgsz': 640}    # type: ignore[assignment]
    kept.criterion = None    # type: ignore[assignment]
    write_atomically(path, lambda part: torch.save(
        {'model': kept, 'train_args': {'task': 'detect', 'imgsz': 640}, 'training': dict(training)},
        part))


def read_network(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Read what `save_network` wrote, in float32.

    Returns:
        The network, and how it was trained.

    Raises:
        WeightsError: a file that is missing, damaged, of something else, or of other classes.
        MissingDependencyError: ultralytics is not installed.
    """
    if not path.is_file():
        raise WeightsError(f"detector weights '{path}' do not exist; python -m "
                           'ivif_ros.training.detector makes some')
    build_network()    # says what is missing, and lets no foreign code run
    from ultralytics.nn.tasks import load_checkpoint

    try:
        with process_settings_kept():
            network, content = load_checkpoint(path, inplace=False)
    except Exception as error:  # ultralytics has no type of its own for "cannot load this"
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(f"detector weights '{path}' cannot be loaded: {reason}") from error
    names = tuple(getattr(network, 'names', {}).values())
    if names != CLASSES:
        raise WeightsError(
            f"detector weights '{path}' find {', '.join(map(str, names[:6]))}, expected "
            f"{', '.join(CLASSES)}: weights of another class set cannot be used here")
    return network, dict(content.get('training') or {})


def start_from(network: nn.Module, path: Path) -> None:
    """Load the weights of a file into a network, in place.

    Args:
        network: what `build_network` made.
        path: what `save_network` wrote, or an ONNX file of YOLOX-nano.

    Raises:
        WeightsError: as `read_network`, or weights of another layout.
        MissingDependencyError: as `read_network`.
    """
    if path.suffix == '.onnx':
        load_yolox(network, path)
        return
    found, _ = read_network(path)
    try:
        network.load_state_dict(found.state_dict())
    except RuntimeError as error:
        raise WeightsError(f"detector weights '{path}' are of another layout: "
                           f"{' '.join(str(error).split())[:200]}") from error


def export_onnx(weights: Path, path: Path, size: Size = (640, 480)) -> None:
    """Write a detector as ONNX, with class names inside, for `detection.weights`.

    Args:
        weights: what `save_network` wrote.
        path: `.onnx` file to make or replace.
        size: width and height of the input in pixels, multiples of 32.

    Raises:
        WeightsError: as `read_network`.
        OutputError: the export fails, or the file cannot be written.
        MissingDependencyError: ultralytics or onnx is not installed.
    """
    _, training = read_network(weights)
    if importlib.util.find_spec('onnx') is None:
        raise MissingDependencyError('export needs the Python package onnx, which is not '
                                     'installed: pip install onnx')
    import onnx

    with process_settings_kept():
        from ultralytics import YOLO

        try:
            made = Path(YOLO(str(weights), task='detect').export(
                format='onnx', imgsz=[size[1], size[0]], simplify=False, device='cpu',
                verbose=False))
        except Exception as error:  # neither has an own type for "cannot export this"
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise OutputError(f"'{weights}' cannot be exported: {reason}") from error
    model = onnx.load(str(made))
    made.unlink()
    # ultralytics writes its own name and licence into what it exports, and the time.
    own = {'description': 'detector of ivif_ros', 'author': 'ivif_ros contributors',
           'license': LICENCE, 'training': json.dumps(training, default=str)}
    onnx.helper.set_model_props(model, {
        **{item.key: item.value for item in model.metadata_props
           if item.key not in ('date', 'docs')}, **own})
    content = model.SerializeToString()
    write_atomically(path, lambda part: part.write_bytes(content))


@torch.no_grad()
def find_objects(network: nn.Module, images: Sequence[Array], side: int = 640,
                 confidence: float = 0.001) -> list[Detections]:
    """Find objects as ultralytics does at run time, one image after the other.

    Args:
        network: what `build_network` made, in `eval` mode.
        images: (H, W, 3) uint8 BGR.
        side: longer side of the input in pixels.
        confidence: smallest score.

    Returns:
        Boxes in pixels of each image, best score first.
    """
    from ultralytics.utils.nms import non_max_suppression

    device = next(network.parameters()).device
    found = []
    for image in images:
        tensor, scale, offset = _letterbox(image, side)
        prediction = network(tensor.to(device))
        table = non_max_suppression(prediction, confidence, 0.5)[0].float().cpu().numpy()
        high, wide = image.shape[:2]
        boxes = ((table[:, :4] - (offset + offset)) / scale).clip(0, (wide, high) * 2)
        found.append(Detections(boxes, table[:, 4], table[:, 5], dict(enumerate(CLASSES))))
    return found


def _letterbox(image: Array, side: int) -> tuple[Tensor, float, Size]:
    """Resize to a longer side and pad to multiples of STRIDE.

    Returns:
        (1, 3, h, w) float32 RGB in 0..1, the scale, and columns and rows before the image.
    """
    scale = side / max(image.shape[:2])
    high, wide = (round(length * scale) for length in image.shape[:2])
    resized = cv2.resize(image, (wide, high), interpolation=cv2.INTER_LINEAR)
    top, left = (-length % STRIDE // 2 for length in (high, wide))
    padded = np.full((high + -high % STRIDE, wide + -wide % STRIDE, 3), PADDING, np.uint8)
    padded[top:top + high, left:left + wide] = resized
    planes = torch.from_numpy(np.ascontiguousarray(padded[..., ::-1].transpose(2, 0, 1)))
    return planes[None].float() / 255, scale, (left, top)
