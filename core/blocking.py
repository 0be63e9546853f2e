"""A search for a caller that waits anyway, such as a script, a notebook or a worker's own thread.

``run(index.find(…))`` goes to the event loop's thread, from there to a worker's, and the whole way back. A search takes
less than a millisecond, so four changes of thread, and a core whose caches know nothing of the last search, are a part of it. Here
it stays on the caller's thread; only a model that can be asked in no other way is asked by way of the loop.
"""

from __future__ import annotations

from typing import Any

from core.providers.sync import never_on_loop, run
from core.retrieval.finding import QueryVector
from core.retrieval.index import Index
from core.retrieval.library import Library
from core.retrieval.options import SearchOptions, plain
from core.retrieval.question import checked_question
from core.retrieval.records import Found
from core.retrieval.several import Several


def find(
    index: Index, query: str, top_k: int = 8, *, terms_from: str | None = None, options: SearchOptions | None = None
) -> Found:
    """:meth:`core.retrieval.index.Index.find`, with the same arguments and the same result.

    Raises:
        InputError: an option or a filter that is not allowed.
        RuntimeError: called on the event loop's own thread, which must not wait; await ``index.find`` there.
    """
    never_on_loop("find()")
    chosen = options or plain(top_k)
    asked = _vector(index, query, chosen)
    return _ordered(index, index.find_with(query, asked, terms_from or query, index.deep(chosen)), chosen)


def search(library: Library, query: str, options: SearchOptions | None = None, **changes: Any) -> Found:
    """:meth:`core.retrieval.library.Library.search`, with the same arguments and the same result.

    Raises:
        InputError: empty_question, question_too_long, an option or filter that is not allowed.
        RuntimeError: called on the event loop's own thread, which must not wait; await ``library.search`` there.
    """
    never_on_loop("search()")
    asked, chosen = checked_question(query), (options or SearchOptions()).changed(**changes)
    indexes = {name: library.collection(name) for name in dict.fromkeys(chosen.collections)}
    first = indexes[chosen.collections[0]]
    vector = _vector(first, asked, chosen)
    found = Several(tuple(indexes.values())).candidates(asked, vector, asked, chosen)
    found = _ordered(first, found, chosen)
    return library.with_reasons(asked, vector, chosen, found, indexes) if chosen.explain else found


def _vector(index: Index, query: str, options: SearchOptions) -> QueryVector:
    return index.query_vector_now(query, options) or run(index.query_vector(query, options))


def _ordered(index: Index, found: Found, options: SearchOptions) -> Found:
    if index.reranker is not None and options.rerank is not False:
        return run(index.ordered(found, options))
    return index.arranged(found, options)
