"""The benchmark of graphics cards runs through from beginning to end, with tiny models on a CPU."""

from __future__ import annotations

import pytest

from benchmarks import gpu
from core.providers.torch_device import Device

TINY = {"tiny": {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 264}}  # fmt: skip


def test_without_a_card_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "devices", lambda: [Device("cpu", "cpu", "CPU")])
    result = gpu.run()
    assert result.notes[0][0] == "not run: no device"
    assert not result.targets


def test_every_step_runs_on_tiny_models() -> None:
    result = gpu.measure(TINY, clients=(1, 3), tokens=6, cycles=2, device="cpu")
    rates = result.raw["tiny"]["rates"]
    assert {"Touchstone, 3 at once", "generate, one by one", "generate_batch, 3 at once"} <= set(rates)
    assert all(rate > 0 for rate in rates.values())
    held = {target.text[0]: target for target in result.targets}
    assert held["two models share the card (1 = yes)"].met
    assert held["tiny: slots free after 3 cancels"].met
    assert held["tiny: memory left over 2 cycles"].met


def test_parameters_are_counted_as_the_model_has_them() -> None:
    assert 0.45e9 < gpu.parameters(gpu.SIZES["0.5B"]) < 0.7e9
    assert 7e9 < gpu.parameters(gpu.SIZES["7B"]) < 8e9
