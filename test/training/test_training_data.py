# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairs, videos, simulated streets and the loader: right pixels, right partner, same every time."""

import itertools

import cv2
import numpy as np
import pytest
import torch

from ivif_ros.errors import ParameterError, SourceError
from ivif_ros.training.data.loader import DataConfig, make_loader, make_sources
from ivif_ros.training.data.pairs import (
    Cache,
    find_datasets,
    list_pairs,
    read_pair,
    to_luma,
    whole_pairs,
)
from ivif_ros.training.data.sampling import Sampler, Stills, intensity_curve, shares
from ivif_ros.training.data.simulated import Streets
from ivif_ros.training.data.splits import split_of
from ivif_ros.training.data.videos import Videos

PLAIN = {'flip': 0.0, 'shrink': 0.0, 'intensity': 0.0, 'degradation': 0.0}


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def write_pair(folder, stem, visible, thermal=None):
    write(folder / 'rgb' / f'{stem}.png', visible)
    write(folder / 'thermal' / f'{stem}.png', visible if thermal is None else thermal)


def stems_of(dataset, split, count):
    numbers = (f'pair_{number}' for number in itertools.count())
    return list(itertools.islice((s for s in numbers if split_of(dataset, s) == split), count))


def coordinates(height, width):
    """Grey picture whose pixels tell where they are, modulo 128 by 128 or so: 2 x + y / 2."""
    y, x = np.mgrid[:height, :width]
    return (2 * x + y // 2).astype(np.uint8)


@pytest.fixture
def yard(tmp_path):
    """Six training pairs and a validation pair of textures that differ between the cameras."""
    folder = tmp_path / 'yard'
    rng = np.random.default_rng(1)
    for stem in stems_of('yard', 'train', 6) + stems_of('yard', 'validation', 1):
        write_pair(folder, stem, rng.integers(0, 256, (70, 90, 3), np.uint8),
                   rng.integers(0, 256, (70, 90), np.uint8))
    return folder


def write_video(path, frames):
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 25, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(cv2.merge([frame] * 3))
    writer.release()


def numbered(number):
    """Frame of 48x64 pixels: eight black and white columns are the bits of its number."""
    bits = (number >> np.arange(8)) & 1
    return np.tile(np.repeat(bits * 255, 8), (48, 1)).astype(np.uint8)


def number_of(frame):
    return int((frame.reshape(48, 8, 8).mean((0, 2)) > 128) @ (1 << np.arange(8)))


def video_folder(folder, counts=(95, 95)):
    """Videos in which visible frame i shows i and thermal frame i shows 255 - i."""
    stem = stems_of(folder.name, 'train', 1)[0]
    write_video(folder / 'rgb' / f'{stem}.avi', [numbered(i) for i in range(counts[0])])
    write_video(folder / 'thermal' / f'{stem}.avi', [numbered(255 - i) for i in range(counts[1])])
    return folder


def take(loader, count):
    return list(itertools.islice(loader, count))


def same(one, other):
    names = ('visible', 'thermal', 'clean_visible', 'clean_thermal')
    if (one.then is None) != (other.then is None):
        return False
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in names) and (
        one.then is None or same(one.then, other.then))


# Reading


def test_luma_is_bt601_of_bgr():
    image = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    expected = image @ np.array([0.114, 0.587, 0.299])
    assert np.abs(to_luma(image) - expected).max() <= 0.51 + 1e-6


def test_16_bit_counts_are_stretched_and_warm_stays_bright():
    counts = np.linspace(21000, 24000, 5000).reshape(50, 100).astype(np.uint16)
    low, high = np.percentile(counts, (1, 99))
    expected = np.clip((counts.astype(float) - low) / (high - low) * 255, 0, 255)
    assert np.abs(to_luma(counts) - expected).max() <= 0.51
    kelvin = counts.astype(np.float32) / 100
    kelvin[0, 0] = np.nan
    assert to_luma(kelvin)[0, 0] == 0
    assert not to_luma(np.full((3, 4), np.nan, np.float32)).any()


