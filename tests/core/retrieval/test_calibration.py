"""A collection's threshold: measured, kept with its error rates, used by the answerer, and known to be stale."""

from __future__ import annotations

import asyncio

import pytest

from core.errors import InputError
from core.retrieval import calibration
from core.retrieval.calibration import Calibration, Question, measured
from core.retrieval.library import Library
from core.retrieval.several import Several

TOWNS = (
    "东港",
    "西岭",
    "南塘",
    "北坡",
    "新桥",
    "老街",
    "高墙",
    "石板",
    "青松",
    "白杨",
    "红叶",
    "黄沙",
    "蓝田",
    "金山",
    "银川",
    "铁岭",
    "铜陵",
    "玉门",
    "珠江",
    "宝鸡",
    "龙泉",
    "凤城",
    "虎丘",
    "鹿港",
)


def filled(library: Library) -> None:
    async def add() -> None:
        for n, town in enumerate(TOWNS):
            await library.collection().add_text(
                f"{town}的码头建于{1900 + n}年，由当地商会出资修建。渡轮每天往返{n + 2}次，终点是{TOWNS[n - 1]}。", f"{n}.txt", title=town
            )  # fmt: skip

    asyncio.run(add())


def test_a_threshold_refuses_no_more_than_it_may() -> None:
    rows = [(c / 10, 1.0, True) for c in range(1, 11)] + [(0.05, 0.0, False), (0.15, 0.0, False), (0.95, 0.0, False)]
    made = measured(rows, false_refusals=0.2)
    assert made.threshold == 0.3  # 0.1 and 0.2 are refused, two of ten
    assert made.false_refusals == 0.2
    assert made.false_answers == pytest.approx(1 / 3, abs=1e-4)
    assert made.wrong_answers == 0.0
    assert made.questions == 10


def test_a_confidence_is_fitted_anew_on_enough_real_questions() -> None:
    rows = [(0.9, float(n % 2), True) for n in range(100)] + [(0.2, 0.0, False)] * 100
    made = measured(rows, refit=True)
    assert made.calibration_error < 0.05
    assert made.confidence(0.9) == pytest.approx(0.5, abs=0.05)
    assert measured(rows).confidence(0.9) == 0.9
    assert measured(rows).calibration_error == pytest.approx((100 * 0.4 + 100 * 0.2) / 200)


def test_it_is_kept_with_its_error_rates_and_used(library: Library) -> None:
    filled(library)
    index = library.collection()
    assert calibration.stored(index) is None
    made = asyncio.run(calibration.calibrate(index))
    assert calibration.stored(index) == made
    assert made.basis == "made"
    assert made.questions == len(TOWNS)
    assert made.generation == index.info().generation
    assert made.false_refusals <= 0.1
    assert calibration.in_force(Several([index])) == made
    question = "东港的码头建于哪一年？"
    before = asyncio.run(library.answer(question))
    assert before.mode == "extractive"
    with library.workspace.write() as db:
        db.execute("UPDATE calibrations SET threshold = 0.9999")
    for where in (None, {"language": "zh"}):
        answer = asyncio.run(library.answer(question, where=where))
        assert (answer.mode, answer.threshold) == ("refused", 0.9999)
    assert calibration.forget(index)
    assert asyncio.run(library.answer(question)).mode == "extractive"
    assert not calibration.forget(index)


def test_documents_that_come_later_make_it_stale(library: Library) -> None:
    filled(library)
    index = library.collection()
    made = asyncio.run(calibration.calibrate(index))
    asyncio.run(index.add_text("增设的码头开放到晚上十点。", "new.txt"))
    assert index.info().generation != made.generation


def test_a_user_s_questions_measure_it_better(library: Library) -> None:
    filled(library)
    asked = [Question(f"{town}的码头建于哪一年？", (f"{1900 + n}年",)) for n, town in enumerate(TOWNS)]
    made = asyncio.run(calibration.calibrate(library.collection(), asked, false_refusals=0.05))
    assert made.basis == "asked"
    assert made.questions == len(TOWNS)
    assert 0 <= made.false_answers <= 1


def test_too_few_questions_and_nothing_indexed_are_said(library: Library) -> None:
    with pytest.raises(InputError) as caught:
        asyncio.run(calibration.calibrate(library.collection()))
    assert caught.value.reason == "nothing_indexed"
    filled(library)
    with pytest.raises(InputError) as caught:
        asyncio.run(calibration.calibrate(library.collection(), [Question("东港？", ("码头",))]))
    assert caught.value.reason == "few_questions"
    assert "20" in caught.value.text("zh")


def test_questions_are_made_the_same_way_every_time(library: Library) -> None:
    filled(library)
    passages = calibration._passages(library.collection())
    one, two = (calibration.made_questions(passages, seed=3) for _ in range(2))
    assert one == two
    assert one != calibration.made_questions(passages, seed=4)
    for question in one:
        assert any(answer in p.text for p in passages for answer in question.answers)


def test_a_calibration_of_another_model_is_not_used(library: Library) -> None:
    filled(library)
    index = library.collection()
    made = asyncio.run(calibration.calibrate(index))
    with library.workspace.write() as db:
        db.execute("UPDATE calibrations SET model = 'other:model'")
    assert calibration.stored(index) is None
    assert isinstance(made, Calibration)
