"""The service on the sample: sentences, clicks, true reasons, filters; and on a catalogue of one's own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import pytest

from apps.recommendation import finding, preferences, sample, store
from apps.recommendation.catalogue import Catalogue, Filters
from apps.recommendation.data import Event, Item
from apps.recommendation.lists import FEEDBACK, Shelf
from apps.recommendation.preferences import Titles, says_more, understood
from apps.recommendation.service import Recommender
from apps.recommendation.store import Store
from core.errors import InputError, NotFound, code_of
from core.i18n import LANGUAGES

TAGS = ("horror", "comedy")


def ids(shelf: Shelf) -> list[str]:
    return [pick.item.id for pick in shelf.picks]


def rank(shelf: Shelf, id_: str) -> int:
    return ids(shelf).index(id_) if id_ in ids(shelf) else 1000


# --- sentences ------------------------------------------------------------------------------------

SENTENCES = [
    ("像《星环信使》但轻松一点", {("title", "film-01", True), ("concept", "light", True)}),
    ("Like “Courier of the Ring” but lighter", {("title", "film-01", True), ("concept", "light", True)}),
    ("我喜欢courier of the ring，不要恐怖的", {("title", "film-01", True), ("concept", "scary", False)}),
    ("想看不吓人的推理小说", {("concept", "scary", False), ("concept", "mystery", True), ("kind", "book", True)}),
    ("有没有特别好笑的电影", {("concept", "funny", True), ("kind", "film", True)}),
    ("除了战争，历史都行", {("concept", "war", False), ("concept", "history", True)}),
    ("恐怖的就算了", {("concept", "scary", False)}),
    ("nothing scary, but funny", {("concept", "scary", False), ("concept", "funny", True)}),
    ("a calm game without war", {("concept", "quiet", True), ("kind", "game", True), ("concept", "war", False)}),
    ("lighter robots and mysteries", {("concept", n, True) for n in ("light", "scifi", "mystery")}),
    ("the warmth of the forewarned", set()),
    ("a lamp that lights when I sit down", set()),
    ("你好", set()),
]


@pytest.mark.parametrize(("sentence", "wanted"), SENTENCES)
def test_what_a_sentence_says(sample: Recommender, sentence: str, wanted: set[tuple[str, str, bool]]) -> None:
    found = understood(sentence, Titles(sample.items()))
    assert {(said.kind, said.name, said.wanted) for said in found} == wanted
    for said in found:
        assert sentence[said.start : said.end].strip()


@pytest.mark.parametrize(
    ("sentence", "more"),
    [
        ("I would like something comedy and drama", False),
        ("想看点喜剧、剧情的", False),
        ("像《星环信使》这样的", False),
        ("I loved “Courier of the Ring”, show me something funny", False),
        ("Like “Courier of the Ring” but lighter", False),
        ("a funny film about a lighthouse keeper", True),
        ("想看搞笑的，关于守灯塔的人", True),
        ("a keyboard that does not wake anybody", True),
    ],
)
def test_meaning_counts_where_more_is_said_than_was_understood(sample: Recommender, sentence: str, more: bool) -> None:
    assert says_more(sentence, understood(sentence, Titles(sample.items()))) is more


def test_titles_are_found_as_people_write_them() -> None:
    titles = Titles([Item("1", {"": "Matrix, The (1999)"}), Item("2", {"": "Up (2009)"}), Item("3", {"": "Matrix"})])
    assert [id_ for _, _, id_ in titles.find("I loved the matrix")] == ["1"]
    assert [id_ for _, _, id_ in titles.find('I give "Up" a ten')] == ["2"]
    assert not list(titles.find("I give up on matrices")), "short titles need quotation marks, long ones whole words"


@pytest.mark.parametrize(
    ("sentence", "best"),
    [
        ("安静的钢琴曲", {"music-03", "music-04", "music-01"}),
        ("a funny detective novel", {"book-12"}),
        ("给孩子看的太空科普", {"book-21", "book-24"}),
        ("a keyboard that does not wake anybody", {"gadget-22"}),
        ("露营用的轻便椅子", {"gadget-07", "gadget-06"}),
        ("coffee without electricity on a trip", {"gadget-01", "book-30", "gadget-02"}),
    ],
)
def test_one_sentence_is_enough_for_somebody_new(sample: Recommender, sentence: str, best: set[str]) -> None:
    shelf = sample.recommend(says=sentence, n=3, filters=Filters(in_stock=False), diversity=0.0)
    assert best & set(ids(shelf)), [pick.item.title("en") for pick in shelf.picks]


def test_a_wish_that_much_shows_leaves_the_order_to_what_people_take(own: Recommender, tmp_path: Path) -> None:
    items, events = tmp_path / "items.csv", tmp_path / "events.csv"
    tags = {**{f"c{n}": "Comedy" for n in range(7)}, "w": "Western", "cw": "Comedy|Western", "other": "Horror"}
    items.write_text("id,title,tags\n" + "".join(f"{id_},Thing {id_},{tag}\n" for id_, tag in tags.items()), "utf-8")
    taken = ["other"] * 9 + ["w"] * 5 + ["c3"] * 4 + ["cw"]
    rows = "".join(f"u{n},{id_},{1e9 + n * 1e5}\n" for n, id_ in enumerate(taken))
    events.write_text("user,item,timestamp\n" + rows, "utf-8")
    own.import_files(items, events)
    listed = ids(own.recommend(says="a comedy, a western", diversity=0.0))
    assert listed[0] == "w", "most are comedies: what people take decides, not that the other western is one too"
    assert listed.index("c3") < listed.index("other"), "which people take more, but it shows neither"


def test_a_lighter_one_like_it(sample: Recommender) -> None:
    plain = sample.recommend(says="像《星环信使》", n=50, diversity=0.0)
    lighter = sample.recommend(says="像《星环信使》但轻松一点", n=50, diversity=0.0)
    assert "film-01" not in ids(plain)
    assert rank(lighter, "film-03") < rank(plain, "film-03") or rank(lighter, "film-03") == 0
    assert rank(lighter, "music-11") <= 5, "its score stays near"
    quote = next(r for p in lighter.picks for r in p.reasons if p.item.id == "film-03" and r.kind == "quote")
    assert quote.text[quote.start : quote.end].lower() in ("warm", "温馨")


def test_a_chip_that_is_taken_away_counts_no_more(sample: Recommender) -> None:
    says = "a funny book"
    with_it = sample.recommend(says=says, n=10)
    assert {pick.item.kind for pick in with_it.picks} == {"book"}
    without = sample.recommend(says=says, n=10, ignored=frozenset({"kind:book"}))
    assert len({pick.item.kind for pick in without.picks}) > 1
    assert [said.name for said in without.understood] == ["funny"]


# --- clicks ---------------------------------------------------------------------------------------


def test_every_click_counts_in_the_same_request(sample: Recommender) -> None:
    me = "clicks"
    assert sample.recommend(me).known_events == 0
    for item in ("film-12", "film-13", "book-13"):  # three horror stories
        sample.tell(me, item, "like")
    before = sample.recommend(me, n=20, diversity=0.0)
    assert sum("horror" in pick.item.tags for pick in before.picks[:5]) >= 3
    first = before.picks[0].item.id
    sample.tell(me, first, "not_interested")
    assert first not in ids(sample.recommend(me, n=100))
    second = ids(before)[1]
    sample.tell(me, second, "own")
    assert second not in ids(sample.recommend(me, n=100))
    assert sample.forget(me) == 5
    assert sample.recommend(me).known_events == 0


def test_less_like_this_lowers_what_is_like_it(sample: Recommender) -> None:
    me = "less"
    for liked in ("film-12", "film-08"):  # a horror story and a comedy
        sample.tell(me, liked, "like")

    def means(shelf: Shelf) -> dict[str, float]:
        scores = {t: [p.score for p in shelf.picks if t in p.item.tags and p.item.id != "film-13"] for t in TAGS}
        return {tag: sum(found) / len(found) for tag, found in scores.items()}

    before = sample.recommend(me, n=100, diversity=0.0)
    sample.tell(me, "film-13", "less")  # another horror story
    after = sample.recommend(me, n=100, diversity=0.0)
    assert "film-13" in ids(before)
    assert "film-13" not in ids(after)
    fall = {tag: means(before)[tag] - means(after)[tag] for tag in TAGS}
    assert fall["horror"] > 0.5
    assert fall["horror"] > 2 * fall["comedy"]
    sample.forget(me)


def test_the_last_word_about_an_item_counts(sample: Recommender) -> None:
    for kind in FEEDBACK:
        sample.tell("changes", "film-01", kind)
    assert [(e.item, e.kind) for e in sample.history("changes")] == [("film-01", list(FEEDBACK)[-1])]
    sample.forget("changes", "film-01")
    with pytest.raises(InputError, match="not_interested"):
        sample.tell("changes", "film-01", "love")
    with pytest.raises(NotFound):
        sample.tell("changes", "film-99", "like")


# --- reasons --------------------------------------------------------------------------------------


def test_reasons_cite_what_is_there_and_the_rank_falls_without_it(sample: Recommender) -> None:
    fell, cited = 0, 0
    for user in (f"s{number:03d}" for number in range(1, 21)):
        mine = {event.item for event in sample.history(user)}
        whole = sample.recommend(user, n=100, diversity=0.0)
        for place, pick in enumerate(whole.picks[:10]):
            assert pick.reasons
            for reason in pick.reasons:
                assert reason.kind != "history" or reason.item in mine
            because = next((r.item for r in pick.reasons if r.kind == "history"), None)
            if because is None:
                continue
            likes = [event.item for event in sample.history(user) if event.item != because]
            without = sample.recommend(likes=likes, n=100, diversity=0.0)
            cited += 1
            left = [id_ for id_ in ids(without) if id_ != because]
            fell += pick.item.id not in left or left.index(pick.item.id) > place
    assert cited >= 150
    assert fell / cited >= 0.8, (fell, cited)


def test_a_wish_that_is_cited_lifts_the_rank(sample: Recommender) -> None:
    cited = fell = 0
    for says in ("funny food", "安静的太空", "a mystery in history", "不吓人的奇幻冒险"):
        whole = sample.recommend(says=says, n=100, diversity=0.0)
        for place, pick in enumerate(whole.picks[:8]):
            for reason in pick.reasons:
                if reason.kind == "quote":
                    without = sample.recommend(
                        says=says, n=100, diversity=0.0, ignored=frozenset({f"concept:{reason.concept}"})
                    )
                    cited += 1
                    fell += rank(without, pick.item.id) > place
    assert cited >= 20
    assert fell / cited >= 0.8, (fell, cited)


def test_quotations_are_exact(sample: Recommender) -> None:
    for language in LANGUAGES:
        for pick in sample.recommend(says="funny food, quiet music", n=20, language=language).picks:
            for reason in pick.reasons:
                if reason.kind == "quote":
                    assert reason.text in (*pick.item.abouts.values(), *pick.item.tags)
                    concept = next(c for c in preferences.concepts() if c.name == reason.concept)
                    assert (reason.start, reason.end) in list(concept.find(reason.text))


def test_boosts_and_exploration_are_told(sample: Recommender) -> None:
    plain = sample.recommend("s001", n=10)
    target = sample.recommend("s001", n=60).picks[50].item.id
    boosted = sample.recommend("s001", n=10, boosts={target: 5.0})
    assert boosted.picks[0].item.id == target
    assert boosted.picks[0].boost == 5.0
    assert "boosted" in [reason.kind for reason in boosted.picks[0].reasons]
    chance = sample.recommend("s001", n=10, exploration=1.0)
    assert ids(chance) != ids(plain)
    assert any(reason.kind == "explored" for pick in chance.picks for reason in pick.reasons)
    assert ids(chance) == ids(sample.recommend("s001", n=10, exploration=1.0)), "the same for a day"


def test_novelty_shows_what_fewer_people_know(sample: Recommender) -> None:
    counts = sample.catalogue().counts

    def known(novelty: float) -> float:
        lists = [sample.recommend(user, novelty=novelty).picks for user in ("s001", "s002", "s003", "s004")]
        return mean(float(counts[sample.catalogue().number[pick.item.id]]) for picks in lists for pick in picks)

    assert known(0.0) > 1.1 * known(0.5) > 1.1 * known(1.0)


def test_a_conversation_goes_on_from_what_was_said(sample: Recommender) -> None:
    first = sample.recommend(says="一部关于太空的电影，不要恐怖的", n=10)
    more = sample.recommend(says="一部关于太空的电影，不要恐怖的\n换成书，轻松一点", n=10)
    assert {(one.name, one.wanted) for one in more.understood} == {
        ("space", True), ("scary", False), ("book", True), ("light", True)
    }  # fmt: skip
    assert {pick.item.kind for pick in first.picks} == {"film"}
    assert {pick.item.kind for pick in more.picks} == {"book"}
    assert ids(more) == ids(sample.recommend(says="一部关于太空的  ，不要恐怖的\n换成书，轻松一点", n=10))


# --- filters --------------------------------------------------------------------------------------


def test_rules_leave_out_and_say_so(sample: Recommender) -> None:
    shelf = sample.recommend("s001", n=100, filters=Filters(kinds=("book",), age=11))
    assert {pick.item.kind for pick in shelf.picks} == {"book"}
    assert all(pick.item.age <= 11 and pick.item.stock for pick in shelf.picks)
    assert set(shelf.left_out) == {"seen", "stock", "age", "kind"}
    assert len(shelf.picks) + sum(shelf.left_out.values()) == len(sample.items())
    tagged = sample.recommend(filters=Filters(tags=("jazz",)), n=100)
    assert tagged.picks
    assert all("jazz" in pick.item.tags for pick in tagged.picks)
    nothing = sample.recommend(filters=Filters(tags=("no such tag",)))
    assert not nothing.picks
    assert nothing.left_out["tags"] > 100


def test_what_somebody_had_may_come_again(sample: Recommender) -> None:
    mine = {event.item: event.at for event in sample.history("s002")}
    late = max(mine.values()) + 40 * 86_400
    again = sample.recommend("s002", n=100, filters=Filters(repeat_after_days=30, in_stock=False), now=late)
    never = sample.recommend("s002", n=100, filters=Filters(in_stock=False), now=late)
    assert set(mine) & set(ids(again))
    assert not set(mine) & set(ids(never))


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": 0},
        {"n": 101},
        {"diversity": -0.1},
        {"diversity": float("nan")},
        {"exploration": 2},
        {"novelty": 1.1},
        {"says": "x" * 501},
    ],
)
def test_numbers_out_of_range_are_refused(sample: Recommender, wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        sample.recommend(**wrong)  # type: ignore[arg-type]


def test_the_sample_is_there_whatever_is_asked_first(own: Recommender) -> None:
    assert len(Recommender(own.runtime).history("s001")) >= 6


def test_unknown_people_and_items(sample: Recommender) -> None:
    assert ids(sample.recommend("nobody", n=5)) == ids(sample.recommend(n=5))
    with pytest.raises(NotFound):
        sample.recommend(likes=["film-99"])
    with pytest.raises(NotFound):
        sample.similar("film-99")
    with pytest.raises(NotFound):
        sample.why("s001", "film-99")


# --- learning in the background, and forgetting ---------------------------------------------------


def crowd(service: Recommender, tmp_path: Path) -> None:
    """Twelve things in a circle and twelve people who take five in a row."""
    items, events = tmp_path / "items.csv", tmp_path / "events.csv"
    items.write_text("id,title,tags\n" + "".join(f"i{n},Thing {n},t{n % 3}\n" for n in range(12)), "utf-8")
    rows = [f"u{user},i{(user + step) % 12},{1000 + user * 100 + step}" for user in range(12) for step in range(5)]
    events.write_text("user,item,timestamp\n" + "\n".join(rows), "utf-8")
    service.import_files(items, events)
    service.fit()


def test_what_is_told_is_learnt_in_the_background(
    own: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd(own, tmp_path)
    monkeypatch.setattr("apps.recommendation.fits.REFIT_AFTER", 3)
    before, go = own._made, threading.Event()

    def slow(progress: Callable[[str], None]) -> Catalogue:
        assert go.wait(20)
        return before(progress)

    monkeypatch.setattr(own, "_made", slow)
    old = own.shown().weights
    for user in ("a", "b", "c"):
        own.tell(user, "i0", "like")
    assert not own.refit(), "one is under way"
    assert own.recommend("u3", n=20).picks, "the last fit serves meanwhile"
    assert own.taken("i0") == 5
    go.set()
    own.wait()
    assert own.refit_error is None
    assert own.taken("i0") == 8, "the new fit has taken its place"
    assert set(own.shown().weights) == set(old)


def test_a_fit_that_fails_leaves_the_last_good_one(
    own: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd(own, tmp_path)
    plain = ids(own.recommend("u3", n=20))

    def broken(progress: Callable[[str], None]) -> Catalogue:
        raise ArithmeticError("not positive definite")

    with monkeypatch.context() as patched:
        patched.setattr(own, "_made", broken)
        assert own.refit()
        own.wait()
        assert isinstance(own.refit_error, ArithmeticError)
        assert ids(own.recommend("u3", n=20)) == plain
    assert own.refit()
    own.wait()
    assert own.refit_error is None


def test_files_imported_during_a_fit_win(own: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crowd(own, tmp_path)
    made = own._made

    def late(progress: Callable[[str], None]) -> Catalogue:
        found = made(progress)
        (tmp_path / "new.csv").write_text("id,title\nonly,The only thing\n", "utf-8")
        own.import_files(tmp_path / "new.csv")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(own, "_made", late)
        own.refit()
        own.wait()
    assert [item.id for item in own.items()] == ["only"]


def test_one_call_forgets_a_person_everywhere(own: Recommender, tmp_path: Path) -> None:
    crowd(own, tmp_path)
    other = Recommender(own.runtime, catalogue="other")
    crowd(other, tmp_path)
    own.tell("u1", "i9", "like")
    elsewhere = Recommender(own.runtime, catalogue="own", tenant="elsewhere")
    crowd(elsewhere, tmp_path)
    assert own.erase("u1") == 11
    own.wait()
    assert own.history("u1") == other.history("u1") == []
    assert own.taken("i1") == 4, "what was learnt from them is gone, too"
    assert len(elsewhere.history("u1")) == 5, "of this tenant only"
    assert own.erase("u1") == 0


# --- one thing, and the shop ----------------------------------------------------------------------


def test_things_like_one_say_what_that_rests_on(sample: Recommender) -> None:
    rows = sample.similar("film-12", n=5)
    assert len(rows) == 5
    assert "film-12" not in [row.item.id for row in rows]
    item = sample.item("film-12")
    takers = {user for user, _ in sample.store.users() if "film-12" in {e.item for e in sample.history(user)}}
    for row in rows:
        also = sum(row.item.id in {e.item for e in sample.history(user)} for user in takers)
        assert (row.together, row.people) == (also, len(takers))
        assert set(row.tags) == set(item.tags) & set(row.item.tags)
        assert row.near is not None
        assert -1 <= row.near <= 1


def test_why_names_events_that_are_there(sample: Recommender) -> None:
    mine = {event.item for event in sample.history("s001")}
    for pick in sample.recommend("s001", n=5).picks:
        rows = sample.why("s001", pick.item.id, n=50)
        assert {event.item for event, _ in rows} <= mine
        assert sum(share for _, share in rows) <= 1 + 1e-9
        cited = [reason.item for reason in pick.reasons if reason.kind == "history"]
        assert set(cited) <= {event.item for event, _ in rows}
    assert sample.why("nobody", "film-01") == []


def test_what_the_shop_pushes_counts_in_every_list_and_is_told(own: Recommender, tmp_path: Path) -> None:
    crowd(own, tmp_path)
    last = own.recommend("u3", n=20).picks[-1].item
    before = own.shown()
    assert (before.promoted, before.people) == (0.0, 12)
    own.boost(last.id, 5.0)
    first = own.recommend("u3", n=20).picks[0]
    assert (first.item.id, first.boost) == (last.id, 5.0)
    assert "boosted" in [reason.kind for reason in first.reasons]
    assert own.shown().promoted > 0
    own.boost(last.id, 0)
    assert own.boosts() == {}
    own.boost("t1", -1.0)
    assert own.boosts() == {"t1": -1.0}
    for name, amount in (("no such thing", 1.0), ("t1", 6.0), ("t1", float("nan"))):
        with pytest.raises(InputError):
            own.boost(name, amount)


# --- one's own catalogue --------------------------------------------------------------------------


def test_an_own_catalogue(own: Recommender, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        own.recommend("u")
    items, events = tmp_path / "items.csv", tmp_path / "events.csv"
    items.write_text("id,title\n" + "".join(f"i{n},Thing {n}\n" for n in range(12)), "utf-8")
    lines = [f"u{user},i{(user + step) % 12},{1000 + user * 100 + step}" for user in range(12) for step in range(5)]
    events.write_text("user,item,timestamp\n" + "\n".join(lines), "utf-8")
    of_items, of_events = own.import_files(items, events)
    assert (of_items.kept, of_events.kept if of_events else 0) == (12, 60)
    assert own.fit()["near"] >= 0
    shelf = own.recommend("u3", n=20)
    assert len(shelf.picks) == 7
    assert not shelf.reads_text
    assert shelf.left_out == {"seen": 5}
    assert ids(own.recommend("u3", n=2))[0] in ("i8", "i2"), "the neighbors in the circle"
    events.write_text("user\nu\n", "utf-8")
    with pytest.raises(InputError) as refused:
        own.import_files(items, events)
    assert code_of(refused.value) == "input.columns_missing"
    assert len(own.recommend("u3", n=20).picks) == 7, "a file that is refused changes nothing"


def test_another_embedding_model_is_taken_into_use(own: Recommender, tmp_path: Path) -> None:
    from core.settings import override

    (tmp_path / "items.csv").write_text("id,title\na,A funny tale\nb,Scales\nc,Cups\n", "utf-8")
    service = own
    service.import_files(tmp_path / "items.csv")
    assert not service.recommend(says="funny").reads_text
    own.runtime.reload(override(own.runtime.settings, models__embedding="scripted:hash"))
    assert service.recommend(says="funny").reads_text
    own.runtime.reload(override(own.runtime.settings, models__embedding="embedded:e5"))
    assert service.recommend(says="funny").picks


def test_small_and_strange_catalogues(own: Recommender, tmp_path: Path) -> None:
    items = tmp_path / "items.csv"
    items.write_text("id,title\nonly,The only thing\n", "utf-8")
    own.import_files(items)
    (pick,) = own.recommend("u").picks
    assert [reason.kind for reason in pick.reasons] == ["new"]
    own.tell("u", "only", "own")
    shelf = own.recommend("u")
    assert not shelf.picks
    assert shelf.left_out == {"seen": 1}
    own.store.add(Event("u", "gone from the catalogue", time.time()))
    assert own.recommend("u").known_events == 1


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("SELECT at FROM recommendation_events WHERE tenant = ? AND catalogue = ? AND user = 'u'", "by_user"),
        (store._OF_ALL, "by_catalogue"),
    ],
)
def test_many_events_are_read_back_and_their_indexes_are_there(
    own: Recommender, monkeypatch: pytest.MonkeyPatch, statement: str, index: str
) -> None:
    monkeypatch.setattr(store, "BULK", 3)
    events = [Event(f"u{n % 2}", "a", float(n)) for n in range(7)]
    for _ in range(2):  # the second time in the place of the first
        own.store.replace([Item("a", {"": "A"})], iter(events))
        assert own.store.events() == events
        assert [event.at for event in own.store.events("u1")] == [1.0, 3.0, 5.0]
        with own.runtime.workspace.read() as db:
            plan = db.execute(f"EXPLAIN QUERY PLAN {statement}", ("t", "c")).fetchall()
        assert [row["detail"].split(" (")[0].split()[-1] for row in plan] == [f"recommendation_events_{index}"]


def test_a_fit_reads_no_rows_of_other_catalogues(own: Recommender) -> None:
    """Counted in steps of SQLite's machine, of which a row of the table takes several."""
    Store(own.runtime.workspace, "other", "theirs").replace(
        [Item("a", {"": "A"})], (Event("u", "a", float(n)) for n in range(5000))
    )
    own.store.replace([Item("a", {"": "A"})], [Event("u", "a", 1.0), Event("v", "a", 2.0)])
    steps = 0

    def counted() -> int:
        nonlocal steps
        steps += 1
        return 0

    own.runtime.workspace.connection().set_progress_handler(counted, 100)
    try:
        assert len(own.store.log({"a": 0})) == 2
    finally:
        own.runtime.workspace.connection().set_progress_handler(None, 0)
    assert steps < 10


