"""Writes the vectors of documents to a file, so that an install that ships the documents embeds nothing.

    python -m core.retrieval.export apps/customer_service/sample/zh apps/customer_service/sample/en \\
        --to apps/customer_service/sample/vectors.npz

The file holds hashes and float16 vectors, no text; :func:`core.retrieval.vectors.import_file` takes it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from core.errors import ConfigurationError
from core.retrieval import meaning, vectors
from core.retrieval.evidence import unit_text
from core.retrieval.index import Index
from core.retrieval.library import Library
from core.retrieval.units import units
from core.settings import load_settings, override


async def export(index: Index, path: Path) -> int:
    """Embed what of ``index`` has no vector yet, passages and their units, and write all to ``path``.

    Raises:
        ConfigurationError: the embedding model cannot be used.
    """
    _, notices = await index.embed_pending()
    memory = index.meaning()
    if notices or memory is None:
        raise ConfigurationError(detail="embedding model")
    passages = [passage for document in index.documents() for passage in index.passages(document.id)]
    texts = list(dict.fromkeys(unit_text(unit) for passage in passages for unit in units(passage)))
    for chunk in vectors.chunks(texts, 128):
        await memory.vectors(chunk)
    with index.workspace.read() as db:
        rows = db.execute("SELECT text_hash FROM passages WHERE collection_id = ?", (index.id(),)).fetchall()
        keys = [row[0] for row in rows] + [meaning.key(text) for text in texts]
        return vectors.export_file(db, memory.model.name, list(dict.fromkeys(keys)), path)


def main(arguments: Sequence[str] | None = None) -> int:
    from core.runtime import Runtime

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--to", type=Path, required=True)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, Runtime(override(load_settings(), home=folder)) as runtime:
        library = Library.of(runtime)
        asyncio.run(library.collection().sync(given.paths, embed=False))
        if given.to.is_file():  # what did not change is taken from the file that is there
            with runtime.workspace.write() as db:
                vectors.import_file(db, given.to, runtime.settings.model("embedding"))
        written = asyncio.run(export(library.collection(), given.to))
        library.close()
    sys.stdout.write(f"{given.to}: {written} vectors\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
