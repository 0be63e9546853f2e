"""Data to learn from that the product itself brings: ``touchstone train data SOURCE --out FILE``.

source        rows                                                                  for the recipes
corrections   labels that people gave to texts of a classifier                      head, frozen, lora, full
intents       the sample shop's sentences, and what people corrected                head, frozen, lora, full
sentiment     moods that people corrected on the sentiment desk                     head, frozen, lora, full
search        queries with the documents that people found good                     embedding
talks         answers with a thumb up and replies of agents                         chat
curated       answers that people wrote, with each question they are for              chat
preferences   answers with a thumb, beside what an agent said instead               kto; dpo, where both are there

Personal data that have a form are masked in all of them. Of conversations and searches only those of people who agreed
are taken (:func:`agree`).

Negatives for pairs are found in the user's own documents (:func:`mined_from`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.customer_service.intents import INTENTS, asked, rows
from core.errors import InputError, UnknownName
from core.safety.personal import mask
from core.training.corrections import Corrections
from core.types import LOCAL, Caller
from core.workspace import Workspace

if TYPE_CHECKING:
    from core.runtime import Runtime

RIGHT = 8  # places of a search that passages which are right may take
CONSENT = "training"  # the preference in which a person agrees
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Gathered:
    """``without_consent`` rows were left out; ``masked`` counts what was masked, by kind."""

    rows: tuple[Row, ...]
    without_consent: int
    masked: Mapping[str, int]

    def save(self, path: Path) -> None:
        """Write :meth:`lines`.

        Raises:
            InputError: (``no_rows``) there is nothing to learn from.
        """
        if not self.rows:
            raise InputError(reason="no_rows", name=path.name)
        path.write_text(self.lines(), "utf-8")

    def lines(self) -> str:
        """One JSON object a line."""
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows)


def gather(workspace: Workspace, caller: Caller, source: str, *, name: str = "") -> Gathered:
    """The rows of ``source`` in the caller's tenant. ``name`` is the classifier whose corrections are wanted.

    Raises:
        UnknownName: there is no such source.
    """
    if source not in SOURCES:
        raise UnknownName(kind="source", value=source, allowed=", ".join(SOURCES))
    masks: dict[str, int] = {}
    agreed = _agreed(workspace, caller.tenant)
    taken: list[Row] = []
    refused = 0
    for user, row in SOURCES[source](workspace, caller, name):
        if user is not None and user not in agreed:
            refused += 1
        else:
            taken.append(_masked(row, masks))
    return Gathered(tuple(taken), refused, masks)


def agree(workspace: Workspace, caller: Caller, yes: bool) -> None:
    """Let the caller's conversations and searches be learned from, or no longer."""
    with workspace.write() as db:
        db.execute(
            "INSERT INTO preferences (tenant, user, name, value) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (tenant, user, name) DO UPDATE SET value=excluded.value",
            (caller.tenant, caller.user, CONSENT, "yes" if yes else "no"),
        )


def agrees(workspace: Workspace, caller: Caller) -> bool:
    return caller.user in _agreed(workspace, caller.tenant)


def disliked(workspace: Workspace, caller: Caller, *, limit: int = 200) -> list[str]:
    """Questions whose answer got a thumb down, newest first, of people who agreed: those worth a correction."""
    agreed = _agreed(workspace, caller.tenant)
    with workspace.read() as db:
        rows = db.execute(
            "SELECT q.text, q.user FROM feedback AS f JOIN messages AS a ON a.id=f.message_id"
            " JOIN messages AS q ON q.id=a.reply_to"
            " WHERE f.tenant=? AND f.app='customer_service' AND f.thumb=0 ORDER BY f.at DESC LIMIT ?",
            (caller.tenant, limit),
        ).fetchall()
    return list(dict.fromkeys(mask(row["text"]).text for row in rows if row["user"] in agreed))


# --- sources: whose it is (None where nobody's own words are taken unasked) and the row ------------


def _corrections(workspace: Workspace, caller: Caller, name: str) -> Iterable[tuple[str | None, Row]]:
    if not name:
        raise InputError(reason="bad_value", name="--name", value="", allowed="NAME")
    return ((None, {"text": c.text, "label": c.label}) for c in Corrections(workspace).all(caller, name))


def _intents(workspace: Workspace, caller: Caller, name: str) -> Iterable[tuple[str | None, Row]]:
    """A sentence of the sample that somebody corrected is taken as corrected."""
    known = {row.text: row.label for row in (*rows("desk_train.csv"), *asked())}
    known |= {c.text: c.label for c in Corrections(workspace).all(caller, name or INTENTS)}
    return ((None, {"text": text, "label": label}) for text, label in known.items())


def _sentiment(workspace: Workspace, caller: Caller, name: str) -> Iterable[tuple[str | None, Row]]:
    """The last label of an item and company counts."""
    with workspace.read() as db:
        rows = db.execute(
            "SELECT i.title, i.text, l.company, l.label, max(l.id) FROM news_labels AS l JOIN news_items AS i"
            " ON i.id=l.item_id WHERE l.tenant=? GROUP BY l.item_id, l.company ORDER BY l.item_id",
            (caller.tenant,),
        ).fetchall()
    return (
        (None, {"text": f"{row['title']}\n{row['text']}".strip(), "label": row["label"], "entity": row["company"]})
        for row in rows
    )


