"""Load the documents that come with an app, with their vectors where these fit the embedding model."""

from __future__ import annotations

from pathlib import Path

from core.providers.sync import run
from core.retrieval import vectors
from core.retrieval.index import Index, ProgressCallback
from core.runtime import Runtime


def load(index: Index, sample: Path, runtime: Runtime, progress: ProgressCallback | None = None) -> None:
    """Bring ``index`` in step with the folders ``zh`` and ``en`` of ``sample``: milliseconds when it is there already.

    Words find it when this returns, meaning too when ``vectors.npz`` is of the model in use; else they are still to make.
    """
    run(index.sync([sample / "zh", sample / "en"], progress=progress, embed=False))
    for document in index.documents():
        if not Path(document.source).is_relative_to(sample):  # of an install that stood elsewhere
            run(index.remove(document.id))
    shipped = sample / "vectors.npz"
    if shipped.is_file():
        with runtime.workspace.write() as db:
            vectors.import_file(db, shipped, runtime.settings.model("embedding"))