def test_pairs_are_found_by_stem_and_split(tmp_path):
    folder = tmp_path / 'lane'
    for stem in stems_of('lane', 'train', 3) + stems_of('lane', 'validation', 2):
        write_pair(folder, stem, np.zeros((9, 9), np.uint8))
    (folder / 'rgb' / 'notes.txt').write_text('no image')
    assert len(list_pairs('lane', folder)) == 5
    assert [pair.stem for pair in list_pairs('lane', folder, 'validation')] == sorted(
        stems_of('lane', 'validation', 2))
    assert find_datasets(tmp_path) == {'lane': folder}
    assert find_datasets(folder) == {'lane': folder}


def test_listed_data_sets_are_preferred_and_others_taken_by_name(tmp_path):
    for name in ('msrs', 'yard'):
        write_pair(tmp_path / name, '00008N', np.zeros((9, 9), np.uint8))
    assert list(find_datasets(tmp_path)) == ['msrs']
    assert list(find_datasets(tmp_path, ('yard', 'msrs'))) == ['yard', 'msrs']
    with pytest.raises(SourceError, match=r"no data set 'llvip'.*msrs, yard"):
        find_datasets(tmp_path, ('llvip',))


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(SourceError, match='is not a folder'):
        find_datasets(tmp_path / 'nowhere')
    with pytest.raises(SourceError, match='no folders rgb/ and thermal/'):
        find_datasets(tmp_path)
    write_pair(tmp_path, 'a', np.zeros((9, 9), np.uint8))
    write(tmp_path / 'rgb' / 'b.png', np.zeros((9, 9), np.uint8))
    with pytest.raises(SourceError, match=r"rgb/b' has no partner .*thermal'"):
        list_pairs('x', tmp_path)
    write(tmp_path / 'thermal' / 'b.mp4.png', np.zeros((9, 9), np.uint8))
    (tmp_path / 'thermal' / 'b.mp4.png').rename(tmp_path / 'thermal' / 'b.mp4')
    with pytest.raises(SourceError, match='an image and a video'):
        list_pairs('x', tmp_path)
    write(tmp_path / 'thermal' / 'b.png', np.zeros((9, 9), np.uint8))
    with pytest.raises(SourceError, match='the same name'):
        list_pairs('x', tmp_path)


def test_bad_files_are_named(tmp_path):
    write_pair(tmp_path, 'a', np.zeros((10, 12), np.uint8), np.zeros((10, 14), np.uint8))
    files = list_pairs('x', tmp_path)[0]
    with pytest.raises(SourceError, match=r"rgb/a.png' has 12x10 pixels .*thermal/a.png' 14x10"):
        read_pair(files)
    files.thermal.write_bytes(b'not an image')
    with pytest.raises(SourceError, match=r"thermal/a.png' cannot be decoded \(12 bytes\)"):
        read_pair(files)
    files.thermal.write_bytes(b'')
    with pytest.raises(SourceError, match=r'cannot be decoded \(0 bytes\)'):
        read_pair(files)
    files.thermal.unlink()
    with pytest.raises(SourceError, match=r"thermal/a.png' cannot be read: No such file"):
        read_pair(files)


def test_cache_keeps_within_its_budget(tmp_path):
    for name in 'abcd':
        write_pair(tmp_path, name, np.zeros((100, 100), np.uint8))
    files = list_pairs('x', tmp_path)
    cache = Cache(0.05)    # 50 kB: two pairs of 20 kB
    kept = cache.load(files[0])
    assert cache.load(files[0]) is kept
    for pair in files[1:]:
        cache.load(pair)
        assert cache.used <= 50_000
    assert cache.load(files[3]) is cache.load(files[3])
    assert cache.load(files[0]) is not kept


