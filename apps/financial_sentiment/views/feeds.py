"""News in: files and feeds, with what was refused and why; sources; corrections out."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import streamlit as st

from apps.financial_sentiment import sources
from apps.financial_sentiment.following import EVERY_S, Following
from apps.financial_sentiment.second import SecondOpinions
from apps.financial_sentiment.service import Import
from apps.financial_sentiment.views import dictionary
from apps.financial_sentiment.views.state import desk, open_company, watching, when
from apps.financial_sentiment.watch import Folder, Watch
from apps.ui import session, states
from apps.ui.inert import inert
from apps.ui.session import t
from core.errors import TouchstoneError

_DONE, _SOURCES = "sentiment_imported", "sentiment_sources"
_TROUBLES = 8  # shown


def draw() -> None:
    left, right = st.columns(2, gap="large")
    with left:
        _files()
        _feed()
        _folders()
        dictionary.draw()
    with right:
        _sources()
        _troubles()
        _second()
        _try()
        _corrections()


def _files() -> None:
    st.markdown(f"#### {t('financial_sentiment.import')}", anchors=False)
    archive = st.toggle(
        t("financial_sentiment.archive"), key="sentiment_archive", help=t("financial_sentiment.archive_help")
    )
    files = st.file_uploader(
        t("financial_sentiment.files"),
        type=[suffix.lstrip(".") for suffix in sources.SUFFIXES],
        accept_multiple_files=True,
        key="sentiment_files",
        max_upload_size=sources.FILE_LIMIT_MB,
        help=t("financial_sentiment.files_help"),
    )
    done: dict[str, Import] = st.session_state.setdefault(_DONE, {})
    for file in files:
        if file.file_id not in done:
            with states.loading():
                reading = sources.parse(file.name, file.getvalue())
                done[file.file_id] = desk().add_reading(reading, session.caller(), archive=archive)
        _told(done[file.file_id])


def _feed() -> None:
    """A feed's address, to read once or to follow; and the feeds that are followed."""
    following, caller = Following(desk()), session.caller()
    with st.form("sentiment_feed", border=False):
        url = st.text_input(t("financial_sentiment.feed"), placeholder="https://… · akshare:600519 · yfinance:AAPL")
        with st.container(horizontal=True):
            asked = st.form_submit_button(t("financial_sentiment.fetch"), icon=":material/rss_feed:")
            follow = st.form_submit_button(
                t("financial_sentiment.follow"), icon=":material/autorenew:",
                help=t("financial_sentiment.follow_help", minutes=round(EVERY_S / 60)),
            )  # fmt: skip
    if asked:
        with states.loading():
            _told(desk().add_reading(sources.fetch(url.strip()), caller))
    if follow:
        try:
            following.add(url, caller)
        except TouchstoneError as error:
            states.failed(error)
        else:
            watching(desk())
    for feed in following.all(caller):
        with st.container(border=True, gap="xsmall"):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{inert(feed.address)}**", width="stretch")
                st.button(
                    t("financial_sentiment.folder_stop"), key=f"sentiment_unfollow_{feed.address}", type="tertiary",
                    icon=":material/close:", on_click=following.remove, args=(feed.address, caller),
                )  # fmt: skip
            looked, due = (when(moment) if moment else "–" for moment in (feed.looked_at, feed.due_at))
            st.caption(t("financial_sentiment.followed", count=feed.brought, when=looked, due=due))
            if feed.error:
                st.error(inert(feed.error[session.language()]), icon=":material/error:")


def _folders() -> None:
    """Folders of this machine that are read again and again; an administrator's, since they are the machine's files."""
    watch, caller = Watch(desk()), session.caller()
    known = watch.folders(caller)
    admin = session.allowed("admin")
    if not known and not admin:
        return
    st.markdown(f"#### {t('financial_sentiment.folders')}", anchors=False)
    if admin:
        with st.form("sentiment_folder", border=False, clear_on_submit=True):
            path = st.text_input(t("financial_sentiment.folder"), help=t("financial_sentiment.folder_help"))
            if (
                st.form_submit_button(t("financial_sentiment.folder_watch"), icon=":material/folder_eye:")
                and path.strip()
            ):
                try:
                    watch.add(Path(path.strip()), caller)
                except TouchstoneError as error:
                    states.failed(error)
                else:
                    watching(desk())
                    st.rerun()
    for folder in known:
        _folder(watch, folder, admin)


def _folder(watch: Watch, folder: Folder, admin: bool) -> None:
    language = session.language()
    looked = when(folder.looked_at) if folder.looked_at else "–"
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{inert(folder.path)}**", width="stretch")
            if admin:
                st.button(
                    t("financial_sentiment.folder_stop"), key=f"sentiment_stop_{folder.path}", type="tertiary",
                    icon=":material/close:", on_click=watch.remove, args=(folder.path, session.caller()),
                )  # fmt: skip
        told = t("financial_sentiment.folder_state", files=folder.files, failed=folder.failed, when=looked)
        st.caption(told)
        if folder.error:
            st.error(inert(folder.error[language]), icon=":material/error:")
        for file in [f for f in watch.files(folder.path, session.caller()) if f.error][:5]:
            where = file.error["where"] if file.error else ""
            st.markdown(f":small[:material/error: **{inert(where)}** {inert((file.error or {}).get(language, ''))}]")


