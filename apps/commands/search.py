"""``touchstone search`` and ``touchstone explain``: passages found, with help for slips, and why one was not."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apps.commands.checkup import Json
from apps.commands.documents import demand_documents
from apps.commands.shell import Out, out_of, table
from core.errors import InputError
from core.i18n import message

if TYPE_CHECKING:
    from apps.search.query import Query
    from core.retrieval.explain import Explanation
    from core.retrieval.index import Index
    from core.retrieval.library import Library
    from core.retrieval.options import SearchOptions
    from core.retrieval.query_help import Help
    from core.retrieval.records import Found
    from core.types import Hit

Collections = Annotated[list[str] | None, typer.Option("--collection", "-c", help="cli.search.collection")]
SearchMode = Annotated[str, typer.Option("--mode", help="cli.search.mode")]
Filters = Annotated[list[str] | None, typer.Option("--filter", "-f", help="cli.search.filter")]
TopK = Annotated[int, typer.Option("--top-k", "-k", help="cli.search.top_k")]
Diversity = Annotated[float, typer.Option("--diversity", help="cli.search.diversity")]
HalfLife = Annotated[float | None, typer.Option("--half-life", help="cli.search.half_life")]
Date = Annotated[str, typer.Option("--date", help="cli.search.date")]
Boosts = Annotated[list[str] | None, typer.Option("--boost", help="cli.search.boost")]
Collapse = Annotated[float | None, typer.Option("--collapse", help="cli.search.collapse")]
SHOWN = 240  # characters of a passage shown to people
READ = 4000  # passages whose words a slip is looked up in: some seconds, and only when the query has unknown words


def search(
    query: Annotated[str | None, typer.Argument(help="cli.search.query", metavar="QUERY")] = None,
    collection: Collections = None,
    mode: SearchMode = "hybrid",
    filter: Filters = None,
    top_k: TopK = 8,
    diversity: Diversity = 0.0,
    half_life: HalfLife = None,
    date: Date = "updated_at",
    boost: Boosts = None,
    collapse: Collapse = None,
    explain: Annotated[bool, typer.Option("--explain", help="cli.search.explain")] = False,
    no_help: Annotated[bool, typer.Option("--no-help", help="cli.search.no_help")] = False,
    save: Annotated[str | None, typer.Option("--save", metavar="NAME", help="cli.search.save")] = None,
    saved: Annotated[bool, typer.Option("--saved", help="cli.search.saved")] = False,
    json: Json = False,
) -> None:
    from core.retrieval.library import Library
    from core.runtime import open_runtime

    if saved:
        _kept(query, json)
        return
    if query is None:
        if sys.stdin.isatty():
            raise InputError(reason="empty_question")
        query = sys.stdin.read()
    options = _options(collection, mode, filter, top_k, diversity, half_life, date, boost, collapse)
    with open_runtime() as runtime:
        out = out_of(runtime.settings, json)
        library = Library.of(runtime)
        try:
            if not set(library.filled()) & set(options.collections):
                demand_documents(library, options.collections[0])
            found = _found(library, query, options, explain, not no_help, out)
        finally:
            library.close()
    if save is not None:
        _save(save, _query(found["query"], options, filter, not no_help), out)
    out.document(found)


def _found(
    library: Library, typed: str, options: SearchOptions, explain: bool, help_: bool, out: Out
) -> dict[str, Any]:
    """Search and show; what was found as data, the same as the page saves."""
    from apps.search.export import as_data
    from core import blocking
    from core.providers.sync import run
    from core.retrieval.beside import other_language
    from core.retrieval.question import checked_question

    indexes = [library.collection(name) for name in dict.fromkeys(options.collections)]
    meant = _meant(indexes, checked_question(typed)) if help_ else None
    if meant and meant.changes:
        out.note(out.t("search.meant", query=meant.query))
    also = [meant.simplified] if meant and meant.simplified else []
    found = blocking.search(library, meant.query if meant else typed, options, explain=explain)
    beside = None
    if help_:
        also += [word for index in indexes for word in index.vocabulary().synonyms(found.query)]
        model = library.embedding_model() if found.vector is not None else None
        beside = run(other_language(indexes, found, options, model, out.language))
    for code in found.notices:
        out.note(message(f"notice.{code}", out.language))
    _show(out, found)
    if beside:
        out.say(out.t(f"search.beside.{beside.language}"))
        for hit in beside.hits:
            out.say(f"   {hit.passage.title}  ({hit.passage.source})")
    told = as_data(typed, meant.changes if meant else (), list(dict.fromkeys(also)), found, beside)
    return {**told, **({"explanations": [why.as_dict() for why in found.explanations]} if explain else {})}


def _meant(indexes: Sequence[Index], typed: str) -> Help:
    """The query as it was meant; the words of the collections are read only when one of the query's is not there."""
    from contextlib import closing

    from core.retrieval.lexicon import Lexicon
    from core.retrieval.lexicons import Lexicons, unknown
    from core.retrieval.query_help import KINDS, helped

    if not unknown(indexes, typed):
        return helped(typed, Lexicon(()), ())
    with closing(Lexicons(READ)) as lexicons:
        return helped(typed, lexicons.of(indexes, wait_s=None) or Lexicon(()), KINDS)


