"""``touchstone evaluate``: figures of the real engine on small data sets, files, the gate, errors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from apps.cli import app
from core.errors import ConnectFailed
from core.evaluation.results import load
from core.evaluation.scoreboard import collect
from core.providers.scripted import HashedEmbedding
from core.retrieval.library import Library
from core.runtime import Runtime
from core.types import Answer, Citation, EmbeddingKind

TEXTS = {
    "returns": ("Returns", "Goods can be returned within 30 days. The parcel must be sent with the receipt."),
    "warranty": ("Warranty", "The warranty on kettles is three years. It covers the heating plate."),
    "delivery": ("Delivery", "Parcels to islands take five days. Express delivery costs 12 euros."),
    "退货": ("退货政策", "商品签收后七天内可以无理由退货。退货运费由顾客承担。"),
    "发票": ("发票", "电子发票在发货后两天内发送到邮箱。"),
    "a/b c": ("Gift cards", "Gift cards are valid for ten years and cannot be exchanged for cash."),
}
QUESTIONS = {
    "q1": ("How long is the warranty on kettles?", "warranty", "three years"),
    "q2": ("Within how many days can goods be returned?", "returns", "30 days"),
    "q3": ("签收后几天内可以退货？", "退货", "七天"),
    "q4": ("电子发票什么时候发送？", "发票", "两天内"),
    "q5": ("For how many years are gift cards valid?", "a/b c", "ten years"),
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOUCHSTONE_EMBEDDING", "scripted:hash")
    monkeypatch.setenv("TOUCHSTONE_CHAT", "scripted:demo")


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "qrels").mkdir(parents=True)
    lines(folder / "corpus.jsonl", [{"_id": i, "title": title, "text": text} for i, (title, text) in TEXTS.items()])
    lines(folder / "queries.jsonl", [{"_id": i, "text": text} for i, (text, _, _) in QUESTIONS.items()])
    rows = [f"{i}\t{document}\t1" for i, (_, document, _) in QUESTIONS.items()]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(rows), "utf-8")
    return folder


@pytest.fixture
def squad(tmp_path: Path) -> Path:
    paragraphs = [
        {
            "context": text,
            "qas": [
                {"id": i, "question": question, "answers": [{"text": answer, "answer_start": text.index(answer)}]}
                for i, (question, where, answer) in QUESTIONS.items()
                if where == document
            ],
        }
        for document, (_, text) in TEXTS.items()
    ]
    path = tmp_path / "shop.json"
    path.write_text(json.dumps({"data": [{"title": "shop", "paragraphs": paragraphs}]}), "utf-8")
    return path


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    qas = [{"id": f"e{n}", "question": q, "answers": [{"text": "x", "answer_start": 0}]} for n, q in enumerate(("Who painted the ceiling?", "火星有几颗卫星？"))]  # fmt: skip
    path = tmp_path / "elsewhere.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": "x", "qas": qas}]}]}), "utf-8")
    return path


def lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")


def evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


# --- retrieval -----------------------------------------------------------------------------------


def test_all_modes_as_json(beir: Path) -> None:
    done = evaluate("retrieval", "--data", beir, "--mode", "all", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert list(found) == ["keyword", "vector", "hybrid"]
    for figures in found.values():
        assert {"ndcg@10", "recall@100", "mrr@10"} <= figures.keys()
        assert figures["recall@100"] == 1.0, "also the document whose id is no file name"
    assert found["hybrid"]["success@1"] == 1.0
    assert found["keyword"]["ndcg@10"] > 0.9


def test_documents_of_another_set_get_in_the_way(beir: Path, squad: Path) -> None:
    """Only the documents are added, and those of the other set never count as right."""
    alone = json.loads(evaluate("retrieval", "--data", squad, "--mode", "keyword", "--json").stdout)
    mixed = evaluate("retrieval", "--data", squad, "--among", beir, "--among", beir, "--mode", "keyword", "--json")
    assert mixed.exit_code != 0, "the same documents twice"
    mixed = evaluate("retrieval", "--data", squad, "--among", beir, "--mode", "keyword", "--json")
    assert mixed.exit_code == 0, mixed.output
    assert json.loads(mixed.stdout)["keyword"]["success@1"] <= alone["keyword"]["success@1"]
    told = evaluate("retrieval", "--data", squad, "--among", beir, "--mode", "keyword")
    assert f"{squad.stem}+{beir.name}" in told.stdout


def test_keywords_alone_need_no_embedding_model(beir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_EMBEDDING", "openai:none-without-a-key")
    assert evaluate("retrieval", "--data", beir, "--mode", "keyword", "--json").exit_code == 0
    refused = evaluate("retrieval", "--data", beir, "--mode", "hybrid", "--json")
    assert refused.exit_code == 3, "keywords alone are never passed off as both legs"
    assert json.loads(refused.stdout)["error"]["code"]


def test_an_embedding_model_that_fails_on_the_way_ends_it(beir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = HashedEmbedding.embed

    async def breaks(self: HashedEmbedding, texts: Sequence[str], *, kind: EmbeddingKind) -> Any:
        if kind == "query":
            raise ConnectFailed(provider="scripted", model="hash", url="-", detail="gone")
        return await whole(self, texts, kind=kind)

    monkeypatch.setattr(HashedEmbedding, "embed", breaks)
    done = evaluate("retrieval", "--data", beir, "--mode", "vector")
    assert done.exit_code == 3
    assert "embedding_down" in done.stderr


def test_squad_paragraphs_can_be_ranked_and_a_sample_taken(squad: Path, tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    done = evaluate("retrieval", "--data", squad, "--mode", "keyword", "--sample", 3, "--save", report, "--json")
    assert done.exit_code == 0, done.output
    (found,) = load(report).evaluations
    assert (len(found.ids), found.split) == (3, "shop-sample3-seed0")
    assert found.value("success@1") == 1.0


def test_sentence_pairs_are_embedded_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = []
    embed = HashedEmbedding.embed

    async def noted(self: HashedEmbedding, texts: Sequence[str], *, kind: EmbeddingKind) -> Any:
        kinds.append(kind)
        return await embed(self, texts, kind=kind)

    monkeypatch.setattr(HashedEmbedding, "embed", noted)
    pairs = tmp_path / "pairs.txt"
    pairs.write_text(
        "怎么修改密码\t如何修改密码\t1\n怎么修改密码\t退货运费谁出\t0\n发票什么时候开\t什么时候开发票\t1\n", "utf-8"
    )
    found = evaluate("retrieval", "--data", str(pairs), "--mode", "hybrid", "--json")
    assert json.loads(found.stdout)["hybrid"]["ndcg@10"] == 1.0
    assert set(kinds) == {"query"}


def test_people_get_a_table_and_how_much_both_legs_help(beir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_LANG", "zh")
    done = evaluate("retrieval", "--data", beir, "--mode", "all")
    assert done.exit_code == 0, done.output
    for word in ("retrieval · shop · 5 条", "指标", "hybrid", "ndcg@10", "hybrid 减 keyword", "hybrid 减 vector"):
        assert word in done.stdout


def test_the_documents_are_indexed_once_and_apart_from_the_users_own(
    beir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []
    whole = HashedEmbedding.embed

    async def counted(self: HashedEmbedding, given: Sequence[str], *, kind: EmbeddingKind) -> Any:
        texts.extend(given if kind == "document" else [])
        return await whole(self, given, kind=kind)

    monkeypatch.setattr(HashedEmbedding, "embed", counted)
    first = evaluate("retrieval", "--data", beir, "--json")
    assert len(texts) == len(TEXTS)
    assert evaluate("retrieval", "--data", beir, "--json").stdout == first.stdout
    assert len(texts) == len(TEXTS)
    folder = tmp_path / "home" / "evaluation"
    assert (folder / "touchstone.db").is_file()
    asked = CliRunner().invoke(app, ["ask", "warranty?", "--json"])
    assert json.loads(asked.stdout)["error"]["code"] == "input.nothing_indexed"


def test_answers_are_taken_out_of_half_of_the_documents(squad: Path) -> None:
    for removed in ("paragraphs", "sentences"):
        done = evaluate("answers", "--data", squad, "--remove", removed, "--mode", "keyword", "--json")
        assert done.exit_code == 0, done.output
        figures = json.loads(done.stdout)["extractive"]
        assert {"refused", "refused_at_10%", "supported", "ece"} <= figures.keys()
    wrong = evaluate("answers", "--data", squad, "--remove", "titles", "--json")
    assert "paragraphs, sentences" in json.loads(wrong.stdout)["error"]["message"]


def test_evidence_sentences_of_a_beir_folder(beir: Path, tmp_path: Path) -> None:
    said = [
        {"id": "q1", "evidence": [{"doc": "warranty", "sentences": ["The warranty on kettles is three years."]}]},
        {"id": "q2", "evidence": [{"doc": "returns", "sentences": [0]}]},
        {"id": "q3", "evidence": []},
    ]
    lines(tmp_path / "evidence.jsonl", said)
    lines(
        tmp_path / "evidence_docs.jsonl",
        [{"_id": "returns", "sentences": ["Goods can be returned within 30 days.", "The parcel must be sent."]}],
    )
    done = evaluate("answers", "--data", beir, "--evidence", tmp_path / "evidence.jsonl", "--mode", "keyword", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["extractive"]["supported"] == 1.0
    without = evaluate("answers", "--data", beir, "--json")
    assert json.loads(without.stdout)["error"]["code"] == "input.data_no_answers"


def test_words_alone_answer_without_an_embedding_model(squad: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_EMBEDDING", "openai:none-without-a-key")
    done = evaluate("answers", "--data", squad, "--mode", "keyword", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["extractive"]["supported"] > 0.5
    assert evaluate("answers", "--data", squad, "--json").exit_code == 3


def test_questions_without_answers_come_one_a_line(squad: Path, tmp_path: Path) -> None:
    (tmp_path / "others.txt").write_text("Who painted the ceiling?\t1\n\n火星有几颗卫星？\n", "utf-8")
    done = evaluate(
        "answers", "--data", squad, "--unanswerable", tmp_path / "others.txt", "--mode", "keyword", "--json"
    )
    assert done.exit_code == 0, done.output
    assert "refused_at_10%" in json.loads(done.stdout)["extractive"]


# --- baseline and gate ---------------------------------------------------------------------------


def test_a_saved_report_is_a_baseline_and_the_page_is_written(beir: Path, tmp_path: Path) -> None:
    base, page = tmp_path / "base.json", tmp_path / "page.html"
    assert evaluate("retrieval", "--data", beir, "--save", base, "--html", page, "--json").exit_code == 0
    assert "<svg" in page.read_text("utf-8")
    done = evaluate("retrieval", "--data", beir, "--baseline", base, "--gate", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["gate"]["passed"] is True


def test_the_gate_fails_on_a_figure_that_is_gone(beir: Path, tmp_path: Path) -> None:
    base = tmp_path / "base.json"
    evaluate("retrieval", "--data", beir, "--mode", "all", "--save", base)
    done = evaluate("retrieval", "--data", beir, "--mode", "hybrid", "--baseline", base, "--gate", "--json")
    assert done.exit_code == 1
    assert {row["verdict"] for row in json.loads(done.stdout)["gate"]["rows"]} == {"same", "missing"}
    told = evaluate("retrieval", "--data", beir, "--mode", "hybrid", "--baseline", base)
    assert told.exit_code == 0, "only --gate turns the verdict into an exit code"
    assert "missing" in told.stdout


def test_figures_are_published_for_the_scoreboard(beir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["touchstone", "evaluate", "retrieval", f"--data={beir}", "--publish", "measured"])
    done = evaluate("retrieval", "--data", beir, "--mode", "all", "--publish", "measured", "--json")
    assert done.exit_code == 0, done.output
    figures = {figure.name: figure for figure in collect(tmp_path / "measured")}
    assert set(figures) == {f"shop: {name}, hybrid" for name in ("ndcg@10", "success@1", "recall@100")}
    found = figures["shop: ndcg@10, hybrid"]
    assert found.baselines.keys() == {"keyword", "vector"}
    assert found.command == "touchstone evaluate retrieval --data=shop --publish measured", "no folder of this machine"
    assert str(tmp_path) not in (tmp_path / "measured" / "retrieval-shop.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("retrieval", "--data", "nowhere"), 3, "nowhere"),
        (("retrieval", "--data", "shop", "--mode", "magic"), 6, "keyword, vector, hybrid, all"),
        (("retrieval", "--data", "shop", "--gate"), 6, "--baseline"),
        (("retrieval", "--data", "shop", "--baseline", "nowhere.json"), 3, "nowhere.json"),
        (("retrieval", "--data", "shop", "--split", "dev"), 3, "Allowed: test"),
        (("answers", "--data", "shop"), 6, "no answers"),
        (("retrieval",), 2, "--data"),
    ],
)
def test_what_cannot_be_measured_is_said(beir: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = evaluate(*arguments)
    assert done.exit_code == code
    assert words in done.stderr


# --- answers -------------------------------------------------------------------------------------


def test_answers_are_judged_by_their_quotes(squad: Path, elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    by_question = {question: (TEXTS[where][1], answer) for question, where, answer in QUESTIONS.values()}

    async def answer(self: Library, question: str, **options: Any) -> Answer:
        text, _ = by_question.get(question, ("Something else.", ""))
        mode = "extractive" if question in by_question else "refused"
        quote = Citation(1, "p", "d", "t", "s", text, 0, len(text))
        return Answer(question, mode, text, citations=(quote,), confidence=0.9 if mode == "extractive" else 0.2)  # type: ignore[arg-type]

    monkeypatch.setattr(Library, "answer", answer)
    page = tmp_path / "page.html"
    done = evaluate("answers", "--data", squad, "--unanswerable", elsewhere, "--html", page, "--json")
    assert done.exit_code == 0, done.output
    assert list(json.loads(done.stdout)) == ["lexical", "extractive"], "the cheap baseline stands beside"
    lexical = json.loads(done.stdout)["lexical"]
    assert (lexical["supported"], lexical["refused"]) == (1.0, 1.0), "no word is shared with the other questions"
    found = json.loads(done.stdout)["extractive"]
    assert (found["answered"], found["supported"], found["refused"], found["refusal_auroc"]) == (1.0, 1.0, 1.0, 1.0)
    assert page.read_text("utf-8").count("<polyline") == 2


def test_the_engine_answers_from_the_paragraphs_and_declines_others(
    squad: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOUCHSTONE_EMBEDDING", "embedded:e5")
    done = evaluate("answers", "--data", squad, "--unanswerable", elsewhere, "--sample", 2, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["extractive"]
    assert found["supported"] == 1.0
    assert found["refusal_auroc"] == 1.0, "more sure of what the paragraphs say than of what they do not"


def test_a_model_that_writes_stands_beside_itself_unchecked(squad: Path, elsewhere: Path, tmp_path: Path) -> None:
    """It says what the paragraphs say, and to other questions, which it is asked by the chain alone, anything."""
    (tmp_path / "writes.yaml").write_text(
        r"""
