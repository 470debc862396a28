# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Behaviour of the matcher on the rigs and the mishaps that robots have."""

import numpy as np
import pytest
from sync_streams import BASE, IMAGE, MS, Player, camera, frame, merged

from ivif_ros.parameters import SyncParameters
from ivif_ros.types import Frame

RGB_30 = [100 * k / 3 for k in range(60)]


def rounded(values):
    return [round(value, 3) for value in values]


def test_equal_rates_leave_with_the_later_frame():
    thermal = [stamp + 2 for stamp in RGB_30]
    player = Player().play(merged(camera('rgb', RGB_30), camera('thermal', thermal, 5.0)))
    assert player.stamps() == list(zip(rounded(RGB_30), rounded(thermal), strict=True))
    assert {pair.skew_ns for pair in player.out} == {2 * MS}
    assert max(player.latencies_ms()[6:]) == 0.0  # six frames teach the periods
    assert player.counts() == {}


def test_slow_thermal_is_held_and_nobody_waits_for_it():
    """9 Hz beside 30 Hz: an RGB frame waits only if a thermal frame within tolerance is due."""
    thermal = [1000 * k / 9 for k in range(18)]
    player = Player(pairing='hold').play(
        merged(camera('rgb', RGB_30, 3.0), camera('thermal', thermal, 8.0)))
    shown = player.stamps()
    assert [rgb for rgb, _ in shown] == rounded(RGB_30)
    for rgb, partner in shown:
        near = min(thermal, key=lambda stamp: abs(stamp - rgb))
        expected = near if abs(near - rgb) <= 20 else max(s for s in thermal if s <= rgb)
        assert partner == round(expected, 3)
    seen = set()
    for pair, (_, partner) in zip(player.out, shown, strict=True):
        assert pair.held == (partner in seen)
        seen.add(partner)
    waits = [time - pair.rgb.received_ns
             for time, pair in zip(player.times, player.out, strict=True)]
    # Once the periods are known: 8 + 11.1 - 3 ms, for a thermal frame that is 11.1 ms younger.
    for wait, (rgb, partner) in zip(waits[20:], shown[20:], strict=True):
        assert wait == pytest.approx(max(partner - rgb + 5.0, 0.0) * MS, abs=2000)
    assert player.counts() == {}


def test_slow_thermal_without_hold_leaves_partial_at_once():
    thermal = [1000 * k / 9 for k in range(18)]
    player = Player(pairing='match').play(
        merged(camera('rgb', RGB_30, 3.0), camera('thermal', thermal, 8.0)))
    partial = [pair for pair in player.out[20:] if pair.thermal is None]
    assert len(partial) == 28
    waits = [time - pair.rgb.received_ns
             for time, pair in zip(player.times[20:], player.out[20:], strict=True)
             if pair.thermal is None]
    assert waits == [0] * len(partial)


def test_thermal_that_cannot_come_in_time_is_not_waited_for():
    """Lag of 90 ms, wait of 40 ms: the partner is sure to be late, so hold takes what is there."""
    player = Player(pairing='hold').play(
        merged(camera('rgb', RGB_30), camera('thermal', RGB_30, 90.0)))
    late = [(time, pair) for time, pair in zip(player.times, player.out, strict=True)
            if pair.rgb is not None][10:]
    assert len(late) == 50
    assert {round(pair.skew_ns / MS) for _, pair in late} == {-100}
    assert {time - pair.rgb.received_ns for time, pair in late} == {0}
    assert not any(pair.held for _, pair in late)


def test_unused_thermal_beyond_the_tolerance_serves_hold():
    """Half a period apart and tolerance 10 ms: nothing matches, hold shows the frame before."""
    thermal = [stamp + 16 for stamp in RGB_30]
    player = Player(pairing='hold', tolerance_ms=10.0).play(
        merged(camera('rgb', RGB_30), camera('thermal', thermal)))
    assert {round(pair.skew_ns / MS, 1) for pair in player.out[1:]} == {-17.3}
    assert not any(pair.held for pair in player.out)


def test_fast_delayed_thermal_gets_exact_partners():
    """60 Hz beside 30 Hz and late: message_filters pairs each frame with a neighbour."""
    thermal = [100 * k / 6 for k in range(120)]
    player = Player(pairing='match').play(
        merged(camera('rgb', RGB_30), camera('thermal', thermal, 25.0)))
    assert len(player.out) == 60
    assert {pair.skew_ns for pair in player.out} == {0}
    assert player.counts() == {'thermal.surplus': 60}