def _second() -> None:
    """How often a second opinion agrees with the head, and where it does not."""
    told, apart = SecondOpinions(desk()).agreement(session.caller())
    if not told:
        return
    st.markdown(f"#### {t('financial_sentiment.second.title')}", anchors=False)
    st.dataframe(
        {
            t("financial_sentiment.second.language"): [session.LANGUAGE_NAMES[a.language] for a in told],
            t("financial_sentiment.items"): [a.count for a in told],
            t("financial_sentiment.second.agreed"): [f"{a.agreed / a.count:.0%}" for a in told],
            "κ": [round(a.kappa, 2) for a in told],
        },
        column_config={
            "κ": st.column_config.NumberColumn(help=t("financial_sentiment.second.kappa_help"), format="%.2f")
        },
        hide_index=True,
        height="content",
    )
    items = desk().items.get(session.caller(), [s.item_id for s in apart[:5]])
    for s in apart[:5]:
        first, second = (t(f"financial_sentiment.label.{label}") for label in (s.first, s.label))
        st.button(
            f"{first} ≠ {second} · {inert(items[s.item_id].title)}", key=f"sentiment_apart_{s.item_id}_{s.company}",
            type="tertiary", on_click=open_company, args=(s.company,),
        )  # fmt: skip


def _told(made: Import) -> None:
    a = made.added
    text = t("financial_sentiment.added", new=a.new, updated=a.updated, copies=a.copies, known=a.known)
    if a.undated or a.future:
        text += " " + t("financial_sentiment.undated", undated=a.undated, future=a.future)
    if a.kept or a.known or not made.refused:
        st.success(text, icon=":material/check_circle:")
    for refused in made.refused[:5]:
        states.failed(refused.error)
    for noticed in made.noticed[:5]:
        st.caption(inert(noticed.error.text(session.language())))
    if len(made.refused) > 5:
        st.caption(t("financial_sentiment.refused_more", count=len(made.refused) - 5))


def _sources() -> None:
    st.markdown(f"#### {t('financial_sentiment.sources')}", anchors=False)
    rows = desk().items.sources(session.caller())
    if not rows:
        st.caption(t("financial_sentiment.nothing"))
        return
    notes = desk().choices.licences(session.caller())
    source, licence = t("financial_sentiment.source"), t("financial_sentiment.licence")
    table = {
        source: [r["source"] for r in rows],
        t("financial_sentiment.last"): [when(r["last_seen_at"])[5:] for r in rows],
        t("financial_sentiment.items"): [r["items"] for r in rows],
        licence: [notes.get(r["source"], "") for r in rows],
        t("financial_sentiment.copied"): [r["copies"] for r in rows],
        t("financial_sentiment.replaced"): [r["replaced"] for r in rows],
        t("financial_sentiment.dateless"): [r["undated"] + r["future"] for r in rows],
        t("financial_sentiment.unnamed"): [r["unnamed"] for r in rows],
    }
    st.data_editor(
        table, hide_index=True, height="content", key=_SOURCES, disabled=[name for name in table if name != licence],
        column_config={licence: st.column_config.TextColumn(width="small", help=t("financial_sentiment.licence_help"), max_chars=200)},
        on_change=_note, args=(table[source], licence),
    )  # fmt: skip


def _note(names: list[str], column: str) -> None:
    """Keep what was written beside sources."""
    for row, edited in st.session_state[_SOURCES]["edited_rows"].items():
        if column in edited:
            desk().choices.save_licence(session.caller(), names[int(row)], edited[column] or "")


def _troubles() -> None:
    """What sources had wrong, the newest first."""
    caller = session.caller()
    found = desk().troubles.all(caller)
    if not found:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"#### {t('financial_sentiment.troubles')}", anchors=False, width="stretch")
        st.button(
            t("financial_sentiment.troubles_clear"), key="sentiment_troubles_clear", type="tertiary",
            icon=":material/done_all:", on_click=desk().troubles.clear, args=(caller,),
        )  # fmt: skip
    for trouble in found[:_TROUBLES]:
        often = f" · {trouble.count} ×" if trouble.count > 1 else ""
        where = trouble.told["where"] if trouble.told["where"].startswith(trouble.source) else trouble.source
        st.markdown(
            f":material/error: **{inert(where)}** :small[:gray[{when(trouble.last_at)}{often}]]  \n"
            f":small[{inert(trouble.told[session.language()])}]"
        )
    if len(found) > _TROUBLES:
        st.caption(t("financial_sentiment.troubles_more", count=len(found) - _TROUBLES))


def _try() -> None:
    st.markdown(f"#### {t('financial_sentiment.try')}", anchors=False)
    text = st.text_area(t("financial_sentiment.try_text"), key="sentiment_try", height=90, max_chars=20_000)
    if not text.strip():
        return
    found = desk().analyze(text, session.caller())
    if not found:
        st.caption(t("financial_sentiment.no_company"))
    for o in found:
        label = t(f"financial_sentiment.label.{o.label}")
        st.markdown(f"**{inert(o.company.name(session.language()))}** · {label} {o.probability:.0%}  \n"
                    f":small[:gray[{inert(text[slice(*o.evidence)])}]]")  # fmt: skip


def _corrections() -> None:
    rows = desk().labels(session.caller())
    if not rows:
        return
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(("text", "entity", "label"))
    writer.writerows(rows)
    st.download_button(
        t("financial_sentiment.corrections", count=len(rows)),
        written.getvalue().encode("utf-8-sig"),
        "corrections.csv",
        icon=":material/download:",
        key="sentiment_corrections",
    )
