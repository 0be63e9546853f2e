"""Answers that cannot share a batch: one at a time through ``generate``, which knows every architecture.

For requests with images, and for models whose state is more than keys and values (Mamba, recurrent layers, positions
in space). The rules of choosing a token are the same as in a batch.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from core.providers.torch_batch import Closed, Request
from core.providers.torch_sampling import draw

if TYPE_CHECKING:
    import torch


class Alone:
    """One request at a time, each on a thread of its own."""

    held_bytes = 0  # a cache lives as long as its request

    def __init__(self, model: Any, *, threads: int = 0, name: str = "") -> None:
        self._model, self._threads, self._name = model, threads, name
        self._turn = threading.Lock()
        self._running: dict[Request, threading.Thread] = {}

    def submit(self, request: Request) -> None:
        thread = threading.Thread(
            target=self._answer, args=(request, self._model), name=f"touchstone-torch {self._name}", daemon=True
        )
        self._running[request] = thread
        thread.start()

    def cancel(self, request: Request) -> None:
        request.cancelled = True

    def cancel_all(self) -> None:
        for request in list(self._running):
            request.cancelled = True

    def close(self) -> None:
        self._model = None

    def join(self, timeout_s: float) -> bool:
        threads = list(self._running.values())
        for thread in threads:
            thread.join(timeout_s)
        return not any(thread.is_alive() for thread in threads)

    def _answer(self, request: Request, model: Any) -> None:
        try:
            with self._turn:
                if request.cancelled:
                    request.ended()
                elif model is None:
                    request.finish(Closed())
                else:
                    self._generate(request, model)
        finally:
            self._running.pop(request, None)

    def _generate(self, request: Request, model: Any) -> None:
        import torch

        choosing = _Choosing(request)
        try:
            if self._threads:
                torch.set_num_threads(self._threads)
            inputs = request.inputs or {"input_ids": torch.tensor([request.prompt])}
            inputs = {k: v.to(model.device) if hasattr(v, "to") else v for k, v in inputs.items()}
            pad = min(request.end_tokens, default=0)
            with torch.inference_mode():
                model.generate(
                    **inputs,
                    generation_config=GenerationConfig(
                        max_new_tokens=request.max_tokens, do_sample=False, pad_token_id=pad
                    ),
                    logits_processor=LogitsProcessorList([choosing]),
                    stopping_criteria=StoppingCriteriaList([_Ending(choosing)]),
                )
        except Exception as error:  # noqa: BLE001  the model's own code: whatever it raises ends this request, not the engine
            if not choosing.over:
                request.finish(error)
        else:
            if not choosing.over:  # dropped
                request.ended()


class _Choosing(LogitsProcessor):
    """Chooses the token itself and leaves ``generate`` no other."""

    def __init__(self, request: Request) -> None:
        self.request, self.over = request, False

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        drawn = draw(scores, [self.request.sampler])[0]
        if not self.request.cancelled:
            self.over = self.request.take(drawn)
        only = scores.new_full(scores.shape, float("-inf"))
        only[0, drawn.token] = 0.0
        return only


class _Ending(StoppingCriteria):
    def __init__(self, choosing: _Choosing) -> None:
        self._choosing = choosing

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        import torch

        over = self._choosing.over or self._choosing.request.cancelled
        return torch.full((input_ids.shape[0],), over, dtype=torch.bool, device=input_ids.device)
