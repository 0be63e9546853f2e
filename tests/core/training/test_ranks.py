"""AdaLoRA on a model of some thousand weights: what is masked, what is validated, and a run that is gone on with."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from core.providers.openmp import be_polite

pytestmark = [
    pytest.mark.skipif(not (find_spec("torch") and find_spec("peft")), reason="needs torch and peft"),
    pytest.mark.usefixtures("one_thread"),
]

SETTINGS = {
    "epochs": 5, "batch_size": 8, "accumulate": 1, "learning_rate": 0.05, "weight_decay": 0.01, "evaluations": 1,
    "patience": 100, "rank": 2, "alpha": 4, "dropout": 0.0,
}  # fmt: skip
ROWS = [{"input_ids": [1 + n % 3, 4 + n % 5, 9], "label": n % 3} for n in range(32)]
STEPS = 20


def model() -> Any:
    be_polite()  # before torch is there
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from core.training.recipes.adapters import with_adapters

    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=12, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=8, initializer_range=0.2, num_labels=3, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return with_adapters(BertForSequenceClassification(config), SETTINGS, "SEQ_CLS", steps=STEPS)


def batch(rows: list[dict[str, Any]]) -> dict[str, Any]:
    import torch

    return {name: torch.tensor([row[key] for row in rows]) for name, key in (("input_ids", "input_ids"), ("labels", "label"))}  # fmt: skip


def learn(made: Any, folder: Path, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    from core.training.loop import Log, Session, optimize
    from core.training.recipes import ranks

    session = Session(folder, Log(folder.parent / "progress.jsonl"), 0, "cpu", stop)
    return optimize(made, ROWS, ROWS[:9], batch, SETTINGS, session, loss=ranks.loss, callbacks=[ranks.moving(made)])


def test_a_run_that_goes_on_has_the_ranks_and_the_importance_it_had(tmp_path: Path) -> None:
    import torch

    from core.training.loop import Stopped
    from core.training.recipes import ranks

    whole = model()
    facts = learn(whole, tmp_path / "whole")
    tuner = whole.base_model
    left = sum(int((weight != 0).sum()) for name, weight in whole.named_parameters() if "lora_E" in name)
    assert left <= tuner.rankallocator.target_bgt < tuner.rankallocator.init_bgt
    assert ranks.masked(whole) > 0
    with torch.no_grad():
        plain = float(whole.eval().get_base_model()(**batch(ROWS[:9])).loss)
    assert facts["validation_loss"] == pytest.approx(plain, abs=1e-5), "without peft's penalty"

    for more in (9, 8):  # stopped while ranks are taken away, and when they are fixed
        steps = iter(range(1, more + 1))
        with pytest.raises(Stopped):
            learn(model(), tmp_path / "again", lambda steps=steps, more=more: next(steps) == more)  # type: ignore[misc]
    again = model()
    assert learn(again, tmp_path / "again")["resumed_from"] == 17
    for (name, one), (_, other) in zip(whole.named_parameters(), again.named_parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5), name
