# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights files, and networks as methods: choice of the file, precision, errors."""

import os
import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ivif_ros.errors import OutputError, ParameterError
from ivif_ros.fusion import FusionEngine, learned, registry
from ivif_ros.fusion import weights as weights_module
from ivif_ros.fusion.learned import NetworkMethod
from ivif_ros.fusion.networks import NETWORKS, VARIANTS, build
from ivif_ros.fusion.registry import MethodOptions
from ivif_ros.fusion.trial import trial_pictures
from ivif_ros.fusion.weights import load_network, read_weights, shipped_names
from ivif_ros.parameters import FusionParameters
from ivif_ros.weights_file import save_weights


def write(path, name='fusiongan', seed=3, half=False, **config):
    torch.manual_seed(seed)
    network = build(name, **config).eval()
    save_weights(path, name, config, network.half() if half else network, {'steps': 7})
    return network.float()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / 'some.pt'
    write(path)
    return path


def planes(height=48, width=65, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, 1, 1, height, width, generator=generator)


@pytest.mark.parametrize('half', [False, True])
def test_what_was_saved_comes_back(tmp_path, half):
    path = tmp_path / 'folder' / 'x.pt'
    network = write(path, 'densefuse', half=half, width=8, rule='l1')
    loaded = load_network('densefuse', path)
    assert not loaded.training
    assert loaded.rule == 'l1'
    with torch.no_grad():
        assert torch.equal(loaded(*planes()), network(*planes()))
    content = read_weights(path)
    assert (content['network'], content['training'], content['format']) == (
        'densefuse', {'steps': 7}, 1)
    kinds = {value.dtype for value in content['state'].values()}
    assert kinds == {torch.float16 if half else torch.float32}
    assert [item.name for item in path.parent.iterdir()] == ['x.pt'], 'no part is left'


def test_a_file_that_cannot_be_written(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OutputError, match='cannot be written'):
        write(tmp_path / 'file' / 'x.pt')


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ParameterError, match=r"nothing\.pt' does not exist.*fusion\.weights"):
        load_network('fusiongan', tmp_path / 'nothing.pt')


@pytest.mark.parametrize('share', [0, 0.3, 0.99])
def test_a_truncated_file_is_named(file, share):
    whole = file.read_bytes()
    file.write_bytes(whole[:int(share * len(whole))])
    with pytest.raises(ParameterError, match=r"some\.pt' is damaged"):
        load_network('fusiongan', file)


def test_weights_of_another_method_are_named(file):
    with pytest.raises(ParameterError, match=r"belongs to fusion method 'fusiongan', expected 'pm"):
        load_network('pmgi', file)


@pytest.mark.parametrize('content', [
    {'conv.weight': torch.zeros(3)}, [1, 2], {'format': 2, 'network': 'mini', 'config': {},
                                              'state': {}}])
def test_other_files_of_pytorch_are_no_weights(tmp_path, content):
    torch.save(content, tmp_path / 'x.pt')
    with pytest.raises(ParameterError, match=r"x\.pt' is not a weights file of ivif_ros"):
        load_network('mini', tmp_path / 'x.pt')


def test_weights_that_do_not_fit_the_network(file):
    content = torch.load(file, weights_only=True)
    content['state'].popitem()
    torch.save(content, file)
    with pytest.raises(ParameterError, match=r"does not fit fusion method 'fusiongan'.*train it"):
        load_network('fusiongan', file)
    content['config'] = {'colour': 'blue'}
    torch.save(content, file)
    with pytest.raises(ParameterError, match='does not take the configuration'):
        load_network('fusiongan', file)


class Evil:
    def __reduce__(self):
        return os.system, ('echo',)


def test_code_in_a_file_does_not_run(tmp_path, monkeypatch):
    torch.save({'format': 1, 'network': 'mini', 'config': {}, 'state': Evil()}, tmp_path / 'x.pt')
    (tmp_path / 'y.pt').write_bytes(pickle.dumps(Evil(), 2))
    monkeypatch.setattr(os, 'system', lambda _: pytest.fail('code of the file ran'))
    for name in ('x.pt', 'y.pt'):
        with pytest.raises(ParameterError, match='damaged or of another kind'):
            load_network('mini', tmp_path / name)


