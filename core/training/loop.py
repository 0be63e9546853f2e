"""The loop of all recipes that train with torch: transformers' Trainer, with progress, checkpoints and a way to stop.

A run that was killed goes on from its newest whole checkpoint, with the optimizer, the schedule and the state of the
random numbers that it had, and ends where it would have ended. The model that is kept is the one with the lowest
loss on the validation part.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.training import tracking
from core.training.bases import quiet

TOLD_S = 0.5  # between two lines of progress
PEAK_WARMUP = 0.1  # share of all steps in which the learning rate rises


class Stopped(Exception):
    """The run was asked to stop; its checkpoint is written and it can go on."""


class Helped(Exception):
    """A process beside the first one has done its share; the first one keeps the model."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a run. ``seconds`` and ``cpu_s`` count all its sessions, also those before a kill."""

    step: int
    steps: int
    seconds: float
    cpu_s: float
    eta_s: float | None = None
    loss: float | None = None
    validation_loss: float | None = None
    best: bool = False


class Log:
    """The file of progress, one JSON object a line; a page draws it, a command shows its last line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        last = self.last()
        self._before = (last.seconds, last.cpu_s) if last else (0.0, 0.0)
        self._began = (time.monotonic(), time.process_time())
        self._first_step: int | None = None

    def write(
        self, step: int, steps: int, *, loss: float | None = None, validation: float | None = None, best: bool = False
    ) -> None:
        if self._first_step is None:
            self._first_step = step
        spent = time.monotonic() - self._began[0]
        done = step - self._first_step
        moment = Progress(
            step,
            steps,
            round(self._before[0] + spent, 2),
            round(self._before[1] + time.process_time() - self._began[1], 2),
            round(spent / done * (steps - step), 1) if done > 0 else None,
            loss if loss is None else round(loss, 5),
            validation if validation is None else round(validation, 5),
            best,
        )
        told = {name: value for name, value in asdict(moment).items() if value is not None and value is not False}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")

    def last(self) -> Progress | None:
        return next(iter(self.all()[-1:]), None)

    def all(self) -> list[Progress]:
        """Every moment so far; a line that a kill cut short is left out."""
        if not self.path.is_file():
            return []
        found = []
        for line in self.path.read_text("utf-8").splitlines():
            try:
                found.append(Progress(**json.loads(line)))
            except ValueError:
                continue
        return found


@dataclass(frozen=True, slots=True)
class Session:
    """Where a run keeps its state and how it is watched.

    ``board`` is a folder for TensorBoard, ``track`` a service beside it (see :mod:`core.training.tracking`). Of several
    ``processes`` that learn together this is number ``rank``, from 0 (see :mod:`core.training.parallel`).
    """

    checkpoints: Path
    log: Log
    seed: int
    device: str = ""
    stop: Callable[[], bool] = lambda: False
    board: Path | None = None
    track: str = ""
    name: str = ""
    rank: int = 0
    processes: int = 1


def optimize(
    model: Any,
    train: Sequence[Mapping[str, Any]],
    validation: Sequence[Mapping[str, Any]],
    collate: Callable[[list[Any]], Any],
    settings: Mapping[str, Any],
    session: Session,
    *,
    loss: Callable[[Any, Any], Any] | None = None,
    callbacks: Sequence[Any] = (),
) -> dict[str, Any]:
    """Train ``model`` in place; the facts of the run come back.

    Args:
        collate: makes a batch of rows.
        settings: epochs, batch_size, accumulate, learning_rate, weight_decay, evaluations (a validation and a
            checkpoint so many times an epoch), patience (validations without improvement after which it ends).
        loss: ``(model, batch)`` to a scalar, for models that do not compute their own.
        callbacks: of the Trainer, more than those of every run.

    Raises:
        Stopped: ``session.stop`` said so; a checkpoint is there.
        Helped: this is not the first of several processes, and the run is over.
    """
    from transformers import EarlyStoppingCallback, PrinterCallback

    per_epoch = _per_epoch(len(train), settings)
    every = max(1, math.ceil(per_epoch / settings["evaluations"]))
    arguments = _arguments(settings, session, every, per_epoch)
    watch = _watch(session, every)
    trainer = _trainer(loss)(
        model=model,
        args=arguments,
        train_dataset=list(train),
        eval_dataset=list(validation),
        data_collator=collate,
        callbacks=[
            watch,
            *callbacks,
            *tracking.boards(session.board),
            EarlyStoppingCallback(early_stopping_patience=settings["patience"]),
        ],
    )
    trainer.remove_callback(PrinterCallback)
    if loss is not None or _averages(model):
        # The Trainer would take the loss for a share of the whole step's, and count it once for every process and batch.
        trainer.model_accepts_loss_kwargs = False
    checkpoint = newest(session.checkpoints)
    with quiet(), tracking.service(session.track, session.name, session.checkpoints.parent, settings) as told:
        for callback in told:
            trainer.add_callback(callback)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    state = trainer.state
    if watch.stopped:
        raise Stopped()
    if session.rank:
        raise Helped()
    return {
        "steps": state.global_step,
        "planned_steps": state.max_steps,
        "best_step": state.best_global_step,
        "validation_loss": state.best_metric,
        "resumed_from": int(checkpoint.name.rpartition("-")[2]) if checkpoint else None,
    }


def planned_steps(rows: int, settings: Mapping[str, Any]) -> int:
    """Steps of the optimizer in a run that no early end cuts short."""
    return _per_epoch(rows, settings) * int(settings["epochs"])


def _per_epoch(rows: int, settings: Mapping[str, Any]) -> int:
    return math.ceil(math.ceil(rows / settings["batch_size"]) / settings["accumulate"])


def newest(checkpoints: Path) -> Path | None:
    """The newest whole checkpoint. Others, which a kill left half written, are taken away: the Trainer writes its own
    state last."""
    whole = []
    for folder in checkpoints.glob("checkpoint-*"):
        try:
            json.loads((folder / "trainer_state.json").read_text("utf-8"))
            whole.append((int(folder.name.rpartition("-")[2]), folder))
        except (OSError, ValueError):
            shutil.rmtree(folder)
    return max(whole)[1] if whole else None


def _arguments(settings: Mapping[str, Any], session: Session, every: int, per_epoch: int) -> Any:
    import torch
    from transformers import TrainingArguments

    kind = session.device.partition(":")[0] or ("cuda" if torch.cuda.is_available() else "cpu")
    share = settings["batch_size"] // session.processes
    made = TrainingArguments(
        output_dir=str(session.checkpoints),
        per_device_train_batch_size=share,
        per_device_eval_batch_size=share,
        gradient_accumulation_steps=settings["accumulate"],
        num_train_epochs=settings["epochs"],
        learning_rate=settings["learning_rate"],
        weight_decay=settings["weight_decay"],
        warmup_steps=math.ceil(PEAK_WARMUP * per_epoch * settings["epochs"]),
        max_grad_norm=1.0,
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        prediction_loss_only=True,
        logging_steps=max(1, every // 5),
        disable_tqdm=True,
        report_to="none",
        seed=session.seed,
        data_seed=session.seed,
        remove_unused_columns=False,
        dataloader_pin_memory=kind == "cuda",
        use_cpu=kind == "cpu",
        bf16=kind == "cuda" and torch.cuda.is_bf16_supported(),
    )
    # By itself the Trainer would take every card it sees, in threads of one process, each with a whole batch: fewer steps
    # than were planned, and slower than a process a card.
    made._n_gpu = min(1, made.n_gpu)
    return made


def _trainer(loss: Callable[[Any, Any], Any] | None) -> Any:
    from transformers import Trainer

    if loss is None:
        return Trainer
    own = loss

    class _ByLoss(Trainer):
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            value = own(model, inputs)
            return (value, {"loss": value}) if return_outputs else value

        def prediction_step(self, model: Any, inputs: Any, *_: Any, **__: Any) -> tuple[Any, None, None]:
            import torch

            with torch.no_grad():
                return own(model, self._prepare_inputs(inputs)).detach(), None, None

    return _ByLoss


def _averages(model: Any) -> bool:
    """Whether the model's own loss is a mean over the rows it is given; those that write on divide by the tokens of the
    whole step, of which the Trainer tells them. The others take that argument and do not use it (transformers 5.23)."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    bare = model.get_base_model() if hasattr(model, "get_base_model") else model
    return type(bare).__name__ not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()


def _watch(session: Session, every: int) -> Any:
    from transformers import TrainerCallback

    class _Watch(TrainerCallback):
        """Writes progress, validates at the very end too, and stops when asked."""

        stopped = False
        told = 0.0

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            session.log.write(state.global_step, state.max_steps)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            if state.global_step >= state.max_steps or state.global_step % every == 0:
                control.should_evaluate = control.should_save = True
            if session.stop():
                self.stopped = control.should_save = control.should_training_stop = True
            now = time.monotonic()
            if now - self.told >= TOLD_S:
                self.told = now
                session.log.write(state.global_step, state.max_steps)
            return control

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs:
                session.log.write(state.global_step, state.max_steps, loss=float(logs["loss"]))

        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
            value = float((metrics or {})["eval_loss"])
            best = state.best_metric is None or value <= state.best_metric
            session.log.write(state.global_step, state.max_steps, validation=value, best=best)

    return _Watch()
