"""The Training page: a file is looked at, a recipe learns from it, the result is compared, promoted, explained, corrected."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import streamlit as st

from apps import training_data
from apps.background import Background
from apps.customer_service.intents import SHIPPED
from apps.ui import look, session, states
from apps.ui.inert import inert
from apps.ui.session import t
from apps.ui.states import failed, guarded, loading
from core.errors import NotAllowed
from core.evaluation import results
from core.providers.sync import run
from core.retrieval.records import Progress
from core.training import promotion, work
from core.training.checks import DataReport, examine
from core.training.classifiers import open_classifier
from core.training.corrections import Corrections
from core.training.data import COLUMNS, PAIR_OF_TURNS, Kind, columns_of
from core.training.entities import extracted
from core.training.explain import Explanation, explain
from core.training.loop import Log
from core.training.recipes import LIMITS, Recipe, recipe, recipes
from core.training.store import Trained, Version

ORDER = (
    "head", "frozen", "lora", "adalora", "full", "entities", "embedding", "embedding-adapter", "cross-encoder", "chat", "dpo", "kto", "causal", "masked", "lstm",
)  # fmt: skip
COLORS = {"error": "red", "warning": "orange", "note": "gray"}
SIGNS = {"better": ":green-badge[{}]", "worse": ":red-badge[{}]"}
LIMIT_MB = 50


@st.cache_resource(show_spinner=False)
def background() -> Background:
    """Runs of this process; a run that ends with it goes on when it is begun again."""
    return Background()


@contextmanager
def as_file(name: str, content: bytes) -> Iterator[Path]:
    """The uploaded file on disk while it is read; a run keeps rows of its own, so nothing of it stays."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (Path(name).name or "data.csv")
        path.write_bytes(content)
        yield path


def mapping(path: Path, kind: Kind) -> dict[str, str]:
    """The user's columns for ours, asked for where the table does not name them as we do."""
    there = columns_of(path)
    wanted = [*COLUMNS[kind], *(PAIR_OF_TURNS if kind == "conversations" else ())]
    missing = [ours for ours in wanted if ours not in there]
    if not there or not missing or (kind == "conversations" and len(missing) < len(wanted)):
        return {}
    labels = {"": t("training_page.as_named"), **{name: name for name in there}}
    st.caption(t("training_page.mapping"))
    with st.container(horizontal=True):
        found = {
            ours: st.selectbox(ours, list(labels), key=f"training_column_{ours}", format_func=labels.__getitem__)
            for ours in missing
        }
    return {ours: theirs for ours, theirs in found.items() if theirs}


def settings_of(chosen: Recipe) -> dict[str, str]:
    """What was changed of the recipe's settings."""
    changed = {}
    with st.expander(t("training_page.settings"), icon=":material/tune:"), st.grid("auto", min_column_width=130):
        for name, value in chosen.settings.items():
            kind = type(value)
            low, high = (kind(limit) for limit in LIMITS[name])
            options: dict[str, Any] = {"step": 1} if kind is int else {"step": value / 10 or 0.01, "format": "%g"}
            given = st.number_input(name, low, high, value, key=f"training_set_{chosen.name}_{name}", **options)
            if given != value:
                changed[name] = str(kind(given))
    return changed


def draw_check(found: DataReport) -> None:
    with st.grid("auto", min_column_width=110):
        st.metric(t("training_page.rows"), look.count(found.rows))
        for part, size in found.splits.sizes.items():
            st.metric(t(f"training_page.part.{part}"), look.count(size))
    for finding in found.findings:
        color = COLORS[finding.severity]
        badge = f":{color}-badge[{t(f'training_page.severity.{finding.severity}')}]"
        st.markdown(f"{badge} {inert(finding.text(session.language()))}")
    if not found.findings:
        st.caption(f"{look.ICONS['ok']} {t('training_page.clean')}")