def test_identical_stamps_pair_at_tolerance_zero():
    player = Player(pairing='match', tolerance_ms=0.0).play(
        merged(camera('rgb', RGB_30), camera('thermal', RGB_30, 4.0)))
    assert [pair.skew_ns for pair in player.out] == [0] * 60


@pytest.mark.parametrize('first', ['rgb', 'thermal'])
@pytest.mark.parametrize('longer', ['rgb', 'thermal'])
def test_bag_loop_goes_on_at_once(longer, first):
    """One camera has 15 more frames at the end of the lap than the other."""
    lap = [100 * k / 3 for k in range(300)]
    events = []
    for turn in range(2):
        for event_sensor, item in merged(
                camera('rgb', lap if longer == 'rgb' else lap[:-15], 2.0),
                camera('thermal', lap if longer == 'thermal' else lap[:-15],
                       1.0 if first == 'thermal' else 3.0)):
            events.append((event_sensor, Frame(item.stamp_ns, event_sensor, IMAGE,
                                               received_ns=item.received_ns + turn * 10_000 * MS)))
    player = Player(pairing='match').play(events)
    second = [pair for pair in player.out if pair.received_ns > (1000 + 10_000) * MS]
    matched = [pair for pair in second if pair.rgb is not None and pair.thermal is not None]
    # A camera that ended 0.5 s before counts as silent: the first frame does not wait for it.
    assert len(matched) == (284 if longer == first else 285)
    assert {pair.skew_ns for pair in matched} == {0}
    assert player.counts()['rgb.clock_jump'] == 1
    assert player.counts()['thermal.clock_jump'] == 1
    assert sum(pair.rgb is not None for pair in player.out) == (600 if longer == 'rgb' else 570)


def test_jump_back_of_one_camera_keeps_the_other_in_order():
    """The RGB driver restarts with a clock that is an hour behind, then is corrected."""
    hour = 3_600_000.0
    first, second = camera('rgb', RGB_30[:20]), camera('rgb', RGB_30[20:40])
    second = [(sensor, Frame(item.stamp_ns - round(hour * MS), 'rgb', IMAGE,
                             received_ns=item.received_ns)) for sensor, item in second]
    third = camera('rgb', RGB_30[40:])
    player = Player(pairing='match').play(
        merged(first, second, third, camera('thermal', RGB_30, 2.0)))
    counts = player.counts()
    assert counts['rgb.clock_jump'] == 1
    assert sum(pair.thermal is None for pair in player.out) == 20
    assert sum(pair.thermal is not None and pair.rgb is not None for pair in player.out) == 40
    assert player.losses('thermal') == 20


def test_jump_ends_the_wait_of_the_old_time():
    player = Player(pairing='match', max_wait_ms=1000.0)
    events = merged(camera('rgb', RGB_30[:20], 1.0), camera('thermal', RGB_30[:19], 2.0))
    player.play(events, flush=False)
    assert len(player.out) == 19
    player.play([('thermal', frame(-5000.0, 700.0, 'thermal'))], flush=False)
    assert player.stamps()[19:] == [(round(RGB_30[19], 3), None)]
    player.play([('rgb', frame(-5000.0, 701.0))], flush=False)
    assert player.stamps()[20:] == [(-5000.0, -5000.0)]


def test_jump_drops_thermal_frames_of_the_old_time():
    player = Player(pairing='match')
    player.play(merged(camera('rgb', RGB_30[:19]), camera('thermal', RGB_30[:20], 2.0)),
                flush=False)
    player.play([('rgb', frame(-5000.0, 650.0))], flush=False)
    assert player.counts() == {'rgb.clock_jump': 1, 'thermal.surplus': 1}


def test_one_absurd_thermal_stamp_disturbs_one_pair():
    events = merged(camera('rgb', RGB_30), camera('thermal', RGB_30, 2.0))
    where = next(k for k, (sensor, item) in enumerate(events)
                 if sensor == 'thermal' and item.stamp_ns == BASE + round(1000 * MS))
    events[where] = ('thermal', Frame(BASE + 10**18, 'thermal', IMAGE,
                                      received_ns=events[where][1].received_ns))
    player = Player(pairing='match').play(events)
    assert [pair.rgb.stamp_ns - BASE for pair in player.out if pair.thermal is None] == [1000 * MS]
    assert len(player.out) == 60
    assert player.counts() == {'thermal.clock_jump': 1, 'thermal.surplus': 1}


