"""Embeddings that are kept: in the workspace, so that judging again costs none; in files, so that measuring again costs
seconds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.contracts import EmbeddingModel
from core.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

_BATCH = 512
MOST = 100_000  # vectors that a workspace keeps, 77 MB of those of multilingual-e5-small


def _key(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


class Vectors:
    """The vectors of a workspace, of all tenants: what a sentence looks like tells nobody who asked for it."""

    def __init__(self, workspace: Workspace, *, most: int = MOST) -> None:
        self.workspace, self.most = workspace, most

    def get(self, model: str, keys: Sequence[str]) -> dict[str, np.ndarray]:
        """Those that there are."""
        import numpy as np

        found: dict[str, np.ndarray] = {}
        with self.workspace.read() as db:
            for start in range(0, len(keys), _BATCH):
                part = keys[start : start + _BATCH]
                marks = ", ".join("?" * len(part))
                rows = db.execute(
                    f"SELECT key, vector FROM news_vectors WHERE model = ? AND key IN ({marks})", (model, *part)
                )
                found.update((row["key"], np.frombuffer(row["vector"], np.float16)) for row in rows)
        return found

    def put(self, model: str, vectors: Mapping[str, np.ndarray]) -> None:
        """Keep ``vectors``; beyond ``most`` the oldest are forgotten."""
        if not vectors:
            return
        with self.workspace.write() as db:
            db.executemany(
                "INSERT OR IGNORE INTO news_vectors (model, key, vector) VALUES (?, ?, ?)",
                [(model, key, vector.tobytes()) for key, vector in vectors.items()],
            )
            db.execute(
                "DELETE FROM news_vectors WHERE id <= (SELECT max(id) FROM news_vectors) - ?",
                (self.most,),
            )


async def embedded(
    texts: Sequence[str],
    model: EmbeddingModel,
    *,
    store: Vectors | None = None,
    kept: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """``texts`` as vectors (kind ``query``), each distinct text computed once.

    Args:
        store: where vectors are looked for first, and kept.
        kept: a folder to keep vectors in, one pair of files for each model; what is there is not computed again.

    Shape: ``(len(texts), d)`` float32.
    """
    import numpy as np

    known = _read(kept, model.name) if kept else {}
    wanted = {_key(text): text for text in texts}
    if store:
        known |= store.get(model.name, list(wanted))
    new = [key for key in wanted if key not in known]
    new.sort(key=lambda key: len(wanted[key]))  # texts of like length together: less padding
    for start in range(0, len(new), _BATCH):
        part = new[start : start + _BATCH]
        rows = await model.embed([wanted[key] for key in part], kind="query")
        made = dict(zip(part, np.asarray(rows, np.float16), strict=True))
        known |= made
        if store:
            store.put(model.name, made)
        if progress:
            progress(min(start + _BATCH, len(new)), len(new))
        if kept and (start // _BATCH % 4 == 3 or start + _BATCH >= len(new)):
            _write(kept, model.name, known)
    if not texts:
        return np.empty((0, model.dim), np.float32)
    return np.stack([known[_key(text)] for text in texts]).astype(np.float32)


def _files(folder: Path, model: str) -> tuple[Path, Path]:
    name = hashlib.blake2b(model.encode(), digest_size=6).hexdigest()
    return folder / f"{name}.json", folder / f"{name}.npy"


def _read(folder: Path, model: str) -> dict[str, np.ndarray]:
    import numpy as np

    names, rows = _files(folder, model)
    if not names.is_file() or not rows.is_file():
        return {}
    return dict(zip(json.loads(names.read_text("utf-8")), np.load(rows), strict=False))


def _write(folder: Path, model: str, known: dict[str, np.ndarray]) -> None:
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    names, rows = _files(folder, model)
    np.save(rows, np.stack(list(known.values())))
    names.write_text(json.dumps(list(known)), "utf-8")