def _query(typed: str, options: SearchOptions, conditions: Sequence[str] | None, help_: bool) -> Query:
    """The search as the page knows it.

    Raises:
        InputError: an option that a saved search does not have.
    """
    from apps.search.query import HELPS, Query

    for name, given, usual in (
        ("--collection", options.collections, ("default",)),
        ("--date", options.recency.date if options.recency else "updated_at", "updated_at"),
    ):
        if given != usual:
            raise InputError(reason="bad_value", name=f"--save, {name}", value=str(given), allowed=str(usual))
    return Query(
        typed.strip(),
        options.mode,
        ("shared",),
        where=tuple(conditions or ()),
        help=HELPS if help_ else (),
        diversity=options.diversity,
        half_life_days=options.recency.half_life_days if options.recency else 0.0,
        title=options.boosts.get("title", 0.0),
        heading=options.boosts.get("heading", 0.0),
    )


def _save(name: str, query: Query, out: Out) -> None:
    from contextlib import closing

    from apps.search import Search

    with closing(Search.open()) as desk:
        out.note(out.t("search.kept", name=desk.saved.save(name, query).name))


def _kept(name: str | None, json: bool) -> None:
    """All saved searches with what is new in each, or one of them: its results, and from then on nothing is new."""
    from contextlib import closing

    from apps.search import Search

    with closing(Search.open()) as desk:
        out = out_of(desk.runtime.settings, json)
        desk.saved.check_all()
        kept = [desk.saved.get(name)] if name else desk.saved.all()
        if not kept:
            out.say(out.t("search.none_kept"))
        for one in kept:
            out.say(out.t("search.kept_row", name=one.name, query=one.query.text, new=len(one.new)))
            for new in one.new:
                out.say(f"   + {new.title}  ({new.source})")
        rows = [
            {
                "name": one.name,
                "query": one.query.as_data(),
                "seen_at": one.seen_at,
                "new": [asdict(new) for new in one.new],
            }
            for one in kept
        ]
        if not name:
            out.document({"saved": rows})
            return
        meant = desk.understood(kept[0].query)
        found = desk.find(meant.query)
        _show(out, replace(found, hits=found.hits[:8]))
        desk.saved.seen(name)
        out.document({"saved": rows, **desk.as_data(meant, found, kept[0].query.text)})