@pytest.mark.parametrize('name', sorted(NETWORKS))
def test_shipped_weights_load_and_are_small(name):
    if name not in shipped_names():
        pytest.skip(f'no weights of {name} in the package')
    size = weights_module.shipped_path(name).stat().st_size
    assert size < 8_000_000
    network = load_network(name)
    with torch.inference_mode():
        fused = network(*planes())
    assert fused.shape == (1, 1, 48, 65)
    assert torch.isfinite(fused).all()
    assert fused.std() > 0.02, 'a picture, not a grey area'


def test_methods_are_listed_where_their_weights_are(tmp_path, monkeypatch):
    monkeypatch.setattr(weights_module, 'FOLDER', tmp_path)
    assert not {*NETWORKS, *VARIANTS} & set(registry.names())
    with pytest.raises(ParameterError, match=r"no weights for fusion method 'densefuse_l1'.*"
                                             r'fusion\.weights, or train them'):
        registry.create('densefuse_l1')
    write(tmp_path / 'densefuse.pt', 'densefuse')
    assert {*NETWORKS, *VARIANTS} & set(registry.names()) == {'densefuse', 'densefuse_l1'}
    for name, rule in (('densefuse', 'addition'), ('densefuse_l1', 'l1')):
        assert registry.create(name).network.rule == rule


def test_a_network_is_the_same_inside_of_a_method(file, device):
    method = registry.create('fusiongan', MethodOptions(device, 'float32', str(file)))
    visible, thermal = (plane.to(device) for plane in planes())
    with torch.inference_mode():
        expected = load_network('fusiongan', file)(*planes())
        fused = method(visible, thermal, torch.ones_like(visible))
    assert fused.dtype == torch.float32
    assert (fused.cpu() - expected).abs().max() < 1e-5


@pytest.mark.parametrize('precision', ['float16', 'bfloat16'])
def test_precision(file, device, precision):
    options = MethodOptions(device, precision, str(file))
    exact = NetworkMethod('fusiongan', MethodOptions(device, 'float32', str(file)))
    method = NetworkMethod('fusiongan', options)
    kinds = {value.dtype for value in method.network.parameters()}
    assert kinds == {getattr(torch, precision)}
    visible, thermal = (plane.to(device) for plane in planes())
    change = (method(visible, thermal, None) - exact(visible, thermal, None)).abs().max()
    assert 0 < change < 0.02


def test_automatic_precision(file, device):
    auto = NetworkMethod('fusiongan', MethodOptions(device, 'auto', str(file)))
    kinds = {value.dtype for value in auto.network.parameters()}
    assert kinds == {torch.float32 if device == 'cpu' else torch.float16}
    with pytest.raises(ParameterError, match=r"fusion\.precision is 'int8', expected auto"):
        NetworkMethod('fusiongan', MethodOptions(device, 'int8', str(file)))


class Squares(torch.nn.Module):
    """Divides by squares, which half precision takes for zero."""

    def __init__(self, smallest):
        super().__init__()
        self.smallest = torch.nn.Parameter(torch.tensor(smallest))

    def forward(self, visible, thermal, weight=None):
        return visible * self.smallest ** 2 / self.smallest ** 2


@pytest.mark.parametrize(('smallest', 'enough'), [(0.5, True), (1e-4, False), (1e-5, False)])
def test_half_precision_is_taken_where_it_is_enough(monkeypatch, smallest, enough):
    """As on CUDA, only that the device that is asked for is the CPU."""
    device = SimpleNamespace(type='cuda')
    monkeypatch.setattr(learned, 'trial_pictures', lambda h, w, _: trial_pictures(h, w))
    network = Squares(smallest)
    monkeypatch.setattr(network, 'to', lambda *_, **__: network)
    chosen = learned.in_precision(network, 'auto', device)
    assert chosen.smallest.dtype == (torch.float16 if enough else torch.float32)


def test_a_network_may_bring_its_own_form_for_the_cpu(file, monkeypatch):
    calls = []

    def deploy(self):
        def run(visible, thermal, weight):
            calls.append(visible.shape)
            return torch.maximum(visible, thermal)
        return run

    method = NetworkMethod('fusiongan', MethodOptions(weights=str(file)))
    monkeypatch.setattr(type(method.network), 'deploy', deploy, raising=False)
    own = NetworkMethod('fusiongan', MethodOptions(weights=str(file)))
    assert torch.equal(own(*planes(), None), planes().max(0).values)
    calls.clear()
    half = NetworkMethod('fusiongan', MethodOptions(precision='bfloat16', weights=str(file)))
    half(*planes(), None)
    assert not calls


def test_weights_belong_to_networks(file):
    for method in ('pyramid', 'onnx:x.onnx'):
        with pytest.raises(ParameterError, match=f"method '{method}' has no weights to replace"):
            FusionEngine(FusionParameters(method=method, weights=str(file)))