def test_whole_pairs_are_spread_over_a_split(tmp_path):
    folder = tmp_path / 'lane'
    stems = sorted(stems_of('lane', 'validation', 6))
    for level, stem in enumerate(stems):
        write_pair(folder, stem, np.full((8, 8), level, np.uint8))
    found = [(files.stem, pair.thermal[0, 0]) for files, pair in
             whole_pairs(tmp_path, 'validation', most=3)]
    assert found == [(stems[0], 0), (stems[2], 2), (stems[4], 4)]


# Crops


def sources_of(folder, split='train'):
    return [Stills(folder.name, list_pairs(folder.name, folder, split), Cache(100))]


def test_crops_are_pixels_of_both_images_at_one_place(tmp_path):
    folder = tmp_path / 'yard'
    picture = coordinates(60, 80)
    write_pair(folder, stems_of('yard', 'train', 1)[0], picture, 255 - picture)
    sampler = Sampler(DataConfig(**PLAIN), sources_of(folder), 16)
    windows = np.lib.stride_tricks.sliding_window_view(picture, (16, 16))
    corners = set()
    for seed in range(200):
        crop = sampler.draw(np.random.default_rng(seed), 1)
        assert crop.visible.shape == crop.thermal.shape == (1, 16, 16)
        levels = np.rint(crop.visible[0] * 255).astype(int)
        match = np.argwhere((windows == levels).all((2, 3)))
        assert len(match)
        corners.update(map(tuple, match.tolist()))
        assert np.allclose(crop.thermal, 1 - crop.visible, atol=1e-6)
    tops, lefts = zip(*corners, strict=True)
    assert (min(tops), max(tops), min(lefts), max(lefts)) == (0, 44, 0, 64)


def test_mirror_images_are_mirrored_in_both(tmp_path):
    folder = tmp_path / 'yard'
    picture = coordinates(40, 40)
    write_pair(folder, stems_of('yard', 'train', 1)[0], picture)
    sampler = Sampler(DataConfig(**{**PLAIN, 'flip': 1.0}), sources_of(folder), 40)
    crop = sampler.draw(np.random.default_rng(0), 1)
    assert np.allclose(crop.visible[0] * 255, picture[:, ::-1], atol=1e-4)
    assert np.array_equal(crop.visible, crop.thermal)


def test_small_images_are_continued_by_reflection(tmp_path):
    folder = tmp_path / 'yard'
    picture = coordinates(10, 50)
    write_pair(folder, stems_of('yard', 'train', 1)[0], picture)
    sampler = Sampler(DataConfig(**{**PLAIN, 'shrink': 1.0}), sources_of(folder), 64)
    levels = np.rint(sampler.draw(np.random.default_rng(0), 1).visible[0] * 255)
    assert np.array_equal(levels[:10, :50], picture)
    assert np.array_equal(levels[10:20, :50], picture[::-1])
    assert np.array_equal(levels[20:30, 50:], picture[:, :35:-1])


def test_shrunk_crops_average_a_larger_region(tmp_path):
    folder = tmp_path / 'yard'
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    write_pair(folder, stems_of('yard', 'train', 1)[0], noise)
    sampler = Sampler(DataConfig(**{**PLAIN, 'shrink': 1.0}), sources_of(folder), 32)
    spread = [sampler.draw(np.random.default_rng(seed), 1).visible.std() for seed in range(40)]
    # White noise averaged over squares of f^2 pixels, 1 <= f <= 2, keeps 1 to 1/2 of its spread.
    assert 0.35 < min(spread) / (noise.std() / 255) < 0.75
    assert max(spread) / (noise.std() / 255) < 1.05


