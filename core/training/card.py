"""The model card of a version: what it is, what it learned from, how good it is, how to use it; in both languages.

The front matter is that of a Hugging Face model card, so an exported folder is one.
"""

from __future__ import annotations

from typing import Any

from core.evaluation.results import Evaluation, Report
from core.i18n import LANGUAGES, detect_language, message
from core.training.store import Version, write_whole

WATTS = 12.0  # of a busy processor core with its share of memory and supply: a guess for servers and laptops alike
GRAMS_PER_KWH = 445.0  # of CO2 equivalent, the world in 2024: IEA, Electricity 2025
_PIPELINES = {
    "classification": "text-classification",
    "pairs": "sentence-similarity",
    "conversations": "text-generation",
    "preferences": "text-generation",
    "entities": "token-classification",
    "text": "text-generation",
}


def write_card(version: Version, made: Report) -> None:
    """Write ``README.md`` into the version's folder."""
    import yaml

    run = version.run
    head: dict[str, Any] = {
        "pipeline_tag": "text-ranking" if version.reranks else _PIPELINES[run.kind],
        "language": list(run.about_data["languages"]),
        "base_model": version.origin,
        "tags": ["touchstone", run.recipe],
    }
    parts = [
        "---\n" + yaml.safe_dump(head, allow_unicode=True, sort_keys=False) + "---",
        f"# {run.name} · {run.version}",
    ]
    for language in ("en", *(other for other in LANGUAGES if other != "en")):
        parts += _part(version, made, language)
    write_whole(version.folder / "README.md", "\n\n".join(parts) + "\n")


def energy(cpu_s: float) -> dict[str, str]:
    """An estimate from processor time alone, with what it assumes; a graphics card is not counted."""
    wh = cpu_s * WATTS / 3600
    figures = {"wh": wh, "grams": wh * GRAMS_PER_KWH / 1000, "watts": WATTS, "per_kwh": GRAMS_PER_KWH}
    return {name: f"{value:.3g}" for name, value in figures.items()}


def _part(version: Version, made: Report, language: str) -> list[str]:
    run, facts = version.run, version.facts()

    def t(key: str, **params: Any) -> str:
        return message(f"training.card.{key}", language, **params)

    rows = ", ".join(f"{part} {count}" for part, count in run.rows.items())
    learned = [t("data", name=run.data, rows=rows, checksum=run.checksum[:16])]
    if run.about_data["labels"]:
        shown = ", ".join(f"{label} ({count})" for label, count in list(run.about_data["labels"].items())[:20])
        learned.append(t("labels", labels=shown))
    learned += [f"{row['text']}" for row in run.about_data["findings"]] if language == "en" else []
    trained = t(
        "run",
        recipe=run.recipe,
        base=version.origin,
        settings=", ".join(f"{name}={value}" for name, value in run.settings.items()),
        seed=run.seed,
    )
    cost = t(
        "cost",
        seconds=f"{facts.get('seconds', 0):.0f}",
        cpu_s=f"{facts.get('cpu_s', 0):.0f}",
        peak_mib=facts.get("peak_mib", "?"),
        device=facts.get("device", "?"),
        mb=f"{facts.get('bytes', 0) / 1e6:.1f}",
    )
    estimate = t("energy", **energy(facts.get("cpu_s", 0)))
    return [
        f"## {t('title')}",
        message(f"training.card.kind.{'ranking' if version.reranks else run.kind}", language),
        f"### {t('learned_from')}",
        "\n".join(f"- {line}" for line in learned),
        f"### {t('how')}",
        f"- {trained}\n- {cost}\n- {estimate}",
        f"### {t('figures')}",
        _figures(made, t),
        *_per_language(made.evaluations[0], version, t),
        f"### {t('use')}",
        f"```python\n{_example(version)}\n```",
        f"### {t('limits')}",
        t("limits_text"),
    ]


def _figures(made: Report, t: Any) -> str:
    mine = made.evaluations[0]
    lines = [f"| {t('measure')} | {' | '.join(e.system for e in made.evaluations)} |"]
    lines.append("| --- |" + " --- |" * len(made.evaluations))
    for name in mine.figures:
        cells = []
        for evaluation in made.evaluations:
            figure = evaluation.figures.get(name)
            cells.append(f"{figure.value:.3f} ({figure.low:.3f} – {figure.high:.3f})" if figure else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n\n" + t("intervals", rows=len(mine.ids))


def _per_language(mine: Evaluation, version: Version, t: Any) -> list[str]:
    """Accuracy apart, where the test rows are in several languages."""
    if "accuracy" not in mine.columns:
        return []
    right = dict(zip(mine.ids, mine.columns["accuracy"], strict=True))
    apart: dict[str, list[float]] = {}
    for record in version.splits().test.records:
        if record.id in right:
            apart.setdefault(detect_language(record.input), []).append(float(right[record.id] or 0))
    if len(apart) < 2:
        return []
    shown = ", ".join(f"{name} {sum(found) / len(found):.3f} ({len(found)})" for name, found in apart.items())
    return [t("per_language", languages=shown)]


def _example(version: Version) -> str:
    name = version.run.name
    if version.reranks:
        return f'runtime.reranker("trained:{name}")'
    if version.run.kind == "pairs":
        return f'runtime.embedding("trained:{name}")'
    if version.run.recipe == "masked":
        return f'work.prepare(runtime, "full", path, out="tickets", base="{version.served_as}")'
    if version.run.kind == "text":
        return f'await texts.written(Trained(home).version("{name}"), runtime.settings, "…")'
    if version.run.kind == "entities":
        return f'await open_tagger(Trained(home).version("{name}"), runtime.settings).extract(["…"])'
    if version.role == "chat":
        return f'runtime.chat("trained:{name}")'
    return f'runtime.decision("trained:{name}")'
