"""What a service beside TensorBoard is told, and that its run ends when ours is stopped. The service is a stand-in: no test
may reach W&B or SwanLab, and neither is installed for tests."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.training import tracking
from core.training.loop import Stopped

pytestmark = pytest.mark.skipif(find_spec("transformers") is None, reason="needs transformers")


class Run:
    def __init__(self, **given: Any) -> None:
        print("this service talks")
        self.given, self.told, self.ended = given, [], False

    def log(self, values: dict[str, float], step: int) -> None:
        self.told.append((step, values))

    def finish(self) -> None:
        self.ended = True


@pytest.mark.parametrize("track", ["wandb", "swanlab"])
def test_numbers_are_told_and_a_run_that_is_stopped_ends_there_too(
    track: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import TrainerCallback  # before the stand-in is there, which it would look at

    begun: list[Run] = []
    package = SimpleNamespace(Settings=dict, init=lambda **given: begun.append(Run(**given)) or begun[-1])
    monkeypatch.setitem(sys.modules, track, package)  # type: ignore[arg-type]

    def stopped() -> None:
        with tracking.service(track, "trained:stock@1", tmp_path, {"epochs": 3}) as (callback,):
            assert isinstance(callback, TrainerCallback)
            state: Any = SimpleNamespace(global_step=7)
            callback.on_log(None, state, None, logs={"loss": 0.5, "learning_rate": 1e-3, "note": "a row"})
            callback.on_log(None, state, None, logs={"eval_loss": 0.25})
            raise Stopped

    for _ in range(2):
        with pytest.raises(Stopped):
            stopped()
    assert [run.ended for run in begun] == [True, True], "one run of theirs for each of ours"
    run = begun[0]
    assert run.told == [(7, {"train/loss": 0.5, "train/learning_rate": 1e-3}), (7, {"eval/loss": 0.25})]
    assert (run.given["name"], run.given["config"]) == ("trained:stock@1", {"epochs": 3})
    assert run.given["settings"] in ({"console": "off"}, {"terminal": {"proxy_type": "none"}}), "no terminal is copied"
    assert str(tmp_path) in str(run.given)
    assert capsys.readouterr().out == "", "standard output is the command's own"


def test_without_a_service_nobody_is_told(tmp_path: Path) -> None:
    with tracking.service("", "x", tmp_path, {}) as told:
        assert told == []