def test_tenants_and_catalogues_are_apart(sample: Recommender, own: Recommender, tmp_path: Path) -> None:
    items = tmp_path / "items.csv"
    items.write_text("id,title\na,A\n", "utf-8")
    own.import_files(items)
    elsewhere = Recommender(own.runtime, catalogue="own", tenant="other")
    with pytest.raises(NotFound):
        elsewhere.items()
    assert len(own.items()) == 1


def test_the_sample_is_what_its_script_draws() -> None:
    import csv

    from apps.recommendation.data import read_items
    from apps.recommendation.sample.__main__ import drawn

    items, found = read_items(sample.ITEMS)
    assert found.kept == found.rows >= 300
    assert all(set(item.titles) == set(item.abouts) == {"zh", "en"} for item in items)
    with sample.INTERACTIONS.open(encoding="utf-8", newline="") as file:
        kept = list(csv.reader(file))[1:]
    assert kept == [[str(cell) for cell in row] for row in drawn(items)]


# --- the catalogue, its data, its methods ---------------------------------------------------------


def test_the_catalogue_is_searched_by_words_and_by_meaning(sample: Recommender) -> None:
    assert sample.search("detective cat", 3)[0].id == "film-17"
    assert "game-09" in [item.id for item in sample.search("frogs and water lilies", 5)], (
        "only the Chinese text says so"
    )
    assert sample.search("   ") == []
    words = finding.Words([Item("a", {"": "Green tea"}), Item("b", {"": "Black tea, strong tea"})])
    assert list(words.scores("green")) == [0]
    assert words.scores("tea")[1] > words.scores("tea")[0] > 0
    assert finding.found(words, "coffee", None, None) == []
    assert finding.found(words, "绿茶 tea", None, None) == [1, 0]


