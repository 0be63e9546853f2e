"""The one way in for notebook, command line, page and HTTP: settings, workspace, models and ledger, opened once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.contracts import ChatModel, DecisionModel, EmbeddingModel, Reranker
from core.errors import TouchstoneError
from core.providers.openmp import be_polite
from core.providers.registry import open_model
from core.settings import Settings, load_settings
from core.telemetry.ledger import Ledger, Recorded, RecordedReranker, recorded_embedding
from core.types import Example
from core.workspace import Workspace

if TYPE_CHECKING:
    from core.retrieval.judge import Judge

log = logging.getLogger(__name__)

_TRAINED = "trained:"


class Runtime:
    """Holds what is expensive to open. Models open on first use and are shared by all callers."""

    def __init__(self, settings: Settings) -> None:
        be_polite()
        self.settings = settings
        self.workspace = Workspace.open(settings.home)
        self.ledger = Ledger(self.workspace)
        self._models: dict[tuple[str, str], Any] = {}
        self._served: dict[str, str] = {}  # trained:NAME -> trained:NAME@VERSION, as last asked for
        self._is_warm = False  # and stays so when the models are opened anew
        self._lock = threading.RLock()

    def chat(self, name: str | None = None) -> ChatModel:
        """The chat model ``name``, or the one set for the role ``chat``; its calls are in the ledger."""
        return self._model("chat", name or self.settings.model("chat"))

    def judge(self) -> ChatModel:
        return self._model("chat", self.settings.model("judge"))

    def claim_judge(self) -> Judge | None:
        """Judges the sentences of written answers where a judge is set; where none is, rules check them alone."""
        if not self.settings.values["models.judge"]:
            return None
        from core.retrieval.judge import Judge

        return Judge(self.judge())

    def embedding(self, name: str | None = None) -> EmbeddingModel:
        return self._model("embedding", name or self.settings.model("embedding"))

    def warm(self) -> threading.Thread:
        """Get ready for many questions, in a thread: the embedded model answers each in a fifth of the time then.

        Pages do so; a server of yours should. It takes memory (400 MB) and a second of computing.
        """
        self._is_warm = True
        thread = threading.Thread(target=self._warm, name="touchstone-warm", daemon=True)
        thread.start()
        return thread

    def _warm(self) -> None:
        from core.providers.sync import run

        try:
            run(self._model("embedding", self.settings.model("embedding")).warm())
        except TouchstoneError as error:  # whoever asks the model is told
            log.warning("the embedding model is not warm: %s", error)

    def decision(
        self,
        name: str | None = None,
        *,
        examples: Sequence[Example] | Mapping[str, Sequence[Example]] | None = None,
        by: str | None = None,
    ) -> DecisionModel:
        """Answers typed questions: by ``examples`` on the embedding model, else on the chat model ``name``.

        ``by`` asks what was made for decisions instead: ``decisions`` or ``systemone``, the endpoint of that name of
        a service, or ``pipeline``, the pipeline of transformers. ``trained:NAME`` was made for them by itself.
        """
        from core.providers.decisions import decision_model

        if by is None and examples is None and (name or "").startswith(_TRAINED):
            by = "decisions"
        if by is not None:
            return self._model(by, name or self.settings.model("chat"))

        return decision_model(self.chat(name) if examples is None else self.embedding(name), examples)

    def reranker(self, name: str | None = None) -> Reranker | None:
        """The reranker ``name``, or the one that is set; ``None`` when none is. Its calls are in the ledger."""
        chosen = name or self.settings.model("rerank")
        return self._model("rerank", chosen) if chosen else None

    def reload(self, settings: Settings | None = None) -> None:
        """Take new settings. They are read and checked first; on error everything stays as it was.

        Without ``settings`` the files are read anew; what was set for this run only, such as a key, still counts.

        Models are reopened on their next use; a call under way keeps the model it began with.
        """
        fresh = settings or load_settings(self.settings.folder).with_values(**self.settings.this_run)
        workspace = self.workspace if fresh.home == self.settings.home else Workspace.open(fresh.home)
        with self._lock:
            old, self._models, warm = self._models, {}, self._is_warm
            self.settings = fresh
            if workspace is not self.workspace:
                self.ledger.close()
                self.workspace.close()
                self.workspace, self.ledger = workspace, Ledger(workspace)
        _close_models(old)
        if warm:
            self.warm()

    def close(self) -> None:
        with self._lock:
            old, self._models = self._models, {}
        _close_models(old)
        self.ledger.close()
        self.workspace.close()

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _model(self, kind: str, name: str) -> Any:
        if name.startswith(_TRAINED):
            name = self._serving(name)
        with self._lock:
            model = self._models.get((kind, name))
            if model is None:
                model = open_model(kind, name, self.settings)
                if kind == "chat":
                    model = Recorded(model, self.ledger)
                elif kind == "embedding":
                    model = recorded_embedding(model, self.ledger)
                elif kind == "rerank":
                    model = RecordedReranker(model, self.ledger)
                self._models[kind, name] = model
            return model

    def _serving(self, name: str) -> str:
        """The version that ``name`` stands for now; the one that served before is let go of."""
        from core.training.store import serving_name

        pinned = serving_name(name, self.settings.home)
        with self._lock:
            before, self._served[name] = self._served.get(name, pinned), pinned
            gone = {} if before == pinned else {k: self._models.pop(k) for k in list(self._models) if k[1] == before}
        if gone:  # in a thread: this may be called on the event loop that closing waits for
            threading.Thread(target=_close_models, args=(gone,), name="touchstone-retired", daemon=True).start()
        return pinned


def open_runtime(settings: Settings | None = None, *, folder: Path | None = None) -> Runtime:
    """Open a runtime with ``settings``, or with those found in ``folder`` and the environment."""
    return Runtime(settings or load_settings(folder))


def _close_models(models: dict[tuple[str, str], Any]) -> None:
    if models:
        from core.providers.sync import run

        for model in models.values():
            run(model.aclose())