def _search(workspace: Workspace, caller: Caller, name: str) -> Iterable[tuple[str | None, Row]]:
    with workspace.read() as db:
        rows = db.execute(
            "SELECT j.user, j.query, p.text, min(p.position) FROM search_judgments AS j JOIN documents AS d"
            " ON d.id=j.document_id AND d.tenant=j.tenant JOIN passages AS p ON p.document_id=d.id"
            " WHERE j.tenant=? AND j.gain > 0 GROUP BY j.user, j.query, d.id ORDER BY j.at",
            (caller.tenant,),
        ).fetchall()
    return ((row["user"], {"anchor": row["query"], "positive": row["text"]}) for row in rows)


def _talks(workspace: Workspace, caller: Caller, name: str) -> Iterable[tuple[str | None, Row]]:
    """A question with the answer that was liked, or with what an agent said to it."""
    with workspace.read() as db:
        rows = db.execute(
            "SELECT a.user, a.text, (SELECT q.text FROM messages AS q WHERE q.conversation_id=a.conversation_id"
            " AND q.role='user' AND q.id < a.id ORDER BY q.id DESC LIMIT 1) AS asked"
            " FROM messages AS a LEFT JOIN feedback AS f ON f.message_id=a.id"
            " WHERE a.tenant=? AND a.state='done' AND a.text != ''"
            " AND (a.role='agent' OR (a.role='assistant' AND f.thumb=1)) ORDER BY a.id",
            (caller.tenant,),
        ).fetchall()
    return ((row["user"], {"prompt": row["asked"], "completion": row["text"]}) for row in rows if row["asked"])


def _curated(workspace: Workspace, caller: Caller, name: str) -> Iterable[tuple[str | None, Row]]:
    with workspace.read() as db:
        rows = db.execute(
            "SELECT q.text AS asked, a.text FROM support_answers AS a JOIN support_answer_questions AS q ON q.answer_id=a.id"
            " WHERE a.tenant=? AND a.state='live' ORDER BY a.id, q.position",
            (caller.tenant,),
        ).fetchall()
    return ((None, {"prompt": row["asked"], "completion": row["text"]}) for row in rows)


def _preferences(workspace: Workspace, caller: Caller, name: str) -> Iterable[tuple[str | None, Row]]:
    """An answer that was liked, or one that was not, beside what an agent said to the same question."""
    with workspace.read() as db:
        rows = db.execute(
            "SELECT a.user, a.text, f.thumb, q.text AS asked, (SELECT g.text FROM messages AS g"
            " WHERE g.conversation_id=a.conversation_id AND g.role='agent' AND g.state='done' AND g.id > a.id"
            " AND NOT EXISTS (SELECT 1 FROM messages AS n WHERE n.conversation_id=a.conversation_id AND n.role='user'"
            " AND n.id > a.id AND n.id < g.id) ORDER BY g.id LIMIT 1) AS instead"
            " FROM feedback AS f JOIN messages AS a ON a.id=f.message_id JOIN messages AS q ON q.id=a.reply_to"
            " WHERE f.tenant=? AND a.role='assistant' AND a.state='done' AND a.text != '' ORDER BY a.id",
            (caller.tenant,),
        ).fetchall()
    for row in rows:
        told = {"prompt": row["asked"], "chosen" if row["thumb"] else "rejected": row["text"]}
        if not row["thumb"] and row["instead"]:
            told["chosen"] = row["instead"]
        yield row["user"], told


SOURCES: Mapping[str, Callable[[Workspace, Caller, str], Iterable[tuple[str | None, Row]]]] = {
    "corrections": _corrections,
    "intents": _intents,
    "sentiment": _sentiment,
    "search": _search,
    "talks": _talks,
    "curated": _curated,
    "preferences": _preferences,
}


def _agreed(workspace: Workspace, tenant: str) -> frozenset[str]:
    with workspace.read() as db:
        rows = db.execute(
            "SELECT user FROM preferences WHERE tenant=? AND name=? AND value='yes'", (tenant, CONSENT)
        ).fetchall()
    return frozenset(row["user"] for row in rows)


async def mined_from(
    runtime: Runtime,
    data: Path,
    collection: str = "",
    *,
    count: int,
    skip: int = 0,
    columns: Mapping[str, str] | None = None,
    caller: Caller = LOCAL,
) -> Gathered:
    """The pairs of ``data`` with what the search of the caller's documents puts high and is not right.

    Raises:
        MissingFile, InputError: as :func:`core.training.data.read`; (``nothing_indexed``) there are no documents.
    """
    from core.retrieval.library import DEFAULT_COLLECTION, Library
    from core.retrieval.rerank import as_read
    from core.training.data import read
    from core.training.mining import mined

    records = read(data, "pairs", columns=columns).data.records
    library, name = Library.of(runtime, caller), collection or DEFAULT_COLLECTION
    try:
        there = [found.name for found in library.collections() if found.passages]
        if name not in there:
            raise InputError(reason="nothing_indexed", collection=name, allowed=", ".join(there) or "-")

        async def search(query: str) -> Sequence[str]:
            found = await library.search(query, collections=(name,), top_k=count + skip + RIGHT, sentences=False, rerank=False)  # fmt: skip
            return [as_read(hit) for hit in found.hits]

        return Gathered(tuple(await mined(records, search, count=count, skip=skip)), 0, {})
    finally:
        library.close()


def _masked(row: Row, counts: dict[str, int]) -> Row:
    made = {}
    for column, value in row.items():
        found = mask(value)
        made[column] = found.text
        for kind, count in found.found.items():
            counts[kind] = counts.get(kind, 0) + count
    return made
