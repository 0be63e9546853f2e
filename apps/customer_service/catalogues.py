"""The catalogues that a policy's slots name, ready to be compared with messages; embedded once and kept in the workspace.

A slot's ``catalogue`` is a reading tool without arguments that lists what there is: ``value`` as other tools take it,
names ``zh`` and ``en`` (one will do), and ``about``, a text or several that say what it is and what it is for.

    python -m apps.customer_service.catalogues    # writes model/catalogue.npz: the vectors of the sample and of OTHER_GOODS
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.customer_service.intents import EMBEDDING, MODEL
from apps.customer_service.meant import Catalogue, Item, Weights, gist
from apps.customer_service.other_goods import OTHER_GOODS
from core.errors import ToolFailed
from core.providers.sync import run
from core.runtime import Runtime
from core.tools import ToolDefinition
from core.types import Caller

if TYPE_CHECKING:
    import numpy as np

    from core.contracts import EmbeddingModel

SHIPPED = MODEL / "catalogue.npz"
FRESH_S = 300.0  # how long a catalogue counts before it is listed anew
SHOWN = 0.005  # a product less likely than this is none of those that may be meant
LONGEST = 300  # characters of a message that is compared with products
# Learned on the splits ``tune`` and ``test`` of sample/entities.jsonl by ``python -m apps.customer_service.evaluate_entities --fit``.
WEIGHTS = Weights(bias=-6.03, named=3.54, told=1.51, part=5.36, whole=4.26, rival=0.18)
log = logging.getLogger(__name__)
Guess = Mapping[str, Any]  # value, zh, en, share


@dataclass(frozen=True, slots=True)
class _Kept:
    catalogue: Catalogue
    names: Mapping[str, Mapping[str, str]]
    listed_at: float


class Catalogues:
    """Catalogues by workspace, tenant and tool. Keep one: it remembers them."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._kept: dict[tuple[Path, str, str], _Kept] = {}
        self._lock = threading.Lock()

    def guesses(
        self,
        tool: ToolDefinition,
        caller: Caller,
        said: str,
        vector: np.ndarray | None = None,
        *,
        named: Collection[str] = (),
    ) -> list[Guess]:
        """What of a catalogue a message may mean, likeliest first; what the shares lack to 1 is that of none.

        Args:
            named: the products that rules find in it, by their values. It means one of those, and no model is asked.
            vector: of ``said``, kind ``query``, where it is there already; ``(d,)``.

        Raises:
            ToolFailed: the tool does not list a catalogue.
            TouchstoneError: the embedding model cannot be asked.
        """
        if named:
            listed = self._of(tool, caller).names
            share = round(1 / len(named), 4)
            return [{"value": value, **listed[value], "share": share} for value in listed if value in named]
        if not gist(said) or len(said) > LONGEST:
            return []
        kept = self._of(tool, caller)
        if not kept.catalogue.items:
            return []
        catalogue, vectors = self.compared(tool, caller, said, vector)
        shares = catalogue.shares(said, vectors, WEIGHTS)
        likely = sorted(
            (value for value in shares if shares[value] >= SHOWN), key=lambda value: -round(shares[value], 4)
        )
        return [{"value": value, **kept.names[value], "share": round(shares[value], 4)} for value in likely]

    def compared(
        self, tool: ToolDefinition, caller: Caller, said: str, vector: np.ndarray | None = None
    ) -> tuple[Catalogue, np.ndarray]:
        """A catalogue, and what of a message is compared with it. Arguments and errors as in :meth:`guesses`."""
        import numpy as np

        rest = gist(said) or said
        wanted = [rest] if vector is not None else [rest, said]
        found = np.asarray(run(self._runtime.embedding(EMBEDDING).embed(wanted, kind="query")), np.float32)
        return self._of(tool, caller).catalogue, np.stack([found[1] if vector is None else vector, found[0]])

    def _of(self, tool: ToolDefinition, caller: Caller) -> _Kept:
        workspace = self._runtime.workspace
        key = (workspace.path, caller.tenant, tool.name)
        with self._lock:
            known = self._kept.get(key)
            if known and time.monotonic() - known.listed_at < FRESH_S:
                return known
            with workspace.snapshot() as db:
                try:
                    items = read_items(tool.run({}, db=db, caller=caller, key=""))
                except Exception as error:  # whatever a shop's tool may raise
                    raise ToolFailed(tool=tool.name, detail=f"{type(error).__name__}: {error}") from error
            if known is None or known.catalogue.items != items:
                vectors = self._vectors([text for item in items for text in item.texts])
                catalogue = Catalogue(items, vectors, self._vectors([name for names in OTHER_GOODS for name in names]))
            else:
                catalogue = known.catalogue
            names = {item.value: item.spoken for item in items}
            kept = self._kept[key] = _Kept(catalogue, names, time.monotonic())
            return kept

    def _vectors(self, texts: Sequence[str]) -> np.ndarray:
        """One a text, norm 1: those that ship, those that were kept, and the rest made now and kept."""
        import numpy as np

        model = self._runtime.embedding(EMBEDDING)
        known = dict(shipped()) if model.name == EMBEDDING else {}
        with self._runtime.workspace.read() as db:
            for text in {*texts} - {*known}:
                row = db.execute("SELECT vector FROM support_catalogue WHERE model=? AND text=?", (model.name, text))
                if found := row.fetchone():
                    known[text] = np.frombuffer(found["vector"], np.float16)
        if missing := sorted({*texts} - {*known}):
            made = embedded(model, missing)
            with self._runtime.workspace.write() as db:
                db.executemany(
                    "INSERT OR REPLACE INTO support_catalogue (model, text, vector) VALUES (?, ?, ?)",
                    [(model.name, text, vector.tobytes()) for text, vector in zip(missing, made, strict=True)],
                )
            known |= dict(zip(missing, made, strict=True))
        return np.array([known[text] for text in texts], np.float32).reshape(len(texts), -1)


