"""``touchstone doctor`` and ``touchstone usage``: what is in order, and what was used."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer

from apps.commands.shell import Out, current_language, out_of, plain, table

Json = Annotated[bool, typer.Option("--json", help="cli.option.json")]
STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


def doctor(json: Json = False) -> None:
    from rich.text import Text

    from core.doctor import diagnose

    out = Out(json, current_language())
    findings = diagnose()
    shown = table("", out.t("doctor.what"), out.t("doctor.detail"))
    for finding in findings:
        as_data = finding.as_dict(out.language)
        said = Text(plain(as_data["detail"]))
        if as_data["next_step"]:
            said.append(plain(f"\n→ {as_data['next_step']}"), style="bold")
        status = Text(out.t(f"doctor.status.{finding.status}"), style=STYLES[finding.status])
        shown.add_row(status, Text(plain(as_data["what"])), said)
    out.show(shown)
    counts = {status: sum(finding.status == status for finding in findings) for status in STYLES}
    out.say(out.t("doctor.summary", **counts))
    out.document({"findings": [finding.as_dict(out.language) for finding in findings], **counts})
    if counts["error"]:
        raise typer.Exit(1)


def usage(
    days: Annotated[float, typer.Option("--days", help="cli.usage.days", min=0.0)] = 30.0,
    json: Json = False,
) -> None:
    from rich.text import Text

    from core.runtime import open_runtime

    with open_runtime() as runtime:
        out = out_of(runtime.settings, json)
        rows = runtime.ledger.summary(since=time.time() - days * 86400)
    heads = (
        "model",
        "operation",
        "calls",
        "failed",
        "stopped",
        "input_tokens",
        "output_tokens",
        "first_token",
        "total",
    )
    shown = table(*(out.t(f"usage.{name}") for name in heads))
    for column in shown.columns[2:]:
        column.justify = "right"
    for row in rows:
        numbers = (row.calls, row.failed, row.stopped, row.input_tokens, row.output_tokens)
        times = (row.mean_first_token_s, row.mean_total_s)
        shown.add_row(
            Text(plain(f"{row.provider}:{row.model}")),
            row.operation,
            *("–" if number is None else f"{number:,}" for number in numbers),
            *("–" if seconds is None else f"{seconds:.2f} s" for seconds in times),
        )
    if rows:
        out.show(shown)
    else:
        out.say(out.t("usage.nothing", days=f"{days:g}"))
    out.document({"days": days, "models": [asdict(row) for row in rows]})