def explain(
    query: Annotated[str, typer.Argument(help="cli.search.query", metavar="QUERY")],
    about: Annotated[str, typer.Argument(help="cli.explain.document", metavar="DOCUMENT")],
    collection: Collections = None,
    mode: SearchMode = "hybrid",
    filter: Filters = None,
    top_k: TopK = 8,
    diversity: Diversity = 0.0,
    half_life: HalfLife = None,
    date: Date = "updated_at",
    boost: Boosts = None,
    collapse: Collapse = None,
    json: Json = False,
) -> None:
    from core.providers.sync import run
    from core.retrieval.library import Library
    from core.runtime import open_runtime

    options = _options(collection, mode, filter, top_k, diversity, half_life, date, boost, collapse)
    with open_runtime() as runtime:
        out = out_of(runtime.settings, json)
        library = Library.of(runtime)
        try:
            why = run(library.explain(query, about, options))
        finally:
            library.close()
        for code in why.notices:
            out.note(message(f"notice.{code}", out.language))
        out.say(why.text(out.language))
        _show_reasons(out, [why])
        out.document({"message": why.text(out.language), **why.as_dict()})


def _options(
    collections: Sequence[str] | None,
    mode: str,
    conditions: Sequence[str] | None,
    top_k: int,
    diversity: float,
    half_life: float | None,
    date: str,
    boosts: Sequence[str] | None,
    collapse: float | None,
) -> SearchOptions:
    from core.retrieval.filters import from_text
    from core.retrieval.options import Recency, SearchOptions

    chosen: Any = mode
    return SearchOptions(
        top_k=top_k,
        mode=chosen,
        where=from_text(conditions) if conditions else None,
        diversity=diversity,
        recency=Recency(half_life, date=date) if half_life is not None else None,
        boosts=dict(map(_boost, boosts or ())),
        collapse=collapse,
        collections=tuple(collections or ("default",)),
    )


def _boost(text: str) -> tuple[str, float]:
    name, _, weight = text.partition("=")
    try:
        return name.strip(), float(weight or "0.3")
    except ValueError as error:
        raise InputError(reason="bad_value", name="--boost", value=text, allowed="title=0.3, heading=0.3") from error


def _show(out: Out, found: Found) -> None:
    if not found.hits:
        out.say(out.t("search.nothing"))
    for number, hit in enumerate(found.hits, 1):
        passage = hit.passage
        place = " › ".join(part for part in (passage.title, passage.heading) if part)
        page = out.t("search.page", page=passage.page) if passage.page is not None else ""
        out.say(f"{number}. {place}{page}  ({hit.score:.3f})")
        out.say(f"   {_shown(hit)}")
        out.say(f"   {passage.source}")
        if hit.similar:
            out.say(f"   {out.t('search.similar', count=len(hit.similar))}")
    if found.explanations:
        _show_reasons(out, found.explanations)


def _shown(hit: Hit) -> str:
    """The sentence that answers best, or where the passage begins."""
    passage = hit.passage
    text = passage.text
    if hit.sentence is not None:
        text = text[hit.sentence[0] - passage.start : hit.sentence[1] - passage.start]
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[:SHOWN].rstrip() + "…"


def _show_reasons(out: Out, explanations: Sequence[Explanation]) -> None:
    """A table of figures for each passage, and one of terms for the first."""
    reasons = [reason for why in explanations for reason in why.passages]
    if not reasons:
        return
    figures = table(*(out.t(f"explain.{name}") for name in ("passage", "verdict", "fused", "words", "meaning")))
    for reason in reasons:
        figures.add_row(
            reason.passage.heading or reason.passage.title,
            message(f"cli.explain.verdicts.{reason.verdict}", out.language),
            _ranked(reason.fused_rank, reason.fused_score),
            _ranked(reason.keyword_rank, reason.keyword_score),
            out.t("explain.pending") if reason.pending else _ranked(reason.vector_rank, reason.cosine),
        )
    out.show(figures)
    if len(explanations) == 1:
        terms = table(*(out.t(f"explain.{name}") for name in ("term", "idf", "in_passages", "in_text", "in_context")))
        for term in reasons[0].terms:
            mark = f" ({out.t('explain.synonym')})" if term.synonym else ""
            terms.add_row(
                f"{term.term}{mark}", f"{term.idf:.2f}", str(term.passages), str(term.in_text), str(term.in_context)
            )
        out.show(terms)


def _ranked(rank: int | None, score: float | None) -> str:
    if score is None:
        return "–"
    return f"{rank or '–'} ({score:.3f})"