def test_both_clocks_jump_forward():
    late = [stamp + 86_400_000 for stamp in RGB_30]
    events = merged(camera('rgb', RGB_30), camera('thermal', RGB_30, 2.0))
    events += [(sensor, Frame(item.stamp_ns, sensor, IMAGE,
                              received_ns=item.received_ns - 86_400_000 * MS + 2000 * MS))
               for sensor, item in merged(camera('rgb', late), camera('thermal', late, 2.0))]
    player = Player(pairing='match').play(events)
    partial = [pair for pair in player.out if pair.rgb is None or pair.thermal is None]
    assert len(partial) <= 2  # the first frame of the new time may find nobody
    assert sum(1 for pair in player.out if pair.rgb is not None) == 120


def test_lost_frame_does_not_shift_its_followers():
    """Tolerance above the period: still each frame has its own partner."""
    thermal = [stamp for k, stamp in enumerate(RGB_30) if k != 20]
    player = Player(pairing='match', tolerance_ms=40.0).play(
        merged(camera('rgb', RGB_30), camera('thermal', thermal, 2.0)))
    assert player.stamps() == [
        (stamp, None if k == 20 else stamp) for k, stamp in enumerate(rounded(RGB_30))]


def test_bounded_wait_then_alone_then_late():
    """A partner that comes after the wait is counted, and the next pair is not disturbed."""
    thermal = camera('thermal', RGB_30, [60.0 if k == 30 else 2.0 for k in range(60)])
    player = Player(pairing='match', max_wait_ms=40.0).play(
        merged(camera('rgb', RGB_30), thermal))
    assert player.stamps()[30] == (1000.0, None)
    assert player.times[30] - player.out[30].rgb.received_ns == 2 * MS + round(100 * MS / 3)
    assert player.counts() == {'thermal.late': 1}
    assert sum(pair.thermal is None for pair in player.out) == 1


def test_wait_ends_at_max_wait_where_nothing_can_be_known():
    player = Player(pairing='match', max_wait_ms=25.0)
    player.play([('rgb', frame(0.0)), ('rgb', frame(10.0))], flush=False)
    assert player.matcher.next_deadline_ns() == frame(25.0).received_ns
    player.poll_until(frame(24.9).received_ns)
    assert player.out == []
    player.poll_until(frame(25.0).received_ns)
    assert player.stamps() == [(0.0, None), (10.0, None)]  # silent since the first frame


def test_silent_thermal_camera_costs_no_latency():
    thermal = [stamp for k, stamp in enumerate(RGB_30) if not 15 <= k < 45]
    player = Player(pairing='match').play(
        merged(camera('rgb', RGB_30), camera('thermal', thermal, 2.0)))
    # The RGB frame beside the first thermal frame of the return is out before that comes.
    assert [pair.thermal is None for pair in player.out] == [15 <= k < 46 for k in range(60)]
    assert player.counts() == {'thermal.late': 1}
    waits = [(time - pair.rgb.received_ns) / MS
             for time, pair in zip(player.times, player.out, strict=True)]
    assert max(waits) <= 40.0
    assert waits[17:46] == [0.0] * 29


def test_wait_ends_when_the_thermal_camera_becomes_silent():
    player = Player(pairing='match', max_wait_ms=40.0)
    player.play(merged(camera('rgb', RGB_30[:11]), camera('thermal', RGB_30[:9], 2.0)), flush=False)
    last = frame(RGB_30[8] + 2).received_ns
    player.poll_until(player.out[-1].rgb.received_ns + round(100 * MS / 3) + 40 * MS + 1)
    assert len(player.out) == 10  # frame 9 has waited for 40 ms, frame 10 still waits
    assert player.matcher.next_deadline_ns() == pytest.approx(last + (40 + 100 / 3) * MS, abs=2)