def begin(
    path: Path, chosen: str, name: str, base: str, columns: Mapping[str, str], settings: Mapping[str, str]
) -> None:
    """Check everything in this run of the page, then learn in the background."""
    runtime = session.runtime()
    who = session.caller()
    prepared = work.prepare(runtime, chosen, path, out=name, base=base, settings=settings, columns=columns, caller=who)

    def learn(_: Callable[[Progress], None]) -> Coroutine[Any, Any, Version]:
        return work.train(runtime, prepared, caller=who)

    background().start(name, learn)
    st.session_state["training_name"] = st.session_state["training_model"] = name
    st.session_state[f"training_version_{name}"] = prepared.version.run.version
    st.session_state["training_folder"] = str(prepared.version.folder)


def new_run() -> None:
    st.markdown(f"### {t('training_page.new')}", anchors=False)
    names = [name for name in ORDER if name in recipes()]
    labels = {name: f"{name} · {t(f'cli.train.recipe.{name}')}" for name in names}
    chosen = st.selectbox(t("training_page.recipe"), names, key="training_recipe", format_func=labels.__getitem__)
    file = st.file_uploader(
        t("training_page.file"), type=["csv", "tsv", "jsonl", "txt", "md"], key="training_file", max_upload_size=LIMIT_MB,
        help=t("cli.train.data"),
    )  # fmt: skip
    about, needs = t(f"cli.train.recipe.{chosen}"), t(f"training_page.columns.{recipe(chosen).kind}")
    st.caption(f"{about}{'' if about.endswith('。') else ' '}{needs}")
    if file is None:
        return
    with as_file(file.name, file.getvalue()) as path, guarded():
        columns = mapping(path, recipe(chosen).kind)
        found = examine(path, recipe(chosen).kind, columns=columns)
        draw_check(found)
        with st.form("training_form", border=True):
            name = st.text_input(t("training_page.name"), key="training_out", placeholder="tickets").strip()
            base = st.text_input(t("training_page.base"), key="training_base", help=t("cli.train.base")).strip()
            settings = settings_of(recipe(chosen))
            if st.form_submit_button(t("training_page.start"), key="training_start", disabled=not found.ok):
                begin(path, chosen, name, base, columns, settings)


@st.fragment(run_every=1.0)
def under_way(name: str, folder: Path) -> None:
    """The curve while it learns; when it ends the page is drawn anew, once."""
    state = background().state(name)
    if state is None:
        return
    if not state.under_way:
        if state.error is not None:
            failed(state.error)
            return
        background().forget(name)
        st.rerun()
    last = Log(folder / "progress.jsonl").last()
    share = last.step / last.steps if last and last.steps else 0.0
    left = look.seconds(last.eta_s) if last else "–"
    st.progress(min(share, 1.0), text=t("training_page.learning", name=inert(name), left=left))
    draw_curve(folder)


def draw_curve(folder: Path) -> None:
    """Loss by step; a head has none. Each line has its own moments, so they are told apart by a column."""
    moments = Log(folder / "progress.jsonl").all()
    lines = {
        "loss": [(m.step, m.loss) for m in moments],
        "validation_loss": [(m.step, m.validation_loss) for m in moments],
    }
    step, value, which = (t(f"training_page.{name}") for name in ("step", "value", "line"))
    points = [
        {step: at, value: loss, which: t(f"training_page.{name}")}
        for name, found in lines.items()
        for at, loss in found
        if loss is not None
    ]
    if points:
        st.caption(t("training_page.curve"))
        st.line_chart(points, x=step, y=value, color=which, height=220)


def choose_model(store: Trained) -> Version | None:
    names = store.names()
    if not names:
        states.empty(t("training_page.none"), icon=":material/model_training:", hint=t("training_page.none_hint"))
        return None
    begun = st.session_state.get("training_name")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            t("training_page.model"), names, index=names.index(begun) if begun in names else 0, key="training_model"
        )
        serving = store.serving(name)
        versions = [v.run.version for v in reversed(store.versions(name))]
        label = {n: f"@{n}{' · ' + t('cli.train.state.serving') if n == serving else ''}" for n in versions}
        number = st.selectbox(t("training_page.version"), versions, key=f"training_version_{name}", format_func=label.__getitem__)  # fmt: skip
    return store.version(name, number)


