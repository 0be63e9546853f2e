"""What decision endpoints answer, as OpenAI's SDK and System One describe it: routes for ``tests.servers.json``.

Yes is likely at 0.8; of other options the later ones are likelier.
"""

from __future__ import annotations

from typing import Any


def _shares(count: int) -> list[float]:
    return [2 * (n + 1) / (count * (count + 1)) for n in range(count)]


def openai_decisions(body: Any) -> dict[str, Any]:
    """``POST /v1/decisions``."""
    answers = []
    for question in body["questions"]:
        head = {"name": question["name"], "type": question["type"]}
        if question["type"] == "predicate":
            answers.append({**head, "probability": 0.8})
        elif question["type"] == "choice":
            values = [row["value"] for row in question["choices"]]
            rows = [{"value": v, "probability": p} for v, p in zip(values, _shares(len(values)), strict=True)]
            answers.append({**head, "choice": values[-1], "confidence": 0.4, "probabilities": rows[::-1]})
        else:
            levels = [row["label"] for row in question["levels"]]
            shares = _shares(len(levels))
            rows = [{"label": v, "value": n, "probability": shares[n]} for n, v in enumerate(levels)]
            answers.append({**head, "score": 2.0, "confidence": 0.0, "probabilities": rows})
    return {"model": body["model"], "answers": answers, "usage": {"input_tokens": 3}}


def system_one(body: Any) -> dict[str, Any]:
    """``POST /v1/systemone``."""
    answers = {}
    for name, question in body["questions"].items():
        if question["type"] == "noul":
            answers[name] = {"type": "noul", "noul": 0.8}
            continue
        criteria = question["criteria"]
        labels = list(criteria) if question["type"] == "choice" else [str(n) for n in range(len(criteria))]
        shares = dict(zip(labels, _shares(len(labels)), strict=True))
        answers[name] = {"type": question["type"], "confidence": 0.4, "probabilities": shares}
    return {"answers": answers}