- match: '(?s)<source n="(?P<n>\d)"[^>]*>[^<]*three years.*<question>[^<]*warranty'
  reply: The warranty on kettles is three years. [{n}]
- match: (?s)three years.*Question:.*warranty
  reply: Kettles have a warranty of three years.
- match: '(?s)<source n="(?P<n>\d)"[^>]*>[^<]*七天内.*<question>[^<]*签收后'
  reply: 商品签收后九天内可以无理由退货。[{n}]
- match: (?s)七天内.*问题：.*签收后
  reply: 签收后九天内可以退货。
- match: 段落
  reply: 段落中没有提到。
- reply: It is in Paris. [1]
""",
        "utf-8",
    )
    model = f"scripted:{tmp_path / 'writes.yaml'}"
    published = tmp_path / "measured"
    done = evaluate(
        *("answers", "--data", squad, "--unanswerable", elsewhere, "--mode", "keyword", "--model", model, "--json"),
        *("--publish", published),
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert list(told) == ["lexical", f"{model}, unchecked", model]
    plain, checked = told[f"{model}, unchecked"], told[model]
    assert "supported" not in plain, "it cites nothing"
    assert plain["refused"] < checked["refused"] == 1.0, "whoever is asked about anything says something"
    assert checked["said"] >= plain["said"] > 0
    assert checked["said_when_answered"] > plain["said_when_answered"], "what no source says is taken out"
    assert [path.stem for path in published.iterdir()] == ["written-shop"]


def test_the_judge_that_is_set_judges_what_is_written(
    squad: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "writes.yaml").write_text(
        r"""
