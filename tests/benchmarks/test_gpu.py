"""The benchmark of graphics cards runs through from beginning to end, with tiny models on a CPU."""

from __future__ import annotations

import pytest

from benchmarks import gpu, gpu_lora
from core.providers.torch_device import Device

TINY = {"tiny": {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 264}}  # fmt: skip


def test_without_a_card_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (gpu, gpu_lora):
        monkeypatch.setattr(module, "devices", lambda: [Device("cpu", "cpu", "CPU")])
        result = module.run()
        assert result.notes[0][0] == "not run: no device"
        assert not result.targets


@pytest.mark.slow
def test_every_step_runs_on_tiny_models() -> None:
    result = gpu.measure(TINY, clients=(1, 3), tokens=6, cycles=2, device="cpu")
    rates = result.raw["tiny"]["rates"]
    lanes = {f"Touchstone, {lane} lane, {count} at once" for lane in ("batch", "paged") for count in (1, 3)}
    assert {*lanes, "generate, one by one", "generate_batch, 3 at once"} == set(rates)
    assert all(rate > 0 for rate in rates.values())
    held = {target.text[0]: target for target in result.targets}
    assert held["two models share the card (1 = yes)"].met
    assert held["tiny: slots free after 3 cancels"].met
    assert held["tiny: memory left over 2 cycles"].met


def test_parameters_are_counted_as_the_model_has_them() -> None:
    assert 0.45e9 < gpu.parameters(gpu.SIZES["0.5B"]) < 0.7e9
    assert 7e9 < gpu.parameters(gpu.SIZES["7B"]) < 8e9


@pytest.mark.slow
def test_adapters_are_trained_by_both_on_tiny_models() -> None:
    result = gpu_lora.measure(TINY["tiny"], device="cpu", name="tiny", steps=12, rounds=2, batch=2, length=64)
    assert set(result.raw["rates"]) == {gpu_lora.OURS, gpu_lora.PLAIN}
    assert all(rate > 0 for rate in result.raw["rates"].values())
    assert 0 < result.raw["trained_weights"] < result.raw["weights"]
