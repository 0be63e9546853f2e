"""Trained classifiers, opened from a version: a head, or an encoder with its adapter; both give probabilities."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from core.contracts import EmbeddingModel
from core.errors import InputError, MissingFile
from core.providers.registry import open_model
from core.settings import Settings
from core.training.store import Version

if TYPE_CHECKING:
    import numpy as np


class Classifier(Protocol):
    """Labels for texts, with probabilities."""

    name: str
    labels: tuple[str, ...]

    async def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Shape: ``(len(texts), len(labels))``, each row sums to 1."""
        ...

    async def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """The texts as the classifier sees them. Shape: ``(len(texts), d)``, each row of L2 norm 1."""
        ...

    async def aclose(self) -> None: ...


def open_classifier(version: Version, settings: Settings) -> Classifier:
    """The classifier that ``version`` holds.

    Raises:
        InputError: (reason ``wrong_kind``) it holds a model of another kind.
        MissingFile: its files are gone.
    """
    if version.run.kind != "classification":
        raise InputError(reason="wrong_kind", name=version.served_as, kind=version.run.kind, wanted="classification")
    if (version.model / "head.json").is_file():
        return HeadClassifier(version.model, version.served_as, settings)
    return TorchClassifier(version, settings)


class HeadClassifier:
    """A head and the embedding model it was trained on."""

    def __init__(self, folder: Path, name: str, settings: Settings) -> None:
        from core.training.heads import load

        self.head = load(folder)
        self.name, self.labels = name, self.head.labels
        self.embedding: EmbeddingModel = open_model("embedding", self.head.embedding, settings)

    async def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        import numpy as np

        found = await self.head.predict(list(texts), self.embedding)
        return np.array([[p.probabilities[label] for label in self.labels] for p in found]).reshape(
            -1, len(self.labels)
        )

    async def vectors(self, texts: Sequence[str]) -> np.ndarray:
        return await self.embedding.embed(list(texts), kind="query")

    async def aclose(self) -> None:
        await self.embedding.aclose()


class TorchClassifier:
    """An encoder with a layer for the labels; its work waits in the queue of all local models."""

    def __init__(self, version: Version, settings: Settings) -> None:
        from core.providers.sentence_transformers import Loaded
        from core.training.recipes.classifier import LABELS

        path = version.model / LABELS
        if not path.is_file():
            raise MissingFile(path=str(path), needed_for=version.served_as)
        told = json.loads(path.read_text("utf-8"))
        self.name, self.labels = version.served_as, tuple(told["labels"])
        self._temperature, self._max_tokens = told["temperature"], told["max_tokens"]
        self._version, self._settings = version, settings
        self._loaded: Any = Loaded(self._load, "trained", self.name.partition(":")[2])

    async def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        import numpy as np

        if not texts:
            return np.empty((0, len(self.labels)))
        scores: np.ndarray = await self._loaded.run(lambda opened: self._scores(opened, texts))
        scores = scores / self._temperature
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        found: np.ndarray = shares / shares.sum(axis=1, keepdims=True)
        return found

    async def vectors(self, texts: Sequence[str]) -> np.ndarray:
        found: np.ndarray = await self._loaded.run(lambda opened: self._vectors(opened, texts))
        return found

    async def aclose(self) -> None:
        self._loaded.release()

    def _load(self) -> tuple[Any, Any]:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        from core.providers.torch_device import choose
        from core.providers.torch_loading import merge_adapter
        from core.training.bases import quiet, resolve

        folder, adapter = self._version.model, (self._version.model / "adapter_config.json").is_file()
        source = resolve(self._version.run.base, self._settings).folder if adapter else folder
        safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, **safe)
            model = AutoModelForSequenceClassification.from_pretrained(
                source, num_labels=len(self.labels), dtype=torch.float32, ignore_mismatched_sizes=adapter, **safe
            )
            if adapter:
                model = merge_adapter(model, folder)
        return model.to(choose(self._settings).name).eval().requires_grad_(False), tokenizer

    def _rows(self, tokenizer: Any, texts: Sequence[str]) -> list[dict[str, Any]]:
        clean = [text.encode("utf-8", "replace").decode() or " " for text in texts]
        most = int(min(self._max_tokens, tokenizer.model_max_length))
        return [{"input_ids": row} for row in tokenizer(clean, truncation=True, max_length=most)["input_ids"]]

    def _scores(self, opened: tuple[Any, Any], texts: Sequence[str]) -> np.ndarray:
        from core.training.recipes.classifier import logits, padded

        model, tokenizer = opened
        found: np.ndarray = logits(model, self._rows(tokenizer, texts), padded(tokenizer)).numpy()
        return found

    def _vectors(self, opened: tuple[Any, Any], texts: Sequence[str]) -> np.ndarray:
        """The mean of the last layer over a text's tokens."""
        import numpy as np
        import torch

        from core.training.recipes.classifier import padded

        model, tokenizer = opened
        rows, collate, found = self._rows(tokenizer, texts), padded(tokenizer), []
        with torch.inference_mode():
            for start in range(0, len(rows), 32):
                batch = collate(rows[start : start + 32]).to(model.device)
                states = model.base_model(**batch).last_hidden_state
                mask = batch["attention_mask"].unsqueeze(-1)
                found.append(((states * mask).sum(1) / mask.sum(1)).float().cpu().numpy())
        vectors = np.concatenate(found)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