def test_intensity_curves_rise_and_are_for_clean_images_too(yard):
    for seed in range(50):
        curve = intensity_curve(np.random.default_rng(seed))
        assert (np.diff(curve) >= 0).all()
        assert 0 <= curve[0] < curve[128] < curve[255] <= 1
    config = DataConfig(**{**PLAIN, 'intensity': 1.0})
    changed = next(make_loader(config, yard, batch_size=2, crop=32, seed=3))
    plain = next(make_loader(DataConfig(**PLAIN), yard, batch_size=2, crop=32, seed=3))
    assert torch.equal(changed.visible, changed.clean_visible)
    assert torch.equal(changed.thermal, changed.clean_thermal)
    assert not torch.equal(changed.visible[:1], plain.visible[:1])
    assert not torch.equal(changed.thermal[:1], plain.thermal[:1])


# Sources


def test_shares_follow_the_square_root_unless_they_are_given(tmp_path):
    for name, count in (('big', 9), ('small', 1)):
        for stem in stems_of(name, 'train', count):
            write_pair(tmp_path / name, stem, np.zeros((8, 8), np.uint8))
    for config, expected in ((DataConfig(), [0.75, 0.25]),
                             (DataConfig(share={'small': 3.0, 'big': 1.0}), [0.25, 0.75]),
                             (DataConfig(share={'small': 0.75, 'msrs': 9.0}), [0.5, 0.5]),
                             (DataConfig(share={'big': 0.0}), [0.0, 1.0])):
        sources = make_sources(config, tmp_path, 'train')
        assert [source.name for source in sources] == ['big', 'small']
        assert shares(config, sources) == pytest.approx(expected)
    with pytest.raises(SourceError, match=r'look at data\.share'):
        next(make_loader(DataConfig(share={'big': 0.0, 'small': 0.0}), tmp_path, crop=8))
    with pytest.raises(ParameterError, match=r"data\.share names 'bib', expected one of big"):
        make_loader(DataConfig(share={'bib': 1.0}), tmp_path)


def test_only_pairs_of_the_split_are_seen(tmp_path):
    levels = {}
    for number, stem in enumerate(stems_of('yard', 'train', 8) + stems_of('yard', 'validation', 3)):
        levels[10 + 20 * number] = split_of('yard', stem)
        write_pair(tmp_path / 'yard', stem, np.full((12, 12), 10 + 20 * number, np.uint8))
    for split in ('train', 'validation'):
        loader = make_loader(DataConfig(**PLAIN), tmp_path, split, batch_size=8, crop=8)
        seen = {round(255 * level) for batch in take(loader, 20)
                for level in batch.visible.flatten().tolist()}
        assert seen == {level for level, side in levels.items() if side == split}


def test_videos_pair_frames_by_number(tmp_path):
    folder = video_folder(tmp_path / 'clips')
    videos = Videos('clips', list_pairs('clips', folder), 100)
    assert len(videos) == 10    # a clip at every tenth of 95 frames
    rng = np.random.default_rng(0)
    gaps = set()
    for index in range(len(videos)):
        for _ in range(20):
            first, then = videos.moments(index, rng, 2)
            numbers = [number_of(pair.visible) for pair in (first, then)]
            assert [255 - number_of(pair.thermal) for pair in (first, then)] == numbers
            gaps.add(numbers[1] - numbers[0])
            assert 10 * index <= numbers[0] <= 10 * index + 2
            assert len(videos.moments(index, rng, 1)) == 1
    assert gaps == {1, 2, 3}
    # 48x64 pixels, two cameras, four frames a clip: 24,576 bytes.
    assert videos.nbytes == 10 * 24_576
    assert len(Videos('clips', list_pairs('clips', folder), 0.06)) == 2
    assert len(Videos('clips', list_pairs('clips', folder), 0)) == 1


def test_bad_videos_are_named(tmp_path):
    short = video_folder(tmp_path / 'short', (3, 9))
    with pytest.raises(SourceError, match='fewer than 4 frames'):
        make_sources(DataConfig(), short, 'train')
    broken = video_folder(tmp_path / 'broken')
    path = next((broken / 'thermal').iterdir())
    path.write_bytes(b'nothing')
    with pytest.raises(SourceError, match=r"thermal/.*avi' cannot be decoded"):
        make_sources(DataConfig(), broken, 'train')
    other = video_folder(tmp_path / 'other')
    path = next((other / 'thermal').iterdir())
    write_video(path, [np.zeros((32, 64), np.uint8)] * 9)
    with pytest.raises(SourceError, match=r'64x48 pixels and .* 64x32'):
        make_sources(DataConfig(), other, 'train')


