# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks in files: conventions, sizes, errors, the engine and the command line on top.

The ONNX files are small graphs written here node by node, so that each result can be computed by
hand.
"""

import builtins
import json
import warnings

import cv2
import numpy as np
import pytest
import torch

from ivif_ros.cli.main import main
from ivif_ros.errors import MissingDependencyError, ParameterError
from ivif_ros.fusion import FusionEngine, external, registry
from ivif_ros.fusion.convention import Convention, detect
from ivif_ros.fusion.registry import MethodOptions
from ivif_ros.parameters import FusionParameters

onnx = pytest.importorskip('onnx', reason='onnx is not installed')
pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
H, W = 'h', 'w'


def number(name, value, kind=np.float32):
    return onnx.numpy_helper.from_array(np.asarray(value, kind), name)


def node(op, inputs, output, **attributes):
    return onnx.helper.make_node(op, inputs.split(), [output], **attributes)


def write_onnx(path, nodes, inputs, outputs=(('fused', (1, 1, H, W)),), numbers=(), kind=1,
               declared=None):
    """Write a model; inputs and outputs are (name, shape)."""
    values = [[onnx.helper.make_tensor_value_info(name, kind, shape) for name, shape in group]
              for group in (inputs, outputs)]
    graph = onnx.helper.make_graph(nodes, 'fusion', *values, initializer=list(numbers))
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid('', 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    declare(path, declared)
    return path


def declare(path, values):
    if values is not None:
        path.with_name(path.name + '.yaml').write_text(json.dumps(values))


def one(channels=1, h=H, w=W):
    return (1, channels, h, w)


def mix(path, names=('visible', 'thermal'), shape=None, **more):
    """Three quarters of the input with the first name and a quarter of the other."""
    first, second = names
    shape = shape or one()
    return write_onnx(
        path, [node('Mul', f'{first} much', 'm'), node('Mul', f'{second} little', 'n'),
               node('Add', 'm n', 'fused')],
        [(first, shape), (second, shape)], [('fused', shape)],
        [number('much', 0.75), number('little', 0.25)], **more)


def script(path, module, *shapes, declared=None):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')   # of what is old, and of decisions by shape
        traced = torch.jit.trace(module, tuple(torch.rand(shape) for shape in shapes))
    traced.save(str(path))
    declare(path, declared)
    return path


def load(path, device='cpu'):
    kind = 'onnx' if path.suffix == '.onnx' else 'torchscript'
    return registry.create(f'{kind}:{path}', MethodOptions(device))


def planes(height=40, width=57, channels=1):
    rng = np.random.default_rng(2)
    return (torch.from_numpy(rng.random((1, channels, height, width), np.float32)),
            torch.from_numpy(rng.random((1, 1, height, width), np.float32)))


def error(path, match):
    with pytest.raises(ParameterError, match=match) as caught:
        load(path)
    text = str(caught.value)
    assert path.name in text
    assert '\n' not in text
    return text


# ---- what comes in and goes out


@pytest.mark.parametrize(('names', 'first'), [
    (('visible', 'thermal'), 'visible'), (('input_ir', 'input_vis'), 'thermal'),
    (('infrared', 'x'), 'thermal'), (('a', 'b'), 'visible'), (('vi', 'ir'), 'visible')])
def test_two_inputs_are_told_apart_by_their_names(tmp_path, names, first):
    method = load(mix(tmp_path / 'x.onnx', names))
    visible, thermal = planes()
    order = (visible, thermal) if first == 'visible' else (thermal, visible)
    assert (method(visible, thermal, None) - (order[0] * 0.75 + order[1] * 0.25)).abs().max() < 1e-6


def test_the_declaration_wins_over_the_names(tmp_path):
    path = mix(tmp_path / 'x.onnx', declared={'inputs': ['thermal', 'visible']})
    visible, thermal = planes()
    assert (load(path)(visible, thermal, None)
            - (thermal * 0.75 + visible * 0.25)).abs().max() < 1e-6


@pytest.mark.parametrize('inputs', ['visible+thermal', 'thermal+visible'])
def test_one_input_with_two_channels(tmp_path, inputs):
    path = write_onnx(
        tmp_path / 'x.onnx', [node('Slice', 'both start end axis', 'fused')],
        [('both', one(2))], numbers=[number('start', [0], np.int64), number('end', [1], np.int64),
                                     number('axis', [1], np.int64)],
        declared={'inputs': [inputs]})
    visible, thermal = planes()
    expected = visible if inputs.startswith('visible') else thermal
    assert torch.equal(load(path)(visible, thermal, None), expected)


@pytest.mark.parametrize('channels', [4, 6])
def test_colours_and_temperature_as_channels(tmp_path, channels):
    """A convolution picks 0.5 red, 0.3 blue and 0.2 of the last channel."""
    kernel = np.zeros((1, channels, 1, 1))
    kernel[0, [0, 2, channels - 1], 0, 0] = 0.5, 0.3, 0.2
    path = write_onnx(tmp_path / 'x.onnx', [node('Conv', 'image k', 'fused')],
                      [('image', one(channels))], numbers=[number('k', kernel)])
    method = load(path)
    assert method.colour
    visible, thermal = planes(channels=3)
    expected = 0.5 * visible[:, :1] + 0.3 * visible[:, 2:] + 0.2 * thermal
    assert (method(visible, thermal, None) - expected).abs().max() < 1e-6


@pytest.mark.parametrize('order', ['rgb', 'bgr'])
def test_colour_output_becomes_luma(tmp_path, order):
    path = mix(tmp_path / 'x.onnx', shape=one(3),
               declared={'visible': order, 'output': order, 'thermal_channels': 3})
    method = load(path)
    visible, thermal = planes(channels=3)
    luma = sum(visible[:, i:i + 1] * share for i, share in enumerate((0.299, 0.587, 0.114)))
    assert (method(visible, thermal, None) - (0.75 * luma + 0.25 * thermal)).abs().max() < 1e-5
    assert (load(mix(tmp_path / 'y.onnx', shape=one(3)))(visible, thermal, None)
            - (0.75 * luma + 0.25 * thermal)).abs().max() < 1e-5, 'without a declaration too'


@pytest.mark.parametrize(('low', 'high'), [(0, 1), (-1, 1), (0, 255)])
def test_ranges(tmp_path, low, high):
    """The least and greatest of what the network is given are its second and third output."""
    path = write_onnx(
        tmp_path / 'x.onnx',
        [node('Max', 'visible thermal', 'fused'), node('Add', 'fused zero', 'copy')],
        [('visible', one()), ('thermal', one())], [('fused', one()), ('copy', one())],
        [number('zero', 0)], declared={'range': [low, high], 'output_index': 1})
    method = load(path)
    visible, thermal = planes()
    assert (method(visible, thermal, None) - torch.maximum(visible, thermal)).abs().max() < 1e-5
    raw = method.raw(visible, thermal)
    assert low <= raw.min() < raw.max() <= high
    assert raw.max() > high - 0.05 * (high - low)


def test_a_range_of_its_own_for_the_output(tmp_path):
    path = write_onnx(
        tmp_path / 'x.onnx', [node('Max', 'visible thermal', 'x'), node('Mul', 'x s', 'fused')],
        [('visible', one()), ('thermal', one())], numbers=[number('s', 255)],
        declared={'output_range': [0, 255]})
    visible, thermal = planes()
    assert (load(path)(visible, thermal, None)
            - torch.maximum(visible, thermal)).abs().max() < 1e-5


def test_channels_last_layout_is_seen(tmp_path):
    path = mix(tmp_path / 'x.onnx', shape=(1, H, W, 3))
    method = load(path)
    assert method.convention.layout == 'nhwc'
    visible, thermal = planes(channels=3)
    luma = sum(visible[:, i:i + 1] * share for i, share in enumerate((0.299, 0.587, 0.114)))
    assert (method(visible, thermal, None) - (0.75 * luma + 0.25 * thermal)).abs().max() < 1e-5


def test_half_precision_files(tmp_path):
    path = write_onnx(tmp_path / 'x.onnx', [node('Max', 'visible thermal', 'fused')],
                      [('visible', one()), ('thermal', one())], kind=onnx.TensorProto.FLOAT16)
    fused = load(path)(*planes(), None)
    assert fused.dtype == torch.float32
    assert 0 < (fused - torch.maximum(*planes())).abs().max() < 1e-3


def test_torchscript(tmp_path, device):
    class Net(torch.nn.Module):
        def forward(self, ir, vi):
            return ir * 0.25 + vi * 0.75, vi

    path = script(tmp_path / 'x.pt', Net(), one(1, 8, 9), one(1, 8, 9))
    visible, thermal = (plane.to(device) for plane in planes())
    fused = load(path, device)(visible, thermal, None)
    assert (fused - (0.75 * visible + 0.25 * thermal)).abs().max() < 1e-6


# ---- sizes


def test_a_multiple_is_continued_and_cut_off(tmp_path):
    class Halves(torch.nn.Module):
        def forward(self, vi, ir):
            n, c, h, w = vi.shape
            return torch.maximum(vi, ir).reshape(n, c, h // 16, 16, w // 16, 16).reshape(vi.shape)

    path = script(tmp_path / 'x.pt', Halves(), one(1, 32, 48), one(1, 32, 48),
                  declared={'multiple': 16})
    method = load(path)
    for size in ((1, 1), (33, 47), (64, 80)):
        visible, thermal = planes(*size)
        assert torch.equal(method(visible, thermal, None), torch.maximum(visible, thermal))


@pytest.mark.parametrize('declared', [None, {'size': [120, 100]}])
def test_a_fixed_size_is_put_together(tmp_path, declared):
    h, w = (100, 120) if declared is None else (H, W)
    method = load(mix(tmp_path / 'x.onnx', shape=one(1, h, w), declared=declared))
    assert method.convention.fixed == (100, 120)
    for size in ((1, 1), (100, 120), (241, 333)):
        visible, thermal = planes(*size)
        assert (method(visible, thermal, None)
                - (0.75 * visible + 0.25 * thermal)).abs().max() < 1e-6


def test_large_images_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(external, 'memory_budget', lambda _: 2 ** 26)
    method = load(mix(tmp_path / 'x.onnx'))
    visible, thermal = planes(900, 1300)
    assert method._tiling.shape(900, 1300) != (900, 1300)
    assert (method(visible, thermal, None) - (0.75 * visible + 0.25 * thermal)).abs().max() < 1e-6


def pixels(method):
    """Largest square image that is not cut."""
    return max(side for side in range(64, 4096, 64) if method._tiling.shape(side, side)[0] >= side)


def test_tiles_are_smaller_for_networks_that_need_more_memory(tmp_path):
    class Net(torch.nn.Module):
        def __init__(self, features):
            super().__init__()
            self.features = features

        def forward(self, vi, ir):
            return (vi + ir).expand(-1, self.features, -1, -1).mul(0.5).mean(1, keepdim=True)

    sides = [pixels(load(script(tmp_path / f'{n}.pt', Net(n), one(1, 8, 9), one(1, 8, 9))))
             for n in (100, 1600)]
    assert 3.5 < sides[0] / sides[1] < 4.5
    assert sides[1] ** 2 * 1600 * 4 < 512 * 2 ** 20


# ---- what is wrong with a file


def test_a_missing_file(tmp_path):
    with pytest.raises(ParameterError, match=r"onnx:.*none\.onnx': the file does not exist"):
        load(tmp_path / 'none.onnx')


@pytest.mark.parametrize('kind', ['onnx', 'pt'])
@pytest.mark.parametrize('share', [0, 0.5])
def test_a_truncated_file(tmp_path, kind, share):
    path = mix(tmp_path / 'x.onnx') if kind == 'onnx' else script(
        tmp_path / 'x.pt', torch.nn.Conv2d(2, 1, 1), one(2, 8, 8))
    whole = path.read_bytes()
    path.write_bytes(whole[:int(share * len(whole))])
    error(path, 'damaged, or no')


def test_three_inputs(tmp_path):
    path = write_onnx(tmp_path / 'x.onnx', [node('Max', 'a b c', 'fused')],
                      [(name, one()) for name in 'abc'])
    error(path, r'has 3 inputs \(a, b, c\), expected visible and thermal')


def test_channels_that_do_not_fit(tmp_path):
    path = mix(tmp_path / 'x.onnx', shape=one(3), declared={'visible': 'luma'})
    error(path, "input 'visible' has 3 channels, the convention gives it 1: set")
    path = mix(tmp_path / 'y.onnx', declared={'inputs': ['visible+thermal']})
    error(path, r'has 2 inputs \(visible, thermal\), the convention names 1')
    path = write_onnx(tmp_path / 'z.onnx', [node('Identity', 'both', 'fused')], [('both', one(5))],
                      [('fused', one(5))])
    error(path, "input 'both' has 5 channels, the convention gives it 2")


def test_integer_inputs(tmp_path):
    path = write_onnx(tmp_path / 'x.onnx', [node('Max', 'visible thermal', 'fused')],
                      [('visible', one()), ('thermal', one())], kind=onnx.TensorProto.INT32)
    error(path, r'its inputs are tensor\(int32\), expected all tensor\(float\)')


def test_a_smaller_output(tmp_path):
    path = write_onnx(
        tmp_path / 'x.onnx', [node('Max', 'visible thermal', 'x'),
                              node('MaxPool', 'x', 'fused', kernel_shape=[2, 2], strides=[2, 2])],
        [('visible', one()), ('thermal', one())], [('fused', one(1, 'h2', 'w2'))])
    error(path, r'gives \(1, 1, 64, 96\) for an image of 192x128, expected \(1, 1, 128, 192\)')


def test_a_size_that_is_baked_in(tmp_path):
    class Baked(torch.nn.Module):
        def forward(self, vi, ir):
            return torch.maximum(vi, ir) + torch.zeros(1, 1, 128, 192)

    path = script(tmp_path / 'x.pt', Baked(), one(1, 128, 192), one(1, 128, 192))
    error(path, r'fails on a picture of 128x160 .*set .* or size')
    declare(path, {'size': [192, 128]})
    assert load(path)(*planes(50, 300), None).shape == (1, 1, 50, 300)
    declare(path, {'size': [192, 50]})
    error(path, r'takes 192x50 only')


@pytest.mark.parametrize(('scale', 'shift'), [(255, 0), (1 / 255, 0), (1, 3), (1, float('nan'))])
def test_an_output_that_is_no_picture(tmp_path, scale, shift):
    path = write_onnx(
        tmp_path / 'x.onnx', [node('Max', 'visible thermal', 'x'), node('Mul', 'x s', 'y'),
                              node('Add', 'y t', 'fused')],
        [('visible', one()), ('thermal', one())], numbers=[number('s', scale), number('t', shift)])
    error(path, r'gives values from .* on a trial picture.*set range')


def test_an_output_that_is_not_there(tmp_path):
    error(mix(tmp_path / 'x.onnx', declared={'output_index': 4}),
          'has 1 outputs, output_index is 4')


@pytest.mark.parametrize(('text', 'message'), [
    ('imputs: [visible, thermal]', r"unknown key 'imputs'; did you mean 'inputs'"),
    ('inputs: [visible]', r'inputs is .*expected one of'),
    ('range: [1, 0]', 'range is .*black, white'), ('range: 255', 'range is 255, expected'),
    ('size: 640x480', r'size is .*\[width, height\]'), ('multiple: 0', 'multiple is 0, expected a'),
    ('visible: yuv', "visible is 'yuv', expected one of"), ('a: [', 'cannot be read'),
    ('just text', "lines 'key: value'"), ('thermal_channels: 2', 'thermal_channels is 2')])
def test_declarations_that_are_wrong(tmp_path, text, message):
    path = mix(tmp_path / 'x.onnx')
    path.with_name('x.onnx.yaml').write_text(text)
    assert 'x.onnx.yaml' in error(path, message)


def test_an_empty_declaration_is_none(tmp_path):
    path = mix(tmp_path / 'x.onnx')
    path.with_name('x.onnx.yaml').write_text('# nothing\n')
    assert load(path).convention == Convention()
    assert detect(['x'], [[]]) == {'inputs': ('visible+thermal',)}


def test_without_onnxruntime_it_says_what_to_install(tmp_path, monkeypatch):
    path = mix(tmp_path / 'x.onnx')
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == 'onnxruntime':
            raise ImportError(name)
        return real(name, *args, **kwargs)
    monkeypatch.setattr(builtins, '__import__', refuse)
    with pytest.raises(MissingDependencyError, match='pip install onnxruntime'):
        load(path)


# ---- on top of it


def test_the_engine_uses_and_keeps_it(tmp_path, scene):
    path = mix(tmp_path / 'x.onnx')
    engine = FusionEngine(FusionParameters(method=f'onnx:{path}', device='cpu'))
    grey = np.repeat(scene.luma[..., None], 3, 2)
    rgb, thermal = torch.from_numpy(grey), torch.from_numpy(scene.thermal)
    fused = engine.fuse(rgb, thermal).numpy()
    expected = 0.75 * scene.luma + 0.25 * scene.thermal
    assert np.abs(fused[..., 1] - expected).max() <= 1
    with pytest.raises(ParameterError, match='does not exist'):
        engine.set_method(f'onnx:{tmp_path}/other.onnx')
    assert engine.method == f'onnx:{path}'
    assert (engine.fuse(rgb, thermal).numpy() == fused).all()
    engine.set_method('maximum')
    assert (engine.fuse(rgb, thermal).numpy() != fused).any()


def test_hue_is_kept_whatever_the_network_does_to_colours(tmp_path):
    path = write_onnx(   # swaps red and blue, and nothing else
        tmp_path / 'x.onnx', [node('Gather', 'image order', 'fused', axis=1)],
        [('image', one(4))], [('fused', one(3))], [number('order', [2, 1, 0], np.int64)])
    engine = FusionEngine(FusionParameters(method=f'onnx:{path}', device='cpu'))
    rgb = torch.zeros(20, 20, 3, dtype=torch.uint8)
    rgb[..., 2] = 180
    fused = engine.fuse(rgb, torch.zeros(20, 20, dtype=torch.uint8)).numpy()
    assert (fused[..., :2] == 0).all(), 'red stays red'
    assert np.abs(fused @ (0.114, 0.587, 0.299) - 0.114 * 180).max() < 1


def test_command_line(tmp_path, scene, capsys):
    path = mix(tmp_path / 'x.onnx')
    cv2.imwrite(str(tmp_path / 'rgb.png'), scene.rgb)
    cv2.imwrite(str(tmp_path / 'thermal.png'), scene.thermal)

    def fuse(method):
        return main(['fuse', '--rgb', str(tmp_path / 'rgb.png'), '--thermal',
                     str(tmp_path / 'thermal.png'), '--out', str(tmp_path / 'fused.png'),
                     '--no-register', '--device', 'cpu', '--method', method])
    assert fuse(f'onnx:{path}') == 0
    assert f'onnx:{path}' in capsys.readouterr().out
    assert cv2.imread(str(tmp_path / 'fused.png')).shape == scene.rgb.shape
    assert fuse('onnx:nowhere.onnx') == 2
    assert "'onnx:nowhere.onnx': the file does not exist" in capsys.readouterr().err