def test_an_engine_takes_other_weights_and_keeps_the_old_ones_where_it_cannot(
        tmp_path, file, device, scene):
    write(tmp_path / 'other.pt', seed=8)
    rgb, thermal = (torch.from_numpy(x).to(device) for x in (scene.rgb, scene.thermal))

    def params(name, path):
        return FusionParameters(method=name, weights=str(path), device=device, emphasis=0.8)

    def fuse():
        return engine.fuse(rgb, thermal).cpu().numpy().astype(int)

    engine = FusionEngine(params('fusiongan', file))
    first = fuse()
    assert first.shape == scene.rgb.shape
    assert np.abs(first - scene.rgb).mean() > 1
    engine.set_parameters(params('fusiongan', tmp_path / 'other.pt'))
    second = fuse()
    assert np.abs(second - first).mean() > 1
    for bad in (params('fusiongan', tmp_path / 'none.pt'), params('pmgi', file),
                params('pyramid', file), params('nonsense', '')):
        with pytest.raises(ParameterError):
            engine.set_parameters(bad)
    assert engine.method == 'fusiongan'
    assert (fuse() == second).all()
    engine.set_method('average')
    assert engine.method == 'average'
    assert (fuse() != second).any()


class Reddest:
    """Red of the visible image: shows which channels a colour method is given."""

    colour = True

    def __call__(self, visible, thermal, weight):
        assert visible.shape[1] == 3
        return visible[:, :1].clone()


def test_a_method_may_ask_for_colours(device, monkeypatch):
    monkeypatch.setitem(registry._factories, 'reddest', Reddest)
    engine = FusionEngine(FusionParameters(method='reddest', device=device))
    rgb = torch.zeros(3, 4, 3, dtype=torch.uint8, device=device)
    rgb[..., 0], rgb[..., 2] = 10, 200   # blue, red
    fused = engine.fuse(rgb, torch.zeros(3, 4, dtype=torch.uint8, device=device))
    luma = fused.cpu().numpy() @ (0.114, 0.587, 0.299)
    assert np.abs(luma - 200).max() < 1.5


@pytest.mark.parametrize('name', sorted({*NETWORKS, *VARIANTS}))
def test_any_pair_through_the_engine(name, device, scene):
    if name not in shipped_names():
        pytest.skip(f'no weights of {name} in the package')
    engine = FusionEngine(FusionParameters(method=name, device=device))

    def fuse(rgb, thermal, weight=None):
        tensors = [None if x is None else torch.from_numpy(x.copy()).to(device)
                   for x in (rgb, thermal, weight)]
        fused = engine.fuse(*tensors).cpu().numpy()
        assert (fused.shape, fused.dtype) == (rgb.shape, np.uint8)
        return fused.astype(int)

    for size in ((1, 1), (1, 50), (33, 2), (121, 161)):
        for visible in (0, 255):
            for thermal in (0, 255):
                fused = fuse(np.full((*size, 3), visible, np.uint8),
                             np.full(size, thermal, np.uint8))
                assert np.ptp(fused, axis=2).max() == 0, 'grey stays grey'
                if visible == thermal:
                    assert np.abs(fused - visible).max() < 70, 'black is dark, white is bright'
    part = scene.rgb[:121, :161], scene.thermal[:121, :161]
    weight = np.ones((121, 161), np.float32)
    weight[:, 80:] = 0
    fused = fuse(*part, weight)
    assert (fused[:, 80:] == part[0][:, 80:]).all()
    assert np.abs(fused[:, :40] - part[0][:, :40]).mean() > 1


@pytest.mark.skipif(torch.cuda.is_available(), reason='counts the memory of a CPU')
def test_a_process_stays_small(tmp_path):
    """The network with the most activations, at 640x480."""
    path = tmp_path / 'pmgi.pt'
    write(path, 'pmgi')
    script = f"""
import re, torch
from ivif_ros.fusion import FusionEngine
from ivif_ros.parameters import FusionParameters
engine = FusionEngine(FusionParameters(method='pmgi', weights={str(path)!r}, device='cpu'))
rgb = torch.zeros(480, 640, 3, dtype=torch.uint8)
engine.fuse(rgb, rgb[..., 0].contiguous(), torch.ones(480, 640))
print(int(re.search(r'VmHWM:[^0-9]*([0-9]+)', open('/proc/self/status').read())[1]) // 1024)
"""
    done = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1200