- match: '(?s)<source n="(?P<n>\d)"[^>]*>[^<]*three years.*<question>[^<]*warranty'
  reply: Kettles have a warranty of three years. [{n}]
- reply: I do not know.
""",
        "utf-8",
    )
    asked: list[str] = []

    class Doubting:
        name = "scripted:doubting"

        async def says(self, source: str, claim: str) -> bool:
            asked.append(claim)
            return False

    model = f"scripted:{tmp_path / 'writes.yaml'}"
    command = ("answers", "--data", squad, "--mode", "keyword", "--model", model, "--json")
    assert evaluate(*command).exit_code == 0
    monkeypatch.setattr(Runtime, "claim_judge", lambda self: Doubting())
    done = evaluate(*command)
    assert done.exit_code == 0, done.output
    assert asked == ["Kettles have a warranty of three years."], "asked anew: a judge belongs to what is measured"


# --- intents -------------------------------------------------------------------------------------


def test_intents_are_learned_and_measured_beside_the_baseline(tmp_path: Path) -> None:
    rows = ["text,label"]
    for n in range(8):
        rows += [f"我要退货 {n},return", f"where is my parcel {n},delivery", f"weather today {n},oos"]
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    train.write_text("\n".join(rows), "utf-8")
    test.write_text("text,label\n我要退货 9,return\nwhere is my parcel 9,delivery\nweather today 9,oos\n", "utf-8")
    done = evaluate("intents", "--train", train, "--test", test, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert list(found) == ["tfidf+svm", "head"]
    assert found["head"]["accuracy"] == 1.0
    assert {"in_scope_accuracy", "oos_recall", "oos_precision", "ece"} <= set(found["head"])
    missing = evaluate("intents", "--train", train, "--test", test, "--embedding", "embedded:nothing")
    assert missing.exit_code != 0
    assert "embedded:minilm" in missing.stderr


@pytest.mark.parametrize(("text", "words"), [("text,kind\na,b\n", "label"), ("text,label\na,b\n", "labels")])
def test_intents_that_cannot_be_learned_are_said(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(text, "utf-8")
    done = evaluate("intents", "--train", tmp_path / "t.csv", "--test", tmp_path / "t.csv")
    assert done.exit_code == 6
    assert words in done.stderr
    assert "Traceback" not in done.stderr