def draw_version(version: Version, store: Trained) -> None:
    run_, facts = version.run, version.facts()
    data = f"{inert(run_.data)} ({look.count(sum(run_.rows.values()))})"
    cost = f"{look.seconds(facts.get('seconds'))} · CPU {look.seconds(facts.get('cpu_s'))}"
    st.caption(f"{run_.recipe} · {inert(version.origin)} · {data} · {look.moment(run_.created_at)} · {cost}")
    if not version.finished:
        st.info(t("training_page.unfinished"), icon=":material/hourglass:")
        return
    report = results.load(version.report)
    rows = [
        {t("training_page.figure"): figure(name)}
        | {
            e.system: f"{f.value:.3f} ({f.low:.3f} – {f.high:.3f})" if (f := e.figures.get(name)) else ""
            for e in report.evaluations
        }
        for name in report.evaluations[0].figures
    ]
    st.dataframe(rows, hide_index=True)
    if any("↓" in row[t("training_page.figure")] for row in rows):
        st.caption(t("training_page.less"))
    draw_curve(version.folder)
    act(version, store)


def figure(name: str) -> str:
    """A figure by a name that people know; ``ndcg@10`` and its like as they are."""
    return name if "@" in name else t(f"training_page.figures.{name}")


def act(version: Version, store: Trained) -> None:
    """Promote by the gate, or roll back; what came of it stays while this version is looked at."""
    name, number = version.run.name, version.run.version
    serving = store.serving(name)
    with st.container(horizontal=True):
        promote = st.button(t("training_page.promote"), key="training_promote", disabled=number == serving, icon=":material/publish:")  # fmt: skip
        force = st.button(t("training_page.force"), key="training_force", disabled=number == serving, help=t("cli.train.promote.force"))  # fmt: skip
        back = st.button(t("training_page.rollback"), key="training_rollback", disabled=serving is None, icon=":material/undo:")  # fmt: skip
    with guarded():
        if promote or force:
            with loading():
                step, gate, against = run(
                    promotion.promote(version, session.runtime().settings, by=session.caller().user, force=force)
                )
            key = "refused" if step is None else step.what if gate.rows else "unjudged"
            st.session_state["training_note"] = ((name, number), key, {"name": name, "version": number, "against": against}, gate.rows)  # fmt: skip
            st.rerun()
        if back:
            step = store.rollback(name, by=session.caller().user, shipped=name in SHIPPED)
            said = "rolled_back" if step.version else "shipped"
            st.session_state["training_note"] = ((name, number), said, {"name": name, "version": step.version}, ())
            st.rerun()
    note = st.session_state.get("training_note")
    if note and note[0] == (name, number):
        _, key, params, found = note
        (st.warning if key == "refused" else st.success)(
            t(f"training_page.{key}", **{n: inert(str(v)) for n, v in params.items()})
        )
        for row in found:
            if row.difference is not None:
                sign = SIGNS.get(row.verdict, ":gray-badge[{}]").format(t(f"cli.train.verdict.{row.verdict}"))
                told = f"{row.difference:+.3f} ({row.low:+.3f} … {row.high:+.3f})".replace("-", "−")
                st.markdown(f":small[{sign} {figure(row.measure)} {told}]")


async def explained(version: Version, text: str) -> Explanation:
    classifier = open_classifier(version, session.runtime().settings)
    try:
        return await explain(classifier, text, version=version)
    finally:
        await classifier.aclose()


