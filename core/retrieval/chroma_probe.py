"""Opens a Chroma folder and asks each of its collections, in a process that may crash over it.

python -m core.retrieval.chroma_probe FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from core.retrieval.chroma import ChromaStore

_ASKED = 5  # vectors of each collection


def main(folder: Path) -> None:
    store = ChromaStore(folder, check=False)
    try:
        for name in store.names():
            collection = store.client().get_collection(name, embedding_function=None)
            here = collection.count()
            if not here:
                continue
            some = collection.get(limit=_ASKED, offset=max(0, here // 2 - _ASKED), include=["embeddings"])
            found = collection.query(query_embeddings=some["embeddings"], n_results=min(here, _ASKED))
            if any(len(ids) < min(here, _ASKED) for ids in found["ids"]):
                raise SystemExit(f"{name}: {here} vectors are counted and {len(found['ids'][0])} found")
    finally:
        store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
