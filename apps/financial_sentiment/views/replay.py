"""A replay: the news of the desk or of an archive as if it were live, alerts firing as the clock goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import streamlit as st

from apps.financial_sentiment import sources
from apps.financial_sentiment.alerts import Alert
from apps.financial_sentiment.archives import Archives, inside
from apps.financial_sentiment.digest import RULES, alert_text, subject_name
from apps.financial_sentiment.items import Mood, Stored
from apps.financial_sentiment.rerun import HOUR, STEPS_H, Frame, Rerun, rerun
from apps.financial_sentiment.series import DAY
from apps.financial_sentiment.views.alerts import ICONS
from apps.financial_sentiment.views.state import (
    color_of,
    color_of_label,
    desk,
    follow,
    open_company,
    open_group,
    signed,
    when,
)
from apps.ui import session, states
from apps.ui.inert import inert
from apps.ui.session import t
from core.errors import TouchstoneError

SPEEDS = (1, 2, 5)  # steps a second
DEFAULT_DAYS = 30
SHOWN = 12
_OWN = ""  # the desk's own news among archives
_STATE, _TAKEN = "sentiment_replay", "sentiment_replay_taken"


@dataclass
class Playing:
    """A replay and where it stands; kept for the session."""

    asked: tuple[str, date, date, int]
    made: Rerun
    number: int = 0
    running: bool = False


def draw() -> None:
    st.caption(t("financial_sentiment.replay.about"))
    playing = _chosen()
    if playing is None:
        return
    speed = _controls(playing)
    every = 1 / speed if playing.running else None
    st.fragment(_drawn, run_every=every)(playing)


# --- what to replay ---------------------------------------------------------------------------


def _chosen() -> Playing | None:
    caller = session.caller()
    known = {archive.name: archive for archive in Archives(desk()).all(caller)}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        name = st.selectbox(
            t("financial_sentiment.replay.archive"), [_OWN, *known], key="sentiment_replay_archive", width=260,
            format_func={**{n: n for n in known}, _OWN: t("financial_sentiment.replay.own")}.__getitem__,
        )  # fmt: skip
        if name:
            first, last = known[name].first, known[name].last
        else:
            first, last = desk().items.span(caller)
        if first is None or last is None:
            begin = end = None
        else:
            begin, end = _dates(first, last, name)
        hours = st.selectbox(
            t("financial_sentiment.replay.step"), STEPS_H, index=1, key="sentiment_replay_step", width=140,
            format_func={h: t("financial_sentiment.replay.hours", count=h) for h in STEPS_H}.__getitem__,
        )  # fmt: skip
        _archives(name)
    if begin is None or end is None:
        states.empty(t("financial_sentiment.nothing"), hint=t("financial_sentiment.nothing_hint"))
        return None
    asked = (name, begin, end, int(hours))
    kept: Playing | None = st.session_state.get(_STATE)
    if kept is None or kept.asked != asked:
        with states.loading():
            kept = _made(asked)
        st.session_state[_STATE] = kept
    return kept


def _dates(first: float, last: float, name: str) -> tuple[date | None, date | None]:
    low, high = (datetime.fromtimestamp(moment, UTC).date() for moment in (first, last))
    default = max(low, datetime.fromtimestamp(last - DEFAULT_DAYS * DAY, UTC).date())
    key = f"{name}_{low}_{high}"  # a date out of another span must not come back
    begin = st.date_input(
        t("financial_sentiment.replay.begin"), default, low, high, key=f"sentiment_replay_begin_{key}", width=150
    )
    end = st.date_input(
        t("financial_sentiment.replay.end"), high, low, high, key=f"sentiment_replay_end_{key}", width=150
    )
    return begin, end


def _made(asked: tuple[str, date, date, int]) -> Playing | None:
    name, begin, end, hours = asked
    caller = session.caller()
    there = inside(caller, name) if name else caller
    try:
        if name:
            desk().judge(there)  # what a new head or dictionary left to judge
        made = rerun(desk(), there, begin=_midnight(begin), end=_midnight(end) + DAY, step_s=hours * HOUR)
    except TouchstoneError as error:
        states.failed(error)
        return None
    return Playing(asked, made)


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def _archives(name: str) -> None:
    """An archive from files, and away with the chosen one."""
    with st.popover(t("financial_sentiment.replay.add"), icon=":material/upload:"):
        title = st.text_input(t("financial_sentiment.replay.name"), key="sentiment_replay_name", max_chars=80)
        files = st.file_uploader(
            t("financial_sentiment.files"), type=[suffix.lstrip(".") for suffix in sources.SUFFIXES],
            accept_multiple_files=True, key="sentiment_replay_files", max_upload_size=sources.FILE_LIMIT_MB,
            help=t("financial_sentiment.replay.files_help"),
        )  # fmt: skip
        if st.button(
            t("financial_sentiment.save"), key="sentiment_replay_save", icon=":material/save:", disabled=not files
        ):
            with states.guarded(), states.loading():
                readings = [sources.parse(file.name, file.getvalue()) for file in files]
                made = Archives(desk()).add(title or files[0].name, readings, session.caller())
                st.session_state[_TAKEN] = (made.added.kept, [r.error for r in made.refused[:5]])
                st.rerun()
        if taken := st.session_state.pop(_TAKEN, None):
            st.success(t("financial_sentiment.replay.taken", count=taken[0]), icon=":material/check_circle:")
            for error in taken[1]:
                states.failed(error)
        if name:
            st.button(
                t("financial_sentiment.replay.delete", name=inert(name)), key="sentiment_replay_delete", type="tertiary",
                icon=":material/delete:", on_click=_delete, args=(name,),
            )  # fmt: skip


def _delete(name: str) -> None:
    with states.guarded():
        Archives(desk()).delete(name, session.caller())
        st.session_state.pop("sentiment_replay_archive", None)


# --- the clock --------------------------------------------------------------------------------


def _controls(playing: Playing) -> int:
    over = playing.number >= playing.made.steps
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        running = playing.running and not over
        st.button(
            t(f"financial_sentiment.replay.{'pause' if running else 'play'}"), key="sentiment_replay_play",
            icon=":material/pause:" if running else ":material/play_arrow:", on_click=_play, args=(playing, not running),
        )  # fmt: skip
        st.button(
            t("financial_sentiment.replay.next"), key="sentiment_replay_next", icon=":material/skip_next:",
            type="tertiary", on_click=_go, args=(playing, 1), disabled=over or running,
        )  # fmt: skip
        st.button(
            t("financial_sentiment.replay.to_end"), key="sentiment_replay_last", icon=":material/last_page:",
            type="tertiary", on_click=_go, args=(playing, playing.made.steps), disabled=over,
        )  # fmt: skip
        st.button(
            t("financial_sentiment.replay.restart"), key="sentiment_replay_first", icon=":material/restart_alt:",
            type="tertiary", on_click=_go, args=(playing, -playing.number), disabled=not playing.number,
        )  # fmt: skip
        speed = st.segmented_control(
            t("financial_sentiment.replay.speed"), SPEEDS, default=2, required=True, key="sentiment_replay_speed",
            format_func={s: t("financial_sentiment.replay.per_second", count=s) for s in SPEEDS}.__getitem__, label_visibility="collapsed",
        )  # fmt: skip
    return speed or 2


def _play(playing: Playing, running: bool) -> None:
    if running and playing.number >= playing.made.steps:
        playing.number = 0
    playing.running = running


def _go(playing: Playing, steps: int) -> None:
    playing.running = False
    playing.number = max(0, min(playing.made.steps, playing.number + steps))


def _drawn(playing: Playing) -> None:
    """One step on, when it runs, and how things stand then."""
    follow()
    if playing.running:
        playing.number = min(playing.made.steps, playing.number + 1)
        if playing.number >= playing.made.steps:
            playing.running = False
            st.rerun()  # so that the buttons and the clock stop
    made, number = playing.made, playing.number
    fired = made.fired(number) if number else ()
    frame = made.frame(desk(), number) if number else None
    moment = made.clock(number)
    st.progress(number / made.steps, text=t("financial_sentiment.replay.clock", when=when(moment)))
    with st.grid(4, min_column_width=150):
        count = frame.items_before + len(frame.items) if frame else 0
        st.metric(t("financial_sentiment.replay.items"), count, border=True)
        st.metric(t("financial_sentiment.replay.alerts"), f"{len(fired)}", border=True)
        st.metric(t("financial_sentiment.replay.steps"), f"{number} / {made.steps}", border=True)
        days = max(1 / 24, (moment - made.begin) / DAY) if number else 1
        st.metric(t("financial_sentiment.replay.per_day"), f"{len(fired) / days:.1f}", border=True)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _fired(fired, frame, inside_archive=bool(playing.asked[0]))
    with right:
        _standings(made, moment)
        _came(frame)


def _fired(fired: Sequence[Alert], frame: Frame | None, *, inside_archive: bool) -> None:
    st.markdown(f"**{t('financial_sentiment.replay.fired')}**", anchors=False)
    if not fired:
        st.caption(t("financial_sentiment.replay.none_fired"))
        return
    dictionary, language = desk().dictionary(session.caller()), session.language()
    new = set(map(id, frame.alerts)) if frame else set()
    for alert in fired[::-1][:SHOWN]:
        mark = f" :orange-badge[{t('financial_sentiment.replay.now')}]" if id(alert) in new else ""
        name = inert(subject_name(alert, dictionary, language))
        own = (
            "" if alert.rule in RULES else f" · {inert(alert.rule)}"
        )  # the reason says which of those that ship it was
        told = (
            f":material/{ICONS[alert.when]}: **{name}** · {inert(alert_text(alert, language))}"
            f" :small[:gray[{when(alert.at)}{own}]]{mark}"
        )
        if inside_archive:
            st.markdown(told)
            continue
        st.button(
            told, key=f"sentiment_replay_{alert.rule}_{alert.subject}_{alert.at}", type="tertiary", wrap=True,
            on_click=open_group if alert.scope == "group" else open_company, args=(alert.subject,),
        )  # fmt: skip
    if len(fired) > SHOWN:
        st.caption(t("financial_sentiment.preview_rest", count=len(fired) - SHOWN))


def _standings(made: Rerun, moment: float) -> None:
    """The most spoken of companies as they stood then."""
    standings = desk().companies(made.caller, at=moment, days=7)[:5]
    if not standings:
        return
    st.markdown(f"**{t('financial_sentiment.replay.standings')}**", anchors=False)
    language = session.language()
    st.markdown(
        "\n".join(
            f"- {inert(s.company.name(language))} :{color_of(s.index.mood)}[**{signed(s.index.mood)}**]"
            f" :small[:gray[{t('financial_sentiment.replay.count', count=s.items)}]]"
            for s in standings
        )
    )


def _came(frame: Frame | None) -> None:
    """The items of the last step."""
    st.markdown(f"**{t('financial_sentiment.replay.came')}**", anchors=False)
    if frame is None or not frame.items:
        st.caption(t("financial_sentiment.replay.none_came"))
        return
    for item, moods in frame.items[::-1][: SHOWN // 2]:
        _item(item, moods)
    if len(frame.items) > SHOWN // 2:
        st.caption(t("financial_sentiment.preview_rest", count=len(frame.items) - SHOWN // 2))


def _item(item: Stored, moods: Sequence[Mood]) -> None:
    known, language = desk().dictionary(session.caller()).companies, session.language()
    badges = " ".join(
        f":{color_of_label(m.label)}-badge[{inert(known[m.company].name(language))}"
        f" {t(f'financial_sentiment.label.{m.label}')}]"
        for m in moods
        if m.company in known
    )
    st.markdown(f"{badges}  \n{inert(item.title)}  \n:small[:gray[{when(item.seen_at)} · {inert(item.source)}]]")
