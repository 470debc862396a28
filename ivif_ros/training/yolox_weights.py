# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A start for the detector: YOLOX-nano, trained on COCO by its authors.

YOLOX (Ge et al. 2021, https://github.com/Megvii-BaseDetection/YOLOX) and its weights are under
Apache-2.0. Its ONNX file holds convolutions into which the batch normalisations have been folded,
in the order in which they are run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ivif_ros.errors import MissingDependencyError, WeightsError
from ivif_ros.training.data.labelled import CLASSES
from ivif_ros.training.data.labelled_streets import labelled_instant
from ivif_ros.training.data.simulated import first_seed, street_rig
from ivif_ros.training.data.views import PairViews

COCO_ROWS = (0, 1, 2)
"""Of the classes of COCO: person, bicycle, car, as in CLASSES."""
_WHITE = 255.0
_STREETS = 3
_LEVELS = 3
_HEAD = 12
"""Convolutions of YOLOX at each level: stem, towers of two pairs, class, box and object."""


def load_yolox(network: nn.Module, path: Path) -> None:
    """Load what a YOLOX-nano has learned into our network, in place.

    The first convolution is changed from BGR in 0..255 to RGB in 0..1. Simulated streets serve to
    take apart the batch normalisations, which the file has folded into the convolutions, so that
    the network computes the same in training and in use, and to fit the distributions of the boxes,
    which YOLOX does not have, to its boxes.

    Args:
        network: what `detection_network.build_network` made, 16 channels wide.
        path: ONNX file of YOLOX-nano.

    Raises:
        WeightsError: a file that is missing, damaged or of another network.
        MissingDependencyError: onnx is not installed.
    """
    found = _read(path)
    *body, head = network.model    # type: ignore[misc]
    layers = [*_in_order(body[:-_LEVELS])]
    try:
        with torch.no_grad():
            for layer, (weight, bias) in zip(layers, found, strict=False):
                _fill(layer, weight, bias)
            rest = found[len(layers):]
            if len(rest) != _LEVELS * _HEAD:
                raise ValueError(f'its head has {len(rest)} convolutions, expected '
                                 f'{_LEVELS * _HEAD}')
            for level, stem in enumerate(body[-_LEVELS:]):
                _fill_head(stem, head.cv2[level], head.cv3[level],    # type: ignore[union-attr]
                           rest[level * _HEAD:(level + 1) * _HEAD])
    except (ValueError, IndexError, RuntimeError) as error:
        raise WeightsError(f"'{path}' is not a YOLOX-nano for {len(CLASSES)} or more classes: "
                           f"{' '.join(str(error).split())[:200]}") from error
    images = _streets()
    _split_normalisations(network, images)
    for level in range(_LEVELS):
        _fit_boxes(network, level, *rest[level * _HEAD + 10], images)


def _read(path: Path) -> list[tuple[Tensor, Tensor]]:
    """Weights and biases of all convolutions of an ONNX file, in the order of its graph."""
    try:
        import onnx
        from onnx import numpy_helper
    except ModuleNotFoundError as error:
        raise MissingDependencyError('reading ONNX weights needs the Python package onnx, which is '
                                     'not installed: pip install onnx') from error
    if not path.is_file():
        raise WeightsError(f"detector weights '{path}' do not exist")
    try:
        graph = onnx.load(str(path)).graph
        values = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
        found = [[values[name] for name in node.input[1:3]]
                 for node in graph.node if node.op_type == 'Conv']
        return [(torch.from_numpy(np.array(weight)), torch.from_numpy(np.array(bias)))
                for weight, bias in found]
    except Exception as error:  # onnx passes on what protobuf raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(f"detector weights '{path}' cannot be read: {reason}") from error


def _in_order(body: list[nn.Module]) -> Iterator[nn.Module]:
    """Our layers before the head, in the order in which YOLOX runs its own."""
    from ultralytics.nn.modules import C3, SPP, Conv, Focus

    for layer in body:
        if isinstance(layer, Focus):
            yield layer.conv
        elif isinstance(layer, C3):
            yield from (layer.cv1, layer.cv2)
            for bottleneck in layer.m:
                yield from (bottleneck.cv1, *bottleneck.cv2)
            yield layer.cv3
        elif isinstance(layer, SPP):
            yield from (layer.cv1, layer.cv2)
        elif isinstance(layer, Conv):
            yield layer


def _fill(layer: Any, weight: Tensor, bias: Tensor) -> None:
    """Set a convolution and the normalisation after it, which then only adds the bias."""
    conv, norm = layer.conv, layer.bn
    if conv.in_channels == 12:    # Focus: four neighbours of three colours
        n, _, high, wide = weight.shape
        weight = _WHITE * weight.view(n, 4, 3, high, wide).flip(2).reshape(n, 12, high, wide)
    if conv.weight.shape != weight.shape:
        raise ValueError(f'a convolution is {tuple(weight.shape)}, expected '
                         f'{tuple(conv.weight.shape)}')
    conv.weight.copy_(weight)
    norm.bias.copy_(bias)
    norm.weight.copy_((norm.running_var + norm.eps).sqrt())
    norm.running_mean.zero_()


def _fill_head(stem: nn.Module, boxes: Any, classes: Any,
               found: list[tuple[Tensor, Tensor]]) -> None:
    """Set the head of one level.

    Our tower of the classes holds both of YOLOX, side by side. Its score is a product, class given
    an object times object; of rare things the logarithm of a sigmoid is its argument, so that our
    logit is the sum of both arguments.
    """
    (first, *c), (label, label_bias) = found[:5], found[5]
    r, (known, known_bias) = found[6:10], found[11]
    _fill(stem, *first)
    for index, (class_layer, box_layer) in enumerate(zip(c, r, strict=True)):
        _fill(boxes[index // 2][index % 2], *box_layer)
        weight, bias = (torch.cat(pair) for pair in zip(class_layer, box_layer, strict=True))
        if index == 0:    # Each channel of the stem gives two.
            weight, bias = (value.unflatten(0, (2, -1)).transpose(0, 1).flatten(0, 1)
                            for value in (weight, bias))
        elif index == 1:
            weight = torch.stack([torch.stack([class_layer[0], box_layer[0] * 0], 2),
                                  torch.stack([class_layer[0] * 0, box_layer[0]], 2)])
            weight = weight.flatten(0, 1).flatten(1, 2)
        elif index == 3:
            weight = torch.block_diag(class_layer[0][..., 0, 0], box_layer[0][..., 0, 0])
            weight = weight[..., None, None]
        _fill(classes[index // 2][index % 2], weight, bias)
    rows = list(COCO_ROWS)
    classes[2].weight.copy_(torch.cat([label[rows], known.expand(len(rows), -1, -1, -1)], 1))
    classes[2].bias.copy_(label_bias[rows] + known_bias)


def _streets() -> Tensor:
    """Fused, RGB and thermal images (n, 3, h, w) float32 RGB in 0..1 of simulated streets."""
    views = PairViews()
    first = first_seed('train')
    pairs = [labelled_instant(street_rig(seed), 1.0) for seed in range(first, first + _STREETS)]
    images = [views.make(name, pair.visible, pair.thermal) for pair in pairs
              for name in ('fused', 'rgb', 'thermal')]
    return torch.stack([torch.from_numpy(image[..., ::-1].transpose(2, 0, 1).copy())
                        for image in images]).float() / _WHITE


@torch.no_grad()
def _split_normalisations(network: nn.Module, images: Tensor) -> None:
    """Give all normalisations the statistics of images, without a change of what comes out."""
    def split(norm: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        bias = norm.bias - norm.running_mean * norm.weight / (norm.running_var + norm.eps).sqrt()
        variance, mean = torch.var_mean(inputs[0], (0, 2, 3))
        # What hardly ever differs in these images may do so in others.
        variance = torch.maximum(variance, 0.01 * variance.mean())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(bias + mean)

    _watch(network, images, [norm for norm in network.modules()
                             if isinstance(norm, nn.BatchNorm2d)], split)


@torch.no_grad()
def _fit_boxes(network: nn.Module, level: int, weight: Tensor, bias: Tensor,
               images: Tensor) -> None:
    """Let the distributions of a level say what the boxes of YOLOX say, as well as a line can.

    A distribution of bins k that is a Gaussian of deviation 1 around a distance d has the logits
    k d - k²/2, which are linear in d; d is fitted to the features of the tower of the boxes, places
    with objects weighing most.
    """
    head = network.model[-1]    # type: ignore[index]
    boxes, classes = head.cv2[level], head.cv3[level]    # type: ignore[union-attr,index]
    seen: dict[Any, Tensor] = {}
    _watch(network, images, [boxes[2], classes[2]],
           lambda layer, inputs: seen.update({layer: inputs[0]}))
    scores = classes[2](seen[classes[2]]).amax(1).flatten().sigmoid().double()
    found = seen[boxes[2]].permute(0, 2, 3, 1).flatten(0, 2).double()
    x, y, wide, high = (found @ weight[:, :, 0, 0].double().T + bias.double()).unbind(1)
    wide, high = wide.exp() / 2, high.exp() / 2
    bins = head.reg_max    # type: ignore[union-attr]
    # YOLOX counts from the corner of a cell, ultralytics from its centre.
    distances = torch.stack([0.5 - x + wide, 0.5 - y + high, x - 0.5 + wide, y - 0.5 + high], 1)
    inputs = torch.cat([found, torch.ones_like(found[:, :1])], 1)
    weighted = inputs * (scores + 1e-4)[:, None]
    ridge = 1e-4 * weighted.T.mul(inputs.T).sum(1).mean() * torch.eye(inputs.shape[1]).double()
    line = torch.linalg.solve(weighted.T @ inputs + ridge,
                              weighted.T @ distances.clamp(0, bins - 1.01))
    k = torch.arange(bins).double()
    planes = (k[None, :, None] * line.T[:, None]).flatten(0, 1)
    boxes[2].weight.copy_(planes[:, :-1, None, None])
    boxes[2].bias.copy_(planes[:, -1] - (k * k / 2).repeat(4))


def _watch(network: nn.Module, images: Tensor, layers: list[nn.Module],
           look: Callable[[Any, tuple[Tensor, ...]], None]) -> None:
    """Run the network on images; `look` gets each of the layers with its inputs."""
    training = network.training
    network.eval()
    hooks = [layer.register_forward_pre_hook(look) for layer in layers]
    network(images)
    for hook in hooks:
        hook.remove()
    network.train(training)