def try_out(version: Version) -> None:
    """What the classifier says of a text, why, and what it should have said."""
    if version.finished and version.run.kind == "entities":
        pieces(version)
    if version.run.kind != "classification" or not version.finished:
        return
    st.markdown(f"### {t('training_page.try')}", anchors=False)
    asked = [""] + (
        training_data.disliked(session.runtime().workspace, session.caller()) if _is_support(version) else []
    )
    if len(asked) > 1:
        st.selectbox(t("training_page.disliked"), asked, key="training_disliked", on_change=_take_disliked)
    text = st.text_input(t("cli.train.explain.text"), key="training_text").strip()
    if not text:
        return
    with guarded():
        found = run(explained(version, text))
        st.markdown(f"**{inert(found.label)}** {found.probability:.0%}")
        words = sorted(found.parts, key=lambda part: -abs(part.weight))[:8]
        st.dataframe(
            [{t("cli.train.explain.word"): p.text, (weight := t(f"cli.train.explain.{found.method}")): p.weight} for p in words],
            hide_index=True,
            column_config={weight: st.column_config.NumberColumn(format="%+.3f")},
        )  # fmt: skip
        near = [{t("cli.train.explain.nearest"): n.text, t("cli.train.explain.label"): n.label} for n in found.nearest]
        st.dataframe(near, hide_index=True)
        with st.form("training_correct", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
            labels = sorted(version.run.about_data.get("labels", {}))
            right = st.selectbox(
                t("training_page.right"), labels, index=labels.index(found.label) if found.label in labels else 0,
                key="training_right", accept_new_options=True,
            )  # fmt: skip
            if st.form_submit_button(t("training_page.correct"), key="training_correct_save", icon=look.ICONS["save"]):
                kept_ = Corrections(session.runtime().workspace)
                kept_.add(session.caller(), version.run.name, text, right or "")
                count = len(kept_.all(session.caller(), version.run.name))
                st.toast(t("training_page.corrected", count=count), icon=look.ICONS["ok"])


def pieces(version: Version) -> None:
    """What the model finds in a text."""
    st.markdown(f"### {t('training_page.try_pieces')}", anchors=False)
    if not (text := st.text_input(t("cli.train.extract.text"), key="training_pieces").strip()):
        return
    with guarded():
        found = run(extracted(version, session.runtime().settings, text))
        columns = [t(f"cli.train.{name}") for name in ("explain.label", "extract.piece", "extract.probability")]
        rows = [dict(zip(columns, (e.label, e.text, f"{e.probability:.0%}"), strict=True)) for e in found]
        st.dataframe(rows, hide_index=True) if rows else st.caption(t("cli.train.extract.none"))


def _is_support(version: Version) -> bool:
    return version.run.name == training_data.INTENTS


def _take_disliked() -> None:
    st.session_state["training_text"] = st.session_state["training_disliked"]


def product() -> None:
    """What the product itself brings: consent, and a file to download and learn from."""
    with st.expander(t("training_page.product"), icon=":material/inventory_2:"):
        workspace, who = session.runtime().workspace, session.caller()
        agrees = training_data.agrees(workspace, who)
        if st.checkbox(t("training_page.consent"), value=agrees, key="training_consent") != agrees:
            training_data.agree(workspace, who, not agrees)
        sources = {name: t(f"training_page.sources.{name}") for name in training_data.SOURCES}
        source = st.selectbox(t("training_page.source"), list(sources), key="training_source", format_func=sources.__getitem__)  # fmt: skip
        name = ""
        with guarded():
            if source == "corrections":
                names = Trained(session.runtime().settings.home).names()
                name = st.selectbox(t("training_page.model"), names, key="training_corrected") or ""
                if not name:
                    return
            found = training_data.gather(workspace, who, source, name=name)
            masked = sum(found.masked.values())
            st.caption(t("training_page.gathered", rows=len(found.rows), refused=found.without_consent, masked=masked))
            st.download_button(t("training_page.download"), found.lines(), f"{source}.jsonl", key="training_download", disabled=not found.rows)  # fmt: skip


look.header(t("training_page.title"), subtitle=t("training_page.subtitle"))
if not session.allowed("admin"):
    failed(NotAllowed(role="admin", action=t("training_page.action")))
    st.stop()
trained = Trained(session.runtime().settings.home)
left, right_side = st.columns([5, 7], gap="large")
with left:
    new_run()
    product()
with right_side:
    running = st.session_state.get("training_name")
    if running and background().state(running):
        under_way(running, Path(st.session_state["training_folder"]))
    if (shown := choose_model(trained)) is not None:
        draw_version(shown, trained)
        try_out(shown)
