# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Conditions of --fail-if: what they mean, and what is wrong with those that mean nothing."""

import pytest

from ivif_ros.errors import ParameterError
from ivif_ros.evaluation.records import Estimate, MethodSummary, RunInfo, Summary
from ivif_ros.evaluation.thresholds import parse_threshold

NET = 'onnx:/tmp/net.v2.onnx'
METHODS = ['pyramid', 'pyramid_2', NET]


def mean(value):
    return Estimate(value, None, None, 3, 'pairs')


def method(vif, failed=0):
    return MethodSummary(
        {'VIF': mean(vif), 'MS-SSIM': mean(0.7), 'MI_mean': mean(1.0)},
        {'total': {'p50': 30.0, 'p90': 40.0, 'p99': 50.0}}, 10, failed, {'fused': 10},
        {'ratio': 0.9, 'consistency': None}, {'EPE': mean(2.0)})


SUMMARY = Summary(
    RunInfo({}, METHODS, {}, 10),
    {'pyramid': method(0.5), 'pyramid_2': method(0.3, failed=2), NET: method(0.4)}, {},
    {'pyramid': {'fused': {'AP50': 0.6}, 'thermal': {'AP50': 0.2}}})


@pytest.mark.parametrize(('text', 'failed'), [
    ('fused.VIF<0.4', True),  # one of the methods is enough
    ('fused.VIF<0.3', False),
    ('fused.VIF<=0.3', True),
    ('pyramid.VIF<0.4', False),
    ('pyramid_2.VIF < 0.4', True),
    (f'{NET}.VIF>=0.4', True),
    (f'{NET}.VIF>0.4', False),
    ('pyramid.MS-SSIM<0.71', True),
    ('pyramid.MI_mean>1', False),
    ('fused.latency.total.p99>49.9', True),
    ('fused.latency.total.p50>30', False),
    ('pyramid.detection.fused.AP50<0.5', False),
    ('pyramid.detection.thermal.AP50<0.5', True),
    ('fused.registration.EPE>1e0', True),
    ('fused.flicker.ratio>1', False),
    ('fused.failed>0', True),
    ('pyramid.failed>0', False),
    ('fused.pairs<10', False)])
def test_a_condition_that_holds_fails(text, failed):
    assert parse_threshold(text, METHODS).judge(SUMMARY).failed is failed


@pytest.mark.parametrize('text', [
    'pyramid.dE>10', 'fused.detection.fused.AP50<0.5', 'pyramid.flicker.consistency<0.5',
    'pyramid.latency.fusion.p50>1'])
def test_what_was_not_measured_fails_and_says_so(text):
    verdict = parse_threshold(text, METHODS).judge(SUMMARY)
    assert verdict.failed
    assert 'not measured' in verdict.words


def test_the_words_name_the_method_and_the_value():
    verdict = parse_threshold('fused.VIF<0.4', METHODS).judge(SUMMARY)
    assert verdict.words == 'pyramid_2.VIF is 0.3'


@pytest.mark.parametrize(('text', 'words'), [
    ('', 'no condition'), ('VIF', 'no condition'), ('fused.VIF', 'no condition'),
    ('fused.VIF=0.4', 'no condition'), ('fused.VIF==0.4', 'no condition'),
    ('fused.VIF!=0.4', 'no condition'), ('fused.VIF<', 'no condition'),
    ('<0.4', 'no condition'), ('fused.VIF<0.4<1', 'no condition'),
    ('fused.VIF<low', "'low' is no number"), ('fused.VIF<nan', 'NaN'),
    ('VIF<0.4', 'names none of the methods'), ('pyramids.VIF<0.4', 'names none of the methods'),
    ('pyramid<0.4', 'names none of the methods'),
    ('fused.vif<0.4', "did you mean 'VIF'"), ('fused.VIFF<0.4', "did you mean 'VIF'"),
    ('fused.latency.totl.p99<1', "did you mean 'total'"),
    ('fused.latency.total.p95<1', "no 'p95'"), ('fused.latency<1', r'latency\.total\.p99'),
    ('fused.detection.fused<1', r'detection\.fused\.AP50'),
    ('fused.detection.radar.AP50<1', "no 'radar'"), ('fused.VIF.mean<1', 'no figure'),
    ('fused.registration.VIF<1', "no 'VIF'")])
def test_what_is_no_condition_is_explained(text, words):
    with pytest.raises(ParameterError, match=words):
        parse_threshold(text, METHODS)
