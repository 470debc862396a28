# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Tiles of large images, the memory that decides on them, and CUDA graphs."""

import pytest
import torch
from torch import nn

from ivif_ros.errors import ParameterError
from ivif_ros.fusion import FusionEngine
from ivif_ros.fusion.graph import WARM_UP, Graphed
from ivif_ros.fusion.tiling import CPU_BUDGET, PROBE, Tiling, bytes_per_pixel, memory_budget
from ivif_ros.parameters import FusionParameters

CPU = torch.device('cpu')


def planes(height, width, device='cpu'):
    generator = torch.Generator().manual_seed(5)
    return torch.rand(2, 1, 1, height, width, generator=generator).to(device)


def local(visible, thermal, weight):
    """Sees 3 pixels around each, and the whole 4x4 cell: a grid that tiles must keep."""
    mean = nn.functional.avg_pool2d(visible, 7, 1, 3, count_include_pad=False)
    height, width = visible.shape[-2:]
    padded = nn.functional.pad(thermal, (0, -width % 4, 0, -height % 4), mode='replicate')
    cells = nn.functional.max_pool2d(padded, 4)
    big = cells.repeat_interleave(4, 2).repeat_interleave(4, 3)[..., :height, :width]
    fused = 0.5 * mean + 0.5 * big
    return fused if weight is None else fused * weight


@pytest.mark.parametrize('size', [(1, 1), (3, 400), (96, 96), (97, 131), (300, 401), (480, 640)])
@pytest.mark.parametrize('tiles', [{'side': 64}, {'side': 100}, {'pixels': 90 * 90}])
def test_tiles_cannot_be_seen(size, tiles, device):
    tiling = Tiling(**{'overlap': 4, 'multiple': 4, 'pixels': 1, **tiles})
    visible, thermal = planes(*size, device)
    weight = torch.rand_like(visible)
    for mask in (None, weight):
        whole = local(visible, thermal, mask)
        fused = tiling.apply(local, visible, thermal, mask)
        assert fused.shape == whole.shape
        assert (fused - whole).abs().max() < 1e-6
    assert tiling.shape(300, 400) != (300, 400)


def test_without_enough_context_they_can_be_seen():
    visible, thermal = planes(200, 300)
    fused = Tiling(overlap=0, multiple=4, pixels=1, side=64).apply(
        lambda v, t, w: v.flip(-1), visible, thermal, None)
    assert (fused - visible.flip(-1)).abs().max() > 0.1


def test_shares_of_all_tiles_add_up_to_one_in_any_size():
    ones = torch.ones(1, 1, 1, 1)
    for length in (*range(1, 200), 641, 1080):
        plane = ones.expand(1, 1, 2, length)
        fused = Tiling(overlap=5, multiple=8, pixels=1, side=80).apply(
            lambda v, t, w: v, plane, plane, None)
        assert fused.shape == plane.shape
        assert (fused - 1).abs().max() < 1e-6, length


def test_a_network_that_looks_at_the_whole_image_gets_no_edges():
    """Each tile has a level of its own here; the steps must be those of the ramp."""
    _, thermal = planes(256, 512)
    step = torch.linspace(0, 1, 512).expand(1, 1, 256, -1)
    fused = Tiling(overlap=8, multiple=8, pixels=1, side=128).apply(
        lambda v, t, w: v.mean().expand_as(v), step, thermal, None)
    steps = fused.diff(dim=-1).abs().max()
    levels = fused[0, 0, 0].unique()
    assert levels.max() - levels.min() > 0.5
    assert steps < 0.2 / 16


def test_images_that_fit_are_not_cut():
    seen = []

    def note(visible, thermal, weight):
        seen.append(tuple(visible.shape[-2:]))
        return visible

    tiling = Tiling(overlap=4, multiple=8, pixels=200 * 300)
    tiling.apply(note, *planes(199, 301), None)
    assert seen == [(199, 301)]
    seen.clear()
    tiling.apply(note, *planes(800, 1000), None)
    assert len(seen) > 12
    assert {h * w <= 200 * 300 and h % 8 == w % 8 == 0 for h, w in seen} == {True}
    seen.clear()
    padded = Tiling(overlap=4, multiple=16, pixels=10 ** 6, pad=True)
    assert padded.apply(note, *planes(31, 17), None).shape == (1, 1, 31, 17)
    assert seen == [(32, 32)]


