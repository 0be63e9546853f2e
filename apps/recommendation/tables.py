"""Tables from files, and which of their columns say what: CSV, TSV, JSON Lines, Parquet, RecBole's files, MovieLens' ``.dat``."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InputError, MissingFile

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet", ".inter", ".item", ".dat")
Columns = Mapping[str, tuple[str, ...]]  # our names → those of files that are known, the surest first
_AMAZON = ("user", "item", "value", "at")  # the columns of its files that have no head
_DAT = {4: ("userId", "movieId", "rating", "timestamp"), 3: ("movieId", "title", "genres")}  # MovieLens 1M and 10M
_HEAD = 5  # rows that are looked at to know a file by its columns
_MILLISECONDS = 1e11  # a time above this is no time in seconds before the year 5138


def read(path: Path, rows: int | None = None) -> pd.DataFrame:
    """The table in ``path``, or its first ``rows``; of Parquet then the columns alone.

    Raises:
        MissingFile, InputError: no such file; another form, unreadable, or without a row.
    """
    import pandas as pd

    if not path.is_file():
        raise MissingFile(path=str(path), needed_for="recommend import")
    suffix = path.suffix.lower()
    try:
        match suffix:
            case ".parquet" if rows is not None:
                from pyarrow import parquet

                return pd.DataFrame(columns=parquet.ParquetFile(path).schema_arrow.names)
            case ".parquet":
                table = pd.read_parquet(path)
            case ".jsonl":
                with path.open(encoding="utf-8") as opened:
                    lines = [line for line in islice(opened, rows) if line.strip()]
                table = pd.DataFrame.from_records([json.loads(line) for line in lines])
            case ".dat":
                table = _dat(path, rows)
            case ".csv" | ".tsv" | ".inter" | ".item":
                mark = "," if suffix == ".csv" else "\t"
                table = pd.read_csv(path, sep=mark, dtype=str, keep_default_na=False, nrows=rows)
                table = table.replace("", None)
            case _:
                raise InputError(reason="binary_file", name=path.name, allowed=", ".join(SUFFIXES))
    except (ValueError, OSError) as error:  # those of json, pandas and pyarrow are ValueErrors
        raise InputError(reason="unreadable_file", name=path.name, detail=str(error)[:200]) from error
    if suffix in (".inter", ".item"):
        table.columns = [str(name).partition(":")[0] for name in table.columns]  # user_id:token
    elif suffix == ".csv" and len(table.columns) == len(_AMAZON) and _is_number(table.columns[-1]):
        first = pd.DataFrame([list(table.columns)], columns=list(_AMAZON))
        table = pd.concat([first, table.set_axis(list(_AMAZON), axis=1)], ignore_index=True)
    if table.empty:
        raise InputError(reason="no_rows", name=path.name)
    return table


def heads(path: Path) -> list[str]:
    """The columns of ``path``, of which only the beginning is read. Raises as :func:`read`."""
    return [str(name) for name in read(path, _HEAD).columns]


def recognized(columns: Collection[str], known: Columns) -> dict[str, str]:
    """Our names → ``columns``, as far as they have a name that is known."""
    found = {ours: next((n for n in names if n in columns), "") for ours, names in known.items()}
    return {ours: name for ours, name in found.items() if name}


def named(table: pd.DataFrame, known: Columns, given: Mapping[str, str], path: Path) -> dict[str, str]:
    """Our names → columns of ``table``; those ``given`` go before those that are known.

    Raises:
        InputError: a name of ``given`` is not one of ours, or the table lacks its column.
    """
    for ours, theirs in given.items():
        if ours not in known:
            raise InputError(reason="bad_value", name="column", value=ours, allowed=", ".join(known))
        if theirs not in table.columns:
            _missing([theirs], table, path)
    return {**recognized(list(table.columns), known), **given}


def demand(names: Mapping[str, str], needed: list[tuple[str, ...]], table: pd.DataFrame, path: Path) -> None:
    """Raise InputError unless one name of each group is there."""
    if absent := [" / ".join(group) for group in needed if not any(name in names for name in group)]:
        _missing(absent, table, path)


def _dat(path: Path, rows: int | None) -> pd.DataFrame:
    """``1::Toy Story (1995)::Animation|Comedy``: MovieLens' form without a head, in UTF-8 or, in its older sets, Latin-1."""
    import pandas as pd

    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    cells = [line.split("::") for line in islice(text.splitlines(), rows) if line]
    names = _DAT.get(len(cells[0]) if cells else 0)
    if names is None or any(len(row) != len(names) for row in cells):
        raise ValueError("not of the form user::item::rating::time or item::title::tags")
    return pd.DataFrame(cells, columns=list(names))


def _missing(absent: list[str], table: pd.DataFrame, path: Path) -> None:
    there = ", ".join(str(name) for name in table.columns)
    raise InputError(reason="columns_missing", name=path.name, missing=", ".join(absent), columns=there)


def exploded(table: pd.DataFrame) -> pd.DataFrame:
    """RecBole's sequential files: a row is a user with all their items, oldest first, and the one that came next."""
    listed = table["item_id_list"].str.split()
    if "item_id" in table:
        listed = listed + table["item_id"].map(lambda item: [item])
    return table.assign(item_id_list=listed).explode("item_id_list", ignore_index=True)


def seconds(column: pd.Series[Any]) -> pd.Series[Any]:
    """Times as seconds since the epoch: numbers of seconds or milliseconds, or dates."""
    import numpy as np
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    if numbers.notna().any():
        return numbers.where(numbers < _MILLISECONDS, numbers / 1000)
    dates = pd.to_datetime(column, errors="coerce", utc=True, format="mixed")
    seconds = (dates - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
    return seconds.where(dates.notna(), np.nan)


def _is_number(text: Any) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False
