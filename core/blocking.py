"""A search for a caller that waits anyway, such as a script, a notebook or a worker's own thread.

``run(index.find(…))`` goes to the event loop's thread, from there to a worker's, and the whole way back. A search takes
about 3 ms, so four changes of thread, and a core whose caches know nothing of the last search, are a part of it. Here
it stays on the caller's thread; only the models, which are asynchronous, are asked by way of the loop.
"""

from __future__ import annotations

from core.providers.sync import run
from core.retrieval.index import Index
from core.retrieval.options import SearchOptions
from core.retrieval.records import Found


def find(
    index: Index, query: str, top_k: int = 8, *, terms_from: str | None = None, options: SearchOptions | None = None
) -> Found:
    """:meth:`core.retrieval.index.Index.find`, with the same arguments and the same result.

    Raises:
        InputError: an option or a filter that is not allowed.
        RuntimeError: called on the event loop's own thread, which must not wait; await ``index.find`` there.
    """
    chosen = options or SearchOptions(top_k, sentences=False)
    asked = run(index.query_vector(query, chosen))
    found = index.find_with(query, asked, terms_from or query, index.deep(chosen))
    if index.reranker is not None and chosen.rerank is not False:
        return run(index.ordered(found, chosen))
    return index.arranged(found, chosen)
