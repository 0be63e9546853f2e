"""Language models that were trained from text: how well they foresee a text, in a unit that models share, and writing on.

Two models with other tokens are compared by bits per byte: the loss of a whole text, its end included, over its bytes. A
text that is longer than the model reads is read in pieces, each beginning without what went before.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from core.errors import InputError
from core.evaluation.datasets import Record
from core.settings import Settings
from core.training.store import Version

BATCH = 16


def opened(version: Version, settings: Settings, *, base: bool = False) -> tuple[Any, Any]:
    """``(tokenizer, model)`` of a version, ready to be asked; with ``base`` those it began with."""
    from core.providers.torch_device import choose
    from core.training.bases import resolve
    from core.training.recipes import language, recipe

    folder = resolve(version.run.base, settings).folder if base else version.model
    tokenizer, model = language.opened(folder, recipe(version.run.recipe).method)
    return tokenizer, model.to(choose(settings).name).eval()


def losses(tokenizer: Any, model: Any, records: Sequence[Record], *, most: int) -> dict[str, dict[str, float]]:
    """``nll`` in nats and ``bytes`` of each text, its end counted as one."""
    from core.training.recipes.language import ends

    start, end = ends(tokenizer)
    pieces: list[tuple[str, list[int]]] = []
    for record, ids in zip(records, _ids(tokenizer, records), strict=True):
        whole = [*ids, end]
        pieces += [(record.id, [start, *whole[at : at + most - 1]]) for at in range(0, len(whole), most - 1)]
    found = {r.id: {"nll": 0.0, "bytes": float(len(r.input.encode()) + 1)} for r in records}
    for (id_, _), (nll, _, _) in zip(pieces, _summed(tokenizer, model, [(p, p) for _, p in pieces], 1), strict=True):
        found[id_]["nll"] += nll
    return found


def guesses(tokenizer: Any, model: Any, records: Sequence[Record], *, most: int, seed: int) -> dict[str, dict[str, float]]:  # fmt: skip
    """``nll``, ``tokens`` and ``right`` of tokens that are hidden, for every model with this tokenizer the same ones."""
    shown = hidden_rows(tokenizer, records, most=most, seed=seed)
    summed = _summed(tokenizer, model, shown, 0)
    return {
        r.id: {"nll": nll, "tokens": count, "right": right / count}
        for r, (nll, count, right) in zip(records, summed, strict=True)
        if count
    }


def by_frequency(
    tokenizer: Any, learned: Sequence[Record], records: Sequence[Record], *, most: int, seed: int
) -> dict[str, dict[str, float]]:
    """What a model would come to that knows only how often each token occurs in ``learned``, one added to each."""
    from core.training.recipes.chat import IGNORED

    counts = Counter(token for ids in _ids(tokenizer, learned) for token in ids)
    total, best = sum(counts.values()) + len(tokenizer), counts.most_common(1)[0][0]
    found = {}
    for record, (_, labels) in zip(records, hidden_rows(tokenizer, records, most=most, seed=seed), strict=True):
        if wanted := [token for token in labels if token != IGNORED]:
            nll = -sum(math.log((counts[token] + 1) / total) for token in wanted)
            found[record.id] = {"nll": nll, "tokens": len(wanted), "right": wanted.count(best) / len(wanted)}
    return found


def hidden_rows(tokenizer: Any, records: Sequence[Record], *, most: int, seed: int) -> list[tuple[list[int], list[int]]]:  # fmt: skip
    """``(ids, labels)`` of the beginning of each text, with tokens hidden."""
    import torch

    from core.training.recipes.language import ends, hidden

    start, end = ends(tokenizer)
    draw = torch.Generator().manual_seed(seed)
    made = [hidden([start, *ids[: most - 2], end], tokenizer, draw) for ids in _ids(tokenizer, records)]
    return [(row["input_ids"], row["labels"]) for row in made]


async def written(version: Version, settings: Settings, text: str, *, tokens: int = 60, seed: int | None = None) -> str:
    """``text`` and how the model would go on; the likeliest token each time, or drawn where there is a ``seed``.

    Raises:
        InputError: (reason ``wrong_kind``) the version is no language model that writes.
    """
    import asyncio

    if version.run.kind != "text" or version.run.recipe == "masked":
        raise InputError(reason="wrong_kind", name=version.served_as, kind=version.run.recipe, wanted="causal, lstm")
    return await asyncio.to_thread(_written, version, settings, text, tokens, seed)


def _written(version: Version, settings: Settings, text: str, tokens: int, seed: int | None) -> str:
    import torch

    from core.training.recipes.language import ends

    tokenizer, model = opened(version, settings)
    start, end = ends(tokenizer)
    read = int(version.run.settings["max_tokens"])
    draw = None if seed is None else torch.Generator().manual_seed(seed)
    ids = [start, *tokenizer(text, add_special_tokens=False)["input_ids"]]
    prompt = len(ids)
    with torch.inference_mode():
        while len(ids) - prompt < tokens:
            scores = model(input_ids=torch.tensor([ids[-read:]], device=model.device)).logits[0, -1].float().cpu()
            drawn = scores.argmax() if draw is None else torch.multinomial(scores.softmax(0), 1, generator=draw)
            if (token := int(drawn)) == end:
                break
            ids.append(token)
    made: str = tokenizer.decode(ids[prompt:], skip_special_tokens=True)
    return text + made


def _ids(tokenizer: Any, records: Sequence[Record]) -> list[list[int]]:
    found: list[list[int]] = tokenizer([r.input for r in records], add_special_tokens=False)["input_ids"]
    return found


def _summed(
    tokenizer: Any, model: Any, given: Sequence[tuple[list[int], list[int]]], shift: int
) -> list[tuple[float, int, int]]:
    """``(nll, tokens, right)`` of each row; the label of a place is that of ``shift`` places later."""
    import torch

    from core.training.recipes.chat import IGNORED, padded

    collate, order = padded(tokenizer), sorted(range(len(given)), key=lambda n: len(given[n][0]))
    found: list[tuple[float, int, int]] = [(0.0, 0, 0)] * len(given)
    with torch.inference_mode():
        for at in range(0, len(order), BATCH):
            places = order[at : at + BATCH]
            batch = collate([{"input_ids": given[n][0], "labels": given[n][1]} for n in places])
            batch = {name: column.to(model.device) for name, column in batch.items()}
            labels = batch.pop("labels")[:, shift:]
            scores = model(**batch).logits[:, : labels.shape[1]].float()
            each = torch.nn.functional.cross_entropy(
                scores.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
            )
            right = ((scores.argmax(-1) == labels) & (labels != IGNORED)).sum(1)
            counts = (labels != IGNORED).sum(1)
            for n, *row in zip(places, each.sum(1).tolist(), counts.tolist(), right.tolist(), strict=True):
                found[n] = (float(row[0]), int(row[1]), int(row[2]))
    return found
