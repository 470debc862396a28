# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks as files: equal to the network, loadable at once, and never half written."""

import pytest
import torch

from ivif_ros.cli.main import main
from ivif_ros.errors import MissingDependencyError, OutputError, ParameterError
from ivif_ros.fusion import export, registry
from ivif_ros.fusion.export import export_method
from ivif_ros.fusion.networks import build
from ivif_ros.fusion.registry import MethodOptions
from ivif_ros.fusion.weights import load_network
from ivif_ros.weights_file import save_weights


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """Function that gives a file with the weights of a network that was never trained."""
    def make(name):
        path = tmp_path_factory.mktemp('weights') / f'{name}.pt'
        torch.manual_seed(11)
        save_weights(path, name, {}, build(name), {})
        return str(path)
    return make


@pytest.mark.parametrize(('name', 'suffix', 'size'), [
    ('fusiongan', '.onnx', None), ('mini', '.pt', None), ('fusiongan', '.pt', (100, 75))])
def test_files_are_equal_to_the_network(tmp_path, weights, name, suffix, size):
    source, path = weights(name), tmp_path / 'out' / f'net{suffix}'
    try:
        difference = export_method(name, path, size, source)
    except MissingDependencyError as error:
        pytest.skip(str(error))
    assert 0 <= difference < 1e-5
    assert sorted(item.name for item in path.parent.iterdir()) == [path.name, f'{path.name}.yaml']

    kind = {'.onnx': 'onnx', '.pt': 'torchscript'}[suffix]
    method = registry.create(f'{kind}:{path}', MethodOptions())
    assert method.convention.size == size
    network = load_network(name, source)
    assert method.convention.overlap == network.OVERLAP
    # Not the pictures, and not the sizes, that the export itself looks at.
    torch.manual_seed(5)
    for height, width in [(75, 100)] if size else [(1, 1), (64, 96), (231, 333), (479, 641)]:
        visible, thermal = torch.rand(2, 1, 1, height, width)
        with torch.inference_mode():
            expected = network(visible, thermal)
            fused = method(visible, thermal, None)
        assert fused.shape == expected.shape
        whole = height - height % network.MULTIPLE, width - width % network.MULTIPLE
        inside = (..., slice(0, max(1, whole[0] - network.OVERLAP)),
                  slice(0, max(1, whole[1] - network.OVERLAP)))
        assert (fused - expected)[inside].abs().max() < 1e-4


def test_a_file_that_differs_is_not_written(tmp_path, weights, monkeypatch):
    path = tmp_path / 'net.pt'
    path.write_text('the old one')
    monkeypatch.setattr(export, '_difference', lambda *_: 0.002)
    with pytest.raises(ParameterError, match=r"'mini' differs by 0\.002 .*nothing was written"):
        export_method('mini', path, None, weights('mini'))
    monkeypatch.setattr(export, '_difference', lambda *_: float('nan'))
    with pytest.raises(ParameterError, match='differs by nan'):
        export_method('mini', path, None, weights('mini'))
    monkeypatch.undo()
    monkeypatch.setattr(export, 'load_external', lambda *_: lambda v, t, w: v / 0 - t / 0)
    with pytest.raises(ParameterError, match='differs by nan'):
        export_method('mini', path, None, weights('mini'))
    assert path.read_text() == 'the old one'
    assert [item.name for item in tmp_path.iterdir()] == ['net.pt']


def test_differences_are_seen(tmp_path, weights):
    """The file of other weights is not equal."""
    path = tmp_path / 'net.pt'
    export_method('fusiongan', path, None, weights('fusiongan'))
    torch.manual_seed(99)
    assert export._difference(build('fusiongan').eval(), path, None) > export.TOLERANCE


@pytest.mark.parametrize('name', ['pyramid', 'nonsense'])
def test_only_networks_can_be_exported(tmp_path, name):
    with pytest.raises(ParameterError, match=f"method '{name}' cannot be exported.*weights: "):
        export_method(name, tmp_path / 'x.onnx')


def test_where_it_cannot_be_written(tmp_path, weights):
    with pytest.raises(ParameterError, match=r'must end in \.onnx or \.pt'):
        export_method('mini', tmp_path / 'x.tflite')
    (tmp_path / 'file').write_text('')
    with pytest.raises(OutputError, match='cannot be written'):
        export_method('mini', tmp_path / 'file' / 'x.pt', None, weights('mini'))


def test_command_line(tmp_path, weights, capsys):
    path = tmp_path / 'net.pt'
    words = ['export', '--method', 'mini', '--weights', weights('mini'), '--out', str(path)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert 'mini, any size; largest difference from the network ' in out
    assert path.is_file()
    assert main([*words, '--size', '100x80']) == 0
    assert '100x80 only' in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        main([*words, '--size', '64'])
    assert stopped.value.code == 2
    assert "'64' is no size, expected such as 640x480" in capsys.readouterr().err
    assert main(['export', '--method', 'maximum', '--out', str(path)]) == 2
    assert "method 'maximum' cannot be exported" in capsys.readouterr().err