@pytest.mark.parametrize('size', [(1, 1), (100, 120), (99, 121), (479, 641)])
def test_a_fixed_size_is_the_only_one_that_is_run(size):
    seen = set()

    def note(visible, thermal, weight):
        seen.add(tuple(visible.shape[-2:]))
        return visible * 0.5 + thermal * 0.5

    visible, thermal = planes(*size)
    fused = Tiling(overlap=10, multiple=1, pixels=1, fixed=(100, 120)).apply(
        note, visible, thermal, None)
    assert seen == {(100, 120)}
    assert (fused - (visible + thermal) / 2).abs().max() < 1e-6


def test_a_tile_without_room_is_refused():
    with pytest.raises(ParameterError, match=r'fusion\.tile is 64.*at least 120 pixels \(40 of'):
        Tiling(overlap=40, multiple=4, pixels=1, side=64)


def test_memory_is_measured():
    def three_planes(visible, thermal, weight):
        a = visible + 1                       # 1 plane
        b = torch.cat([a, thermal], 1)        # and 2
        del a
        c = b * 2                             # 2 and 2, the most
        del b
        return c.mean(1, keepdim=True)        # 2 and 1
    assert bytes_per_pixel(three_planes, CPU) == 4 * 4

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.wide = nn.Conv2d(2, 50, 3, padding=1)
            self.narrow = nn.Conv2d(50, 1, 1)

        def forward(self, visible, thermal, weight=None):
            return self.narrow(self.wide(torch.cat([visible, thermal], 1)))
    need = bytes_per_pixel(Net(), CPU)
    assert 51 * 4 <= need <= 53 * 4
    assert PROBE ** 2 * need < 4e6, 'measuring is cheap'


def test_memory_that_may_be_used(device):
    budget = memory_budget(torch.device(device))
    assert budget == CPU_BUDGET if device == 'cpu' else budget > 2 ** 28
    assert CPU_BUDGET + 600 * 2 ** 20 < 1500 * 2 ** 20


class Recorder(Graphed):
    """Takes a plain call as the recording: what happens around it needs no GPU."""

    recordings = 0

    def _record(self, inputs):
        Recorder.recordings += 1
        self._inputs = tuple(None if item is None else item.clone() for item in inputs)
        self._output = self._function(*self._inputs)
        owner = self

        class Graph:
            def replay(self):
                owner._output.copy_(owner._function(*owner._inputs))
        self._graph = Graph()


def test_recordings_belong_to_one_size():
    Recorder.recordings = 0
    graphed = Recorder(lambda a, b: a * 2 if b is None else a * 2 + b)
    ones, large = torch.ones(3, 4), torch.ones(5, 5)
    for index in range(WARM_UP + 3):
        result = graphed(ones * index, None)
        assert torch.equal(result, ones * index * 2)
        assert graphed.recorded == (index >= WARM_UP)
    kept = result.clone()
    graphed(ones * 50, None)
    assert torch.equal(result, kept), 'results belong to the caller'
    assert Recorder.recordings == 1
    assert torch.equal(graphed(ones, ones), ones * 3)
    assert not graphed.recorded
    for _ in range(WARM_UP):
        graphed(ones, ones)
    assert graphed.recorded
    assert torch.equal(graphed(large, None), large * 2)
    assert not graphed.recorded
    graphed.reset()
    assert torch.equal(graphed(large, large), large * 3)


def test_without_a_recording_it_goes_on(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, 'Stream', _no_stream)
    monkeypatch.setattr(torch.cuda, 'device', _no_stream)
    graphed = Graphed(lambda a: a + 1)
    for _ in range(WARM_UP + 5):
        assert torch.equal(graphed(torch.ones(2)), torch.full((2,), 2.0))
    assert graphed.problem == 'no streams here'
    assert caplog.text.count('without a CUDA graph: no streams here') == 1


def _no_stream(*_):
    raise RuntimeError('no streams here\nand more')


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
@pytest.mark.parametrize('method', ['average', 'pyramid'])
@pytest.mark.parametrize('masked', [False, True])
def test_a_cuda_graph_gives_the_same(scene, method, masked):
    engine = FusionEngine(FusionParameters(method=method, device='cuda'))
    weight = torch.ones(scene.thermal.shape, device='cuda') if masked else None
    if masked:
        weight[:50] = 0
    results = []
    for shift in (0, 7):
        rgb = torch.from_numpy(scene.rgb).roll(shift, 0).cuda()
        thermal = torch.from_numpy(scene.thermal).roll(shift, 0).cuda()
        engine._graphed.reset()
        eager = engine.fuse(rgb, thermal, weight)
        for _ in range(WARM_UP + 2):
            replayed = engine.fuse(rgb, thermal, weight)
        assert engine._graphed.recorded, engine._graphed.problem
        assert torch.equal(eager, replayed)
        results.append(replayed)
    assert not torch.equal(*results)
