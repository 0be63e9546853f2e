"""The page in both languages: choose three, say a sentence, take a chip away, dislike, other people, nothing left."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from apps.recommendation import assistant, quality
from apps.recommendation.store import Store
from apps.recommendation.views import files, find, state
from apps.recommendation.views.cards import ANSWER, OPEN
from apps.ui import session
from apps.ui.inert import JOINER
from core.errors import InvalidResponse
from core.i18n import message
from tests.apps.conftest import Open, words

PAGE = "recommendation/views/for_you.py"
E5 = {"TOUCHSTONE_EMBEDDING": "embedded:e5"}
WISHES = {"zh": "像《星环信使》但轻松一点", "en": "Like “Courier of the Ring” but lighter"}
GO_ON = {"zh": "还是沉重些吧，换成书", "en": "rather dark, and a book"}


def text(key: str, language: str, **params: object) -> str:
    return message(f"recommendation.{key}", language, **params)


def titles(at: AppTest) -> list[str]:
    """The titles of the shelf, best first."""
    lines = [m.value for m in at.markdown if m.value.startswith("**") and ". " in m.value.splitlines()[0]]
    return [line.splitlines()[0].strip("* ").partition(". ")[2].replace("\\", "").replace(JOINER, "") for line in lines]


def press(at: AppTest, key: str) -> AppTest:
    return at.button(key=key).click().run()


def whole(at: AppTest, language: str) -> None:
    assert not at.exception, at.exception
    assert "recommendation." not in words(at).replace("recommendation. ", "")
    assert message("ui.error.unexpected", language, trace_id="").rstrip("：: ") not in words(at)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_three_clicks_then_a_dislike(open_page: Open, language: str) -> None:
    at = open_page(PAGE, language, **E5)
    whole(at, language)
    assert text("pick_three", language) in words(at)
    assert len(titles(at)) == 9
    popular = titles(at)
    for count in range(1, 4):
        press(at, next(b.key for b in at.button if b.key and b.key.startswith("start_")))
        whole(at, language)
        assert text("chosen", language, count=count) in words(at) or count == 3
    assert text("pick_three", language) not in words(at)
    mine = titles(at)
    assert mine != popular
    assert text("reason.history", language, title="").split("“")[0].split("《")[0].strip() in words(at)
    first = next(group for group in at.button_group if group.key and group.key.startswith(ANSWER))
    first.select("not_interested").run()
    whole(at, language)
    assert mine[0] not in titles(at)
    press(at, "recommend_forget")
    assert text("pick_three", language) in words(at)
    assert titles(at) == popular


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_sentence_and_its_chips(open_page: Open, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at = open_page(PAGE, language, **E5)
    at.text_input(key=state.SAYS).set_value(WISHES[language]).run()
    whole(at, language)
    assert text("reason.title", language, title=state.service().item("film-01").title(language)) in words(at)
    before = titles(at)
    press(at, "chip_concept_light")
    assert titles(at) != before
    assert "chip_concept_light" not in [b.key for b in at.button]
    press(at, "chips_all")
    assert titles(at) == before
    at.text_input(key=state.SAYS).set_value(GO_ON[language]).run()
    whole(at, language)
    assert at.text_input(key=state.SAYS).value == ""
    chips = [b.key for b in at.button if b.key and b.key.startswith("chip_")]
    assert chips == ["chip_title_film-01", "chip_concept_dark", "chip_kind_book"], (
        "the first sentence, less what the second takes back"
    )
    kind = {item.title(language): item.kind for item in state.service().items()}
    assert {kind[title] for title in titles(at)} == {"book"}
    press(at, "recommend_over")
    assert not [b.key for b in at.button if b.key and b.key.startswith("chip_")]
    at.text_input(key=state.SAYS).set_value(WISHES[language]).run()
    assert titles(at) == before
    at.toggle(key="recommend_assisted").set_value(True).run()
    whole(at, language)
    assert titles(at) == before, "the demo model prefers nothing and words nothing that is borne out"

    async def broken(*_: object) -> None:
        raise InvalidResponse(provider="scripted", model="demo", detail="no JSON")

    monkeypatch.setattr(assistant, "read", broken)
    at.text_input(key=state.SAYS).set_value(WISHES[language] + " ").run()
    whole(at, language)
    assert text("model.unassisted", language, error="").rstrip("：: ") in words(at)
    assert len(titles(at)) == 9


def test_other_people_filters_and_sliders(open_page: Open) -> None:
    at = open_page(PAGE, "en", **E5)
    at.selectbox(key=state.PERSON).select("s004").run()
    whole(at, "en")
    assert "Simulated 4: kitchen" in words(at) or "Simulated 4: coffee" in words(at) or "Simulated 4: food" in words(at)
    plain = titles(at)
    at.slider(key="recommend_diversity").set_value(1.0).run()
    assert titles(at) != plain
    at.slider(key="recommend_diversity").set_value(0.5).run()
    at.slider(key="recommend_novelty").set_value(1.0).run()
    assert titles(at) != plain
    at.slider(key="recommend_novelty").set_value(0.0).run()
    assert titles(at) == plain
    at.slider(key="recommend_exploration").set_value(1.0).run()
    assert text("reason.explored", "en") in words(at)
    at.button_group(key="recommend_kinds").select("book").run()
    shown = {item.title("en"): item.kind for item in state.service().items()}
    assert {shown[title] for title in titles(at)} == {"book"}


def test_without_an_embedding_model_the_page_says_so(open_page: Open) -> None:
    at = open_page(PAGE, "en", TOUCHSTONE_EMBEDDING="scripted:none")
    whole(at, "en")
    assert text("no_text", "en") in words(at)
    assert len(titles(at)) == 9


def test_an_own_catalogue_stands_beside_the_sample(
    open_page: Open, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = open_page(PAGE, "en", **E5)
    from apps.recommendation.service import Recommender

    folder = tmp_path_factory.mktemp("own")
    (folder / "items.csv").write_text("id,title\na,**Bold** [x](http://y)\nb,Plain\n", "utf-8")
    (folder / "events.csv").write_text("user,item\nann,b\n", "utf-8")
    Recommender(session.runtime(), catalogue="own").import_files(folder / "items.csv", folder / "events.csv")
    at.run()
    at.selectbox(key=state.CATALOGUE).select("own").run()
    whole(at, "en")
    assert set(titles(at)) == {"Plain", "**Bold** [x](http://y)"}
    at.selectbox(key=state.PERSON).select("ann").run()
    assert titles(at) == ["**Bold** [x](http://y)"]
    at.selectbox(key=state.PERSON).select("").run()
    monkeypatch.setattr(session, "allowed", lambda role: False)
    at.run()
    assert "ann" not in at.selectbox(key=state.PERSON).options, "customers are listed for those with the role only"


def imported(at: AppTest) -> None:
    """Waits until the background is through; the page opens the new catalogue by itself."""
    for _ in range(200):
        at.run()
        if not (work := files.background().state(files._key())) or not work.under_way:
            break
        time.sleep(0.05)
    at.run()
    at.selectbox(key=state.CATALOGUE).select(files.OWN).run()


def look(at: AppTest, view: str) -> AppTest:
    at.button_group(key=state.VIEW).set_value(view).run()
    return at


@pytest.mark.parametrize("language", ["zh", "en"])
def test_one_thing_your_taste_and_the_shop(open_page: Open, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at = open_page(PAGE, language, **E5)
    service = state.service()
    at.selectbox(key=state.PERSON).select("s001").run()
    drawn = [at.button, at.button_group, at.markdown, at.caption, at.slider, at.selectbox, at.toggle, at.text_input]
    assert sum(len(kind) for kind in drawn) <= 45, "a run costs by its elements: 43 made 12 ms where 70 made 24"

    group = next(g for g in at.button_group if g.key and g.key.startswith(ANSWER))
    item = service.item(str(group.key).removeprefix(ANSWER))
    group.select(OPEN).run()
    whole(at, language)
    assert f"## {item.title(language)}" in words(at)
    (because, _), *_ = service.why("s001", item.id)
    assert text("reason.history", language, title=service.item(because.item).title(language)) in words(at)
    assert all(row.item.title(language) in words(at) for row in service.similar(item.id, 6))
    press(at, "recommend_back")
    assert len(titles(at)) == 9

    at.selectbox(key=state.PERSON).select("").run()
    look(at, "taste")
    whole(at, language)
    assert text("taste.nothing", language) in words(at)
    for liked in ("film-12", "book-13"):  # two horror stories
        service.tell("page:local", liked, "like")
    at.run()
    assert message("recommendation.tag.horror", language) in words(at)
    press(at, "back_film-12")
    assert [event.item for event in service.history("page:local")] == ["book-13"]
    assert at.button(key="recommend_erase").disabled
    at.checkbox(key="recommend_sure").check().run()
    press(at, "recommend_erase")
    whole(at, language)
    assert service.history("page:local") == []
    assert text("taste.nothing", language) in words(at)

    look(at, "shop")
    whole(at, language)
    assert [metric.value for metric in at.metric][2] == "0%"
    at.selectbox(key="recommend_boost_name").select("jazz")
    at.number_input(key="recommend_boost_amount").set_value(3.0)
    at.button[[b.label for b in at.button].index(text("shop.push", language))].click().run()
    whole(at, language)
    assert service.boosts() == {"jazz": 3.0}
    assert [metric.value for metric in at.metric][2] != "0%"
    look(at, "list")
    assert text("reason.boosted", language, name="jazz") in words(at)
    look(at, "shop")
    press(at, "boost_jazz")
    assert service.boosts() == {}
    monkeypatch.setattr(session, "allowed", lambda role: False)
    at.run()
    whole(at, language)
    assert text("view.shop", language) not in at.button_group(key=state.VIEW).options, "for those who run it only"
    service.wait()


def test_a_folder_of_this_machine(open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    language = "zh"
    monkeypatch.setattr(session, "may_read_folders", lambda: True)
    (tmp_path / "things.csv").write_text("sku,title\na,Tea\nb,Cup\n", "utf-8")
    (tmp_path / "log.csv").write_text("user,item,buyer\nann,b,x\nben,a,y\n", "utf-8")
    at = open_page(PAGE, language)
    look(at, "data")
    assert at.button(key="recommend_import").disabled
    at.text_input(key=files.PATH).set_value(str(tmp_path)).run()
    whole(at, language)
    (error,) = at.error
    assert "no_catalogue" in error.value.replace(JOINER, "").replace("\\", "")
    (tmp_path / "things.csv").write_text("id,title,label\na,Tea,green|hot\nb,Cup,\n", "utf-8")
    at.run()
    whole(at, language)
    assert "`log.csv`" not in words(at)
    tags = at.selectbox(key="recommend_column_items_tags_things.csv")
    assert tags.value is None, "a name that is not known is asked for"
    tags.select("label").run()
    press(at, "recommend_import")
    imported(at)
    whole(at, language)
    assert [metric.value for metric in at.metric][:3] == ["2", "2", "2"]
    assert Store(session.runtime().workspace, "local", files.OWN).items()[0].tags == ("green", "hot")
    monkeypatch.setattr(session, "may_read_folders", lambda: False)
    at.run()
    assert not [box for box in at.text_input if box.key == files.PATH], "folders are for those at the machine"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_catalogue_methods_quality_and_data(open_page: Open, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "PEOPLE", 20)
    at = open_page(PAGE, language, **E5)
    service = state.service()
    look(at, "find")
    whole(at, language)
    assert text("find.all", language, count=len(service.items())) in words(at)
    at.text_input(key=find.SOUGHT).set_value({"zh": "养猫", "en": "detective cat"}[language]).run()
    whole(at, language)
    best = service.search({"zh": "养猫", "en": "detective cat"}[language], 1)[0]
    group = next(g for g in at.button_group if g.key and g.key.startswith(ANSWER))
    assert group.key == f"{ANSWER}{best.id}"
    group.select(OPEN).run()
    assert f"## {best.title(language)}" in words(at)
    press(at, "recommend_back")
    with monkeypatch.context() as nothing:
        nothing.setattr(type(service), "search", lambda *_: [])
        at.run()
    assert text("find.nothing", language) in words(at)

    at.selectbox(key=state.PERSON).select("s001").run()
    look(at, "beside")
    whole(at, language)
    for name, items in service.side_by_side("s001", 5).items():
        assert text(f"method.{name}", language) in words(at)
        assert all(item.title(language) in words(at) for item in items)

    look(at, "measured")
    whole(at, language)
    assert not at.dataframe, "nothing is measured before somebody asks for it"
    press(at, "recommend_measure")
    whole(at, language)
    (table,) = at.dataframe
    assert text("method.fused", language) in table.value.iloc[:, 0].tolist()
    assert "NDCG@10" in table.value.columns
    assert text("measured.whose", language) in words(at)

    look(at, "data")
    whole(at, language)
    assert [metric.value for metric in at.metric][:3] == ["301", "500", "4,995"]
    assert text("data.rated", language) in words(at)
    at.button_group(key=files.WAY).set_value("upload").run()
    content = {"items.csv": "id,title\na,Tea\nb,Cup\nb,Twice\n", "events.csv": "user,item\nann,b\nann,zzz\n"}
    for key, (name, text_of) in zip(("items", "events"), content.items(), strict=True):
        at.file_uploader(key=f"recommend_{key}_file").upload(name, text_of.encode(), "text/csv")
    at.run()
    press(at, "recommend_import")
    imported(at)
    whole(at, language)
    assert [metric.value for metric in at.metric][:3] == ["2", "1", "1"]
    assert text("report.unknown_items", language, count=1) in words(at)
    assert text("data.no_dates", language) in words(at)
    monkeypatch.setattr(session, "allowed", lambda role: False)
    at.run()
    options = at.button_group(key=state.VIEW).options
    assert text("view.find", language) in options
    assert text("view.data", language) not in options, "customers' data are for those with the role"