def test_simulated_streets_are_aligned_and_move():
    streets = Streets(1, 'train')
    assert len(streets) == 4
    first, then = streets.moments(1, np.random.default_rng(0), 2)
    assert first.visible.shape == first.thermal.shape == (480, 640)
    assert not np.array_equal(first.visible, then.visible)
    assert len(streets.moments(1, np.random.default_rng(0), 1)) == 1

    def edges(image):
        smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 2)
        return np.hypot(cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1))

    # Edges of both cameras agree best where they are.
    visible, thermal = edges(first.visible) ** 0.5, edges(first.thermal) ** 0.5
    agreement = {}
    for dy, dx in itertools.product((-4, 0, 4), repeat=2):
        moved = np.roll(thermal, (dy, dx), (0, 1))[10:-10, 10:-10]
        agreement[dy, dx] = np.corrcoef(moved.ravel(), visible[10:-10, 10:-10].ravel())[0, 1]
    assert max(agreement, key=agreement.__getitem__) == (0, 0)


def test_the_simulator_has_its_share(yard):
    config = DataConfig(simulated=0.25, simulated_scenes=1)
    sources = make_sources(config, yard, 'train')
    assert [source.name for source in sources] == ['yard', 'simulated']
    assert shares(config, sources) == pytest.approx([0.75, 0.25])


# Batches

BUSY = DataConfig(degradation=3.0, temporal=0.5)


def test_batches_have_one_shape_and_range(yard):
    for batch in take(make_loader(BUSY, yard, batch_size=3, crop=40), 6):
        for part in filter(None, (batch, batch.then)):
            for name in ('visible', 'thermal', 'clean_visible', 'clean_thermal'):
                plane = getattr(part, name)
                assert plane.shape == (3, 1, 40, 40)
                assert plane.dtype == torch.float32
                assert plane.is_contiguous()
                assert 0 <= plane.min() <= plane.max() <= 1


def test_a_run_that_goes_on_sees_what_it_would_have_seen(yard):
    whole = take(make_loader(BUSY, yard, batch_size=2, crop=24, seed=7), 8)
    rest = take(make_loader(BUSY, yard, batch_size=2, crop=24, seed=7, start_step=5), 3)
    assert all(same(one, other) for one, other in zip(whole[5:], rest, strict=True))
    assert not same(whole[0], whole[1])


def test_seed_rank_and_split_change_the_batches(yard):
    first = next(make_loader(BUSY, yard, crop=24))
    for other in ({'seed': 1}, {'rank': 1, 'world': 2}, {'split': 'validation'}):
        assert not same(first, next(make_loader(BUSY, yard, crop=24, **other)))
    assert same(first, next(make_loader(BUSY, yard, crop=24, world=2)))


def test_workers_change_nothing(yard):
    alone = take(make_loader(BUSY, yard, batch_size=2, crop=24, start_step=3), 5)
    helped = make_loader(BUSY, yard, batch_size=2, crop=24, start_step=3, workers=2)
    assert all(same(one, other) for one, other in zip(alone, take(helped, 5), strict=True))


def test_clean_images_stay_aligned_and_undegraded(tmp_path):
    """Visible and thermal are one picture: the clean planes must stay one picture."""
    picture = np.random.default_rng(0).integers(0, 256, (60, 60), np.uint8)
    write_pair(tmp_path / 'yard', stems_of('yard', 'train', 1)[0], picture)
    config = DataConfig(intensity=0.0, degradation=1e9, dead=0.0, temporal=1.0)
    for batch in take(make_loader(config, tmp_path, batch_size=4, crop=32), 10):
        for part in (batch, batch.then):
            assert torch.equal(part.clean_visible, part.clean_thermal)
            assert not any(torch.equal(a, b) for a, b in
                           zip(part.visible, part.clean_visible, strict=True))
            assert not any(torch.equal(a, b) for a, b in
                           zip(part.thermal, part.clean_thermal, strict=True))