def test_methods_stand_side_by_side(sample: Recommender) -> None:
    lists = sample.side_by_side("s001", 5)
    assert set(lists) == {"fused", *(g.name for g in sample.catalogue().fused.generators)}
    mine = {event.item for event in sample.history("s001")}
    assert all(not mine & {item.id for item in items} for items in lists.values())
    assert all(item.stock for items in lists.values() for item in items)
    plain = sample.recommend("s001", n=5, diversity=0.0)
    assert [item.id for item in lists["fused"]] == ids(plain)
    nobody = sample.side_by_side("nobody", 3)
    assert nobody["ease"] == []
    assert len(nobody["recent"]) == 3


def test_health_counts_what_is_missing(own: Recommender, tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text(
        "id,title,tags,year,kind,stock\na,A,x,2001,book,1\nb,B,,,book,0\nc,C,x,2002,film,1\nd,D,x,2003,film,1\n"
    )
    rows = [f"u{n},{item},{n * 100_000}" for n, item in enumerate("aaabba", 1)] + ["u1,a,900000", "u1,c,900001"]
    (tmp_path / "events.csv").write_text("user,item,timestamp\n" + "\n".join(rows) + "\n")
    own.import_files(tmp_path / "items.csv", tmp_path / "events.csv")
    found = own.health()
    assert (found.items, found.people, found.events) == (4, 6, 8)
    assert (found.untold, found.untagged, found.undated, found.out_of_stock) == (4, 1, 1, 1)
    assert (found.untaken, found.rare, found.repeated, found.newcomers) == (1, 2, 1, 6)
    assert (found.first, found.last) == (100_000.0, 900_001.0)
    assert found.top_share == pytest.approx(5 / 8)
    assert not found.rated
    assert not found.reads_text
    assert found.kinds == {"book": (2, 7), "film": (2, 1)}


def test_quality_needs_somebody_with_two_events(own: Recommender, tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("id,title\na,A\n")
    (tmp_path / "events.csv").write_text("user,item\nu,a\n")
    own.import_files(tmp_path / "items.csv", tmp_path / "events.csv")
    assert not own.measured_already()
    with pytest.raises(InputError):
        own.quality()
