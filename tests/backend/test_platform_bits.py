"""The same bits on every processor, compiler and system with fused multiply-add.

The stored hashes are those of x86-64 (AVX2 and AVX-512) and of ARM (NEON).
"""

from __future__ import annotations

import json
import platform

import platform_bits
import pytest
from teams import TASKS, n_tasks, team

from fastnn import backend as backends
from fastnn.backend import compiled

STORED = json.loads(platform_bits.STORED.read_text(encoding="utf-8"))
ARM = platform.machine() in ("aarch64", "arm64")
# x86-64-v2 has no fused multiply-add.
FUSED = [
    isa
    for isa in compiled.built()
    if isa in ("v3", "v4", "v4b") + ("baseline",) * ARM and compiled.runs_here(isa)
]
pytestmark = pytest.mark.skipif(not FUSED, reason="a promise of cores with fused multiply-add")
every_core = pytest.mark.parametrize("isa", FUSED)


def differing(hashes):
    return sorted(name for name in hashes if hashes[name] != STORED.get(name))


@every_core
def test_kernels_have_the_stored_bits(isa, dtype):
    assert not differing(platform_bits.of_kernels(isa, dtype))


@every_core
def test_trained_programs_have_the_stored_bits(isa, dtype):
    assert not differing(platform_bits.of_programs(isa, dtype))


@every_core
@pytest.mark.parametrize("threads", [1, 2])
def test_a_team_of_threads_has_the_stored_bits(threads, isa, dtype):
    with team(threads):
        assert not differing(platform_bits.of_wide_program(isa, dtype))
        assert n_tasks() >= threads or not TASKS.exists(), "there was no such team"


def test_trained_networks_have_the_stored_bits(dtype):
    if backends.instruction_set() not in FUSED:
        pytest.skip("another core is in use")
    assert not differing(platform_bits.of_networks(dtype))