def read_items(rows: Any) -> tuple[Item, ...]:
    """What a catalogue's tool listed.

    Raises:
        KeyError, TypeError, AttributeError: they are no rows with ``value`` and a name.
    """
    made = []
    for row in rows:
        about = row.get("about") or ()
        spoken = {name: str(row[name]) for name in ("zh", "en") if row.get(name)}
        if not spoken:
            raise KeyError("zh, en")
        texts = about.values() if isinstance(about, Mapping) else (about,) if isinstance(about, str) else about
        made.append(Item(str(row["value"]), tuple(spoken.values()), tuple(map(str, texts)), spoken))
    return tuple(made)


def embedded(model: EmbeddingModel, texts: Sequence[str]) -> np.ndarray:
    """As they are kept. Queries on both sides: a product's name is as short as what is asked of it."""
    import numpy as np

    return np.asarray(run(model.embed(list(texts), kind="query")), np.float16)


@lru_cache(maxsize=1)
def shipped() -> Mapping[str, np.ndarray]:
    """The vectors that come with the program, by their texts."""
    import numpy as np

    if not SHIPPED.is_file():
        return {}
    with np.load(SHIPPED, allow_pickle=False) as file:
        return dict(zip(json.loads(file["texts"].tobytes()), file["vectors"], strict=True))


def main() -> int:
    import numpy as np

    from apps.customer_service.shop.data import PRODUCTS, catalogue
    from core.runtime import open_runtime

    rows = [catalogue(product) for product in PRODUCTS]
    texts = [text for item in read_items(rows) for text in item.texts]
    texts = list(dict.fromkeys([*texts, *(name for names in OTHER_GOODS for name in names)]))
    with open_runtime() as runtime:
        vectors = embedded(runtime.embedding(EMBEDDING), texts)
    told = np.frombuffer(json.dumps(texts, ensure_ascii=False).encode(), np.uint8)
    np.savez_compressed(SHIPPED, texts=told, vectors=vectors)
    sys.stdout.write(f"{len(texts)} texts\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