def test_silent_rgb_camera_lets_thermal_go_alone():
    rgb = [stamp for k, stamp in enumerate(RGB_30) if not 15 <= k < 45]
    player = Player(pairing='match').play(
        merged(camera('rgb', rgb), camera('thermal', RGB_30, 2.0)))
    assert [thermal for _, thermal in player.stamps()] == rounded(RGB_30)
    assert [pair.rgb is None for pair in player.out] == [15 <= k < 45 for k in range(60)]
    late = [(time - pair.received_ns) / MS for time, pair in
            zip(player.times, player.out, strict=True)]
    assert late[18:45] == [0.0] * 27
    assert player.counts() == {}


def test_thermal_camera_alone_from_the_start():
    player = Player().play(camera('thermal', RGB_30), flush=False)
    assert player.stamps() == [(None, stamp) for stamp in rounded(RGB_30)]
    assert player.matcher.next_deadline_ns() is None


def test_recording_without_rgb_that_ends_early():
    player = Player().play(camera('thermal', RGB_30[:1]))
    assert player.stamps() == [(None, 0.0)]


def test_slow_rgb_beside_fast_thermal_is_not_silent():
    rgb = [100.0 * k for k in range(20)]
    player = Player(pairing='match').play(
        merged(camera('rgb', rgb), camera('thermal', RGB_30, 1.0)))
    assert all(pair.rgb is not None for time, pair in zip(player.times, player.out, strict=True)
               if time > frame(500.0).received_ns)
    assert {pair.skew_ns for pair in player.out if pair.rgb and pair.thermal} == {0}


def test_camera_without_stamps_is_paired_by_arrival():
    thermal = [(sensor, Frame(0, sensor, IMAGE, received_ns=item.received_ns))
               for sensor, item in camera('thermal', RGB_30, 4.0)]
    player = Player(pairing='match').play(merged(camera('rgb', RGB_30, 1.0), thermal))
    assert sum(pair.thermal is not None for pair in player.out) == 60
    assert {pair.skew_ns for pair in player.out} == {3 * MS}
    assert player.counts() == {'thermal.zero_stamp': 60}


def test_burst_without_stamps_is_not_taken_for_one_frame():
    player = Player(pairing='match')
    player.play([('rgb', Frame(0, 'rgb', IMAGE, received_ns=10**9)) for _ in range(3)])
    assert len(player.out) == 3
    assert player.counts() == {'rgb.zero_stamp': 3}


def test_camera_without_stamps_follows_the_loop_of_the_other():
    laps = []
    for turn in range(2):
        for sensor, item in merged(camera('rgb', RGB_30, 1.0), camera('thermal', RGB_30, 4.0)):
            stamp = item.stamp_ns if sensor == 'rgb' else 0
            laps.append((sensor, Frame(stamp, sensor, IMAGE,
                                       received_ns=item.received_ns + turn * 2000 * MS)))
    player = Player(pairing='match').play(laps)
    assert sum(pair.thermal is not None and pair.rgb is not None for pair in player.out) == 120
    assert {pair.skew_ns for pair in player.out} == {3 * MS}


def test_two_cameras_without_stamps():
    def bare(events):
        return [(sensor, Frame(0, sensor, IMAGE, received_ns=item.received_ns))
                for sensor, item in events]
    player = Player(pairing='match').play(
        merged(bare(camera('rgb', RGB_30)), bare(camera('thermal', RGB_30, 5.0))))
    assert {pair.skew_ns for pair in player.out} == {5 * MS}
    assert len(player.out) == 60
    assert player.counts() == {'rgb.zero_stamp': 60, 'thermal.zero_stamp': 60}


def test_duplicates_are_counted():
    events = merged(camera('rgb', RGB_30), camera('thermal', RGB_30, 2.0))
    doubled = [event for event in events for _ in range(2)]
    player = Player(pairing='match').play(doubled)
    assert [pair.skew_ns for pair in player.out] == [0] * 60
    assert player.counts() == {'rgb.duplicate': 60, 'thermal.duplicate': 60}


def test_small_reordering_is_put_right_while_frames_wait():
    player = Player(pairing='match', max_wait_ms=500.0)
    player.play([('rgb', frame(33.0, 40.0)), ('rgb', frame(0.0, 41.0)),
                 ('thermal', frame(0.0, 100.0, 'thermal')),
                 ('thermal', frame(33.0, 101.0, 'thermal'))])
    assert player.stamps() == [(0.0, 0.0), (33.0, 33.0)]
    assert player.counts() == {}