def test_then_of_a_still_is_the_same_place_within_two_pixels(tmp_path):
    folder = tmp_path / 'yard'
    write_pair(folder, stems_of('yard', 'train', 1)[0], coordinates(60, 80))
    config = DataConfig(**PLAIN, temporal=1.0)
    moves = set()
    for batch in take(make_loader(config, folder, batch_size=4, crop=24), 40):
        for now, then in zip(batch.visible, batch.then.visible, strict=True):
            # Level 2 x + y / 2, modulo 256, on average.
            step = ((then - now).mean() * 255 + 128) % 256 - 128
            moves.add(round(step.item() * 2) / 2)
    assert min(moves) >= -5
    assert max(moves) <= 5
    assert len(moves) > 8


def test_temporal_batches_draw_from_videos_and_stills(tmp_path):
    folder = video_folder(tmp_path / 'clips')
    still = stems_of('clips', 'train', 2)[1]
    write_pair(folder, still, np.zeros((48, 64), np.uint8))
    for stand_still, expected in ((0.0, 1.0), (1.0, 0.0), (0.5, 0.5)):
        config = DataConfig(**PLAIN, temporal=1.0, stand_still=stand_still)
        batches = take(make_loader(config, folder, batch_size=10, crop=64), 12)
        moving = [bool((then - now).abs().max() > 0.004) for batch in batches
                  for now, then in zip(batch.visible, batch.then.visible, strict=True)]
        assert np.mean(moving) == pytest.approx(expected, abs=0.15)
    some = take(make_loader(DataConfig(temporal=0.3), folder, batch_size=1, crop=16), 100)
    assert 15 < sum(batch.then is not None for batch in some) < 45


@pytest.mark.parametrize(('changes', 'message'), [
    ({'batch_size': 0}, 'batch_size is 0, expected 1 or more'),
    ({'crop': 4}, 'crop is 4, expected 8 or more'),
    ({'rank': 2, 'world': 2}, r'rank is 2, expected 0 to 1 \(world is 2\)'),
    ({'split': 'all'}, "split is 'all', expected one of train"),
    ({'start_step': -1}, 'start_step is -1'),
])
def test_bad_arguments_are_named(yard, changes, message):
    with pytest.raises(ParameterError, match=message):
        make_loader(DataConfig(), yard, **changes)


@pytest.mark.parametrize(('changes', 'message'), [
    ({'haze': 1.5}, 'data.haze is 1.5, expected 0 to 1'),
    ({'degradation': -1.0}, 'data.degradation is -1.0, expected 0 to inf'),
    ({'cache_mb': -1}, 'data.cache_mb is -1'),
    ({'simulated_scenes': 0}, 'data.simulated_scenes is 0'),
    ({'share': {'msrs': float('nan')}}, "data.share of 'msrs' is nan"),
])
def test_bad_settings_are_named(changes, message):
    with pytest.raises(ParameterError, match=message):
        DataConfig(**changes)


def test_a_split_without_pairs_is_named(tmp_path):
    write_pair(tmp_path / 'yard', stems_of('yard', 'train', 1)[0], np.zeros((9, 9), np.uint8))
    with pytest.raises(SourceError, match=r'\(yard\) has no pair for validation'):
        make_loader(DataConfig(), tmp_path, 'validation')


def test_real_data_load(shared_data):
    config = DataConfig(datasets=('roadscene', 'm3svd_stills'), temporal=0.5)
    for split in ('train', 'validation'):
        batch = next(make_loader(config, shared_data, split, batch_size=3, crop=64))
        assert batch.clean_visible.std() > 0.01
        assert batch.clean_thermal.std() > 0.01
