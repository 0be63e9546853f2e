"""What is wrong with data before it is learned from: a report of findings, errors among them stop a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.i18n import Phrase, detect_language, message
from core.training.data import SHOWN, Finding, Kind, Reading, read
from core.training.label_errors import twins
from core.training.splits import LEAST, Splits, divide
from core.types import Example

IMBALANCE = 10.0  # rows of the largest label for one of the smallest
FEW = 5  # rows of a label below which it is called rare
MIXED = 0.05  # share of a second language that is worth a word


@dataclass(frozen=True, slots=True)
class DataReport:
    """Data that were read, divided and looked at. ``ok`` says whether a run may start."""

    name: str
    kind: Kind
    rows: int
    splits: Splits
    labels: Mapping[str, int]
    languages: Mapping[str, int]
    characters: Mapping[str, int]  # median, longest
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return not any(finding.severity == "error" for finding in self.findings)

    @property
    def usable(self) -> int:
        return sum(self.splits.sizes.values())

    def require(self) -> DataReport:
        """This report.

        Raises:
            InputError: (reason ``training_data``) there are errors; says each.
        """
        require(self.name, self.findings)
        return self

    def as_dict(self, language: str) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "ok": self.ok,
            "rows": self.rows,
            "usable": self.usable,
            "splits": {**self.splits.sizes, "checksum": self.splits.checksum},
            "labels": dict(self.labels),
            "languages": dict(self.languages),
            "characters": dict(self.characters),
            "findings": [
                {"code": f.code, "severity": f.severity, "count": f.count, "where": list(f.where), "text": f.text(language)}
                for f in self.findings
            ],
        }  # fmt: skip


def require(name: str, findings: tuple[Finding, ...]) -> None:
    """Nothing, where there is no error among the findings of the file ``name``.

    Raises:
        InputError: (reason ``training_data``) there are errors; says each.
    """
    if any(finding.severity == "error" for finding in findings):
        raise InputError(reason="training_data", name=name, detail=_Errors(findings))


def examine(
    path: Path,
    kind: Kind,
    *,
    columns: Mapping[str, str] | None = None,
    validation: Path | None = None,
    test: Path | None = None,
    seed: int = 0,
) -> DataReport:
    """Read, divide and check the data of a run. ``validation`` and ``test`` are files of their own, where there are.

    Raises:
        MissingFile, InputError: as :func:`core.training.data.read`; all else is in the report.
    """
    reading = read(path, kind, columns=columns)
    others = {
        part: read(file, kind, columns=columns, split=part)
        for part, file in (("validation", validation), ("test", test))
        if file is not None
    }
    splits = divide(reading.data, kind, given={part: found.data for part, found in others.items()}, seed=seed)
    findings = [*reading.findings, *(f for found in others.values() for f in found.findings), *splits.findings]
    records = [*splits.train.records, *splits.validation.records, *splits.test.records]
    labels = Counter(record.label for record in records if record.label is not None)
    languages = Counter(detect_language(record.input) for record in records)
    lengths = sorted(len(record.input) for record in records)
    findings += _about(reading, splits, labels, languages)
    if kind == "entities":
        labels = Counter(label for record in records for _, _, label in record.metadata["entities"])
        if records and not labels:
            findings.append(Finding("no_entities", "error"))
    order = {"error": 0, "warning": 1, "note": 2}
    return DataReport(
        path.name,
        kind,
        reading.rows + sum(found.rows for found in others.values()),
        splits,
        dict(labels.most_common()),
        dict(languages.most_common()),
        {"median": lengths[len(lengths) // 2], "longest": lengths[-1]} if lengths else {},
        tuple(sorted(findings, key=lambda finding: order[finding.severity])),
    )


def _about(reading: Reading, splits: Splits, labels: Counter[str], languages: Counter[str]) -> list[Finding]:
    found: list[Finding] = []
    usable = sum(splits.sizes.values())
    if any(finding.severity == "error" for finding in reading.findings):
        return found
    if usable < LEAST or not all(splits.sizes.values()):
        found.append(Finding("too_few", "error", usable, params={"least": LEAST}))
    if reading.kind == "classification" and len(labels) == 1:
        found.append(Finding("one_class", "error", 1, params={"labels": ", ".join(labels)}))
    elif reading.kind == "classification" and labels and max(labels.values()) == 1:
        found.append(Finding("no_label_twice", "error", len(labels), params={"labels": ", ".join([*labels][:3])}))
    elif reading.kind == "classification" and labels:
        (largest, most), (smallest, least) = labels.most_common()[0], labels.most_common()[-1]
        if most / least >= IMBALANCE:
            params = {"largest": largest, "most": most, "smallest": smallest, "least": least}
            found.append(Finding("imbalance", "warning", params=params))
        if rare := [label for label, count in labels.items() if count < FEW]:
            found.append(
                Finding("rare_label", "warning", len(rare), params={"labels": ", ".join(rare[:5]), "few": FEW})
            )
        learned = {record.label for record in splits.train.records}
        if strange := sorted({str(r.label) for r in splits.test.records if r.label not in learned}):
            found.append(
                Finding("label_not_learned", "warning", len(strange), params={"labels": ", ".join(strange[:5])})
            )
    if reading.kind == "classification":
        found += _near_contradictions(splits)
    second = languages.most_common(2)[1:]
    if second and second[0][1] >= MIXED * usable:
        told = ", ".join(f"{language} {count / usable:.0%}" for language, count in languages.most_common())
        found.append(Finding("languages", "note", len(languages), params={"languages": told}))
    return found


def _near_contradictions(splits: Splits) -> list[Finding]:
    """Rows whose near-duplicate bears another label; exact ones were left out before."""
    records = [*splits.train.records, *splits.validation.records, *splits.test.records]
    rows = [records[place] for place in twins([Example(record.input, str(record.label)) for record in records])]
    places = tuple(str(record.metadata.get("where", record.id)) for record in rows[:SHOWN])
    return [Finding("near_contradiction", "warning", len(rows), places)] if rows else []


class _Errors(Phrase):
    """The errors of a report as a parameter of a message, in its language."""

    __slots__ = ("findings",)

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        super().__init__("training.errors")
        self.findings = [finding for finding in findings if finding.severity == "error"]

    def text(self, language: str) -> str:
        return " ".join(finding.text(language) for finding in self.findings)


def told(findings: tuple[Finding, ...], language: str) -> str:
    """Findings in words, one a line; nothing found is said, too."""
    colon = message("training.colon", language)
    lines = [f"{message(f'training.severity.{f.severity}', language)}{colon}{f.text(language)}" for f in findings]
    return "\n".join(lines) or message("training.nothing_found", language)