def test_frames_behind_the_output_are_late():
    player = Player(pairing='match')
    player.play([('rgb', frame(33.0)), ('thermal', frame(33.0, 34.0, 'thermal')),
                 ('rgb', frame(66.0)), ('thermal', frame(66.0, 67.0, 'thermal')),
                 ('rgb', frame(50.0, 68.0)), ('thermal', frame(50.0, 69.0, 'thermal'))])
    assert player.stamps() == [(33.0, 33.0), (66.0, 66.0)]
    assert player.counts() == {'rgb.late': 1, 'thermal.late': 1}


def test_hundred_milliseconds_of_jitter():
    generator = np.random.default_rng(7)

    def jittery(sensor):
        events = camera(sensor, RGB_30, generator.uniform(0, 100, 60))
        newest, ordered = 0, []
        for name, item in events:  # one connection delivers in order
            newest = max(newest + 1, item.received_ns)
            ordered.append((name, Frame(item.stamp_ns, name, IMAGE, received_ns=newest)))
        return ordered

    player = Player(pairing='match', max_wait_ms=150.0).play(
        merged(jittery('rgb'), jittery('thermal')))
    assert [pair.skew_ns for pair in player.out] == [0] * 60
    assert player.counts() == {}


@pytest.mark.parametrize('fast', ['rgb', 'thermal'])
def test_ten_times_the_rate(fast):
    flood = [10 * k / 3 for k in range(600)]
    player = Player(pairing='match').play(merged(
        camera('rgb', flood if fast == 'rgb' else RGB_30),
        camera('thermal', flood if fast == 'thermal' else RGB_30, 2.0)))
    matched = [pair for pair in player.out if pair.rgb and pair.thermal]
    assert len(matched) == 60
    assert {pair.skew_ns for pair in matched} == {0}
    if fast == 'rgb':
        assert len(player.out) == 600
    else:
        assert player.losses('thermal') == 540


def test_full_queues_are_counted():
    player = Player(pairing='match', queue_size=3, max_wait_ms=1000.0)
    player.play(camera('rgb', RGB_30[:10]), flush=False)
    assert len(player.out) == 7
    assert player.counts() == {'pair.queue_full': 7}
    player = Player(pairing='match', queue_size=3, max_wait_ms=1000.0)
    player.play(camera('thermal', RGB_30[:10]), flush=False)
    assert player.counts() == {'thermal.overflow': 7}


def test_offsets_bring_the_clocks_together():
    thermal = [stamp + 5000 for stamp in RGB_30]
    events = [(sensor, Frame(item.stamp_ns, sensor, IMAGE,
                             received_ns=item.received_ns - 5000 * MS))
              for sensor, item in camera('thermal', thermal, 1.0)]
    player = Player(pairing='match', rgb_offset_ms=10.0, thermal_offset_ms=-4991.0).play(
        merged(camera('rgb', RGB_30), events))
    assert [pair.skew_ns for pair in player.out] == [-MS] * 60
    assert player.out[0].rgb.stamp_ns == BASE
    assert player.out[0].thermal.stamp_ns == BASE + 5000 * MS


def test_new_parameters_decide_what_waits():
    player = Player(pairing='match', tolerance_ms=1.0)
    player.play([('rgb', frame(0.0)), ('thermal', frame(5.0, sensor='thermal'))], flush=False)
    pairs = player.matcher.set_parameters(SyncParameters(pairing='match', tolerance_ms=10.0))
    assert [(pair.rgb is None, pair.thermal is None) for pair in player.out + pairs] == [
        (False, True)]
    player.play([('rgb', frame(33.0)), ('thermal', frame(38.0, sensor='thermal'))])
    assert player.out[-1].skew_ns == 5 * MS
    assert player.losses('thermal') == 1


def test_reset_forgets_and_counts():
    player = Player()
    player.play([('rgb', frame(0.0))], flush=False)
    player.matcher.reset()
    assert player.counts() == {'rgb.reset': 1}
    player.play(merged(camera('rgb', [-9000.0]), camera('thermal', [-9000.0])))
    assert [pair.skew_ns for pair in player.out] == [0]
    assert player.counts() == {'rgb.reset': 1}
