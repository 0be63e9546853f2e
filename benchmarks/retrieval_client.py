"""``python -m benchmarks.retrieval_client SYSTEM FOLDER``: one retrieval system in a process of its own.

Commands come as lines of JSON on stdin, answers go out as lines of JSON on stdout:
``{"do": "index"}`` → seconds; ``{"do": "search", "questions": [0, 1]}`` → milliseconds and passage ids of each.
The embedder of every system looks vectors up that were made before (``corpus.npz``), so that only the systems
themselves are timed. This module imports nothing of Touchstone before Touchstone is the system: it also runs in the
peers' own environment.
"""

from __future__ import annotations

import json
import re
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

TOP_K = 20
System = Callable[[str], list[str]]  # a question to passage ids, best first


class Corpus:
    """Passages (a title and a text each), questions, and the vectors of both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rows = [json.loads(line) for line in (folder / "corpus.jsonl").read_text("utf-8").splitlines()]
        self.ids = [row["id"] for row in rows]
        self.titles = [row["title"] for row in rows]
        self.texts = [row["text"] for row in rows]
        self.whole = [f"{row['title']}\n{row['text']}" for row in rows]
        self.questions: list[str] = json.loads((folder / "questions.json").read_text("utf-8"))
        made = np.load(folder / "vectors.npz")
        self.dim = int(made["passages"].shape[1])
        self.vectors = dict(zip(self.whole, made["passages"], strict=True))
        self.asked = dict(zip(self.questions, made["questions"], strict=True))


def touchstone(corpus: Corpus) -> System:
    from core import blocking
    from core.providers.sync import run
    from core.retrieval.library import Library
    from core.workspace import Workspace

    class Model:
        name, dim = "bench:looked-up", corpus.dim

        async def embed(self, texts: Sequence[str], *, kind: str) -> np.ndarray:
            known = corpus.asked if kind == "query" else corpus.vectors
            return np.stack([known[text] for text in texts])

        def embed_now(self, texts: Sequence[str], *, kind: str) -> np.ndarray:
            return np.stack([corpus.asked[text] for text in texts])

        async def aclose(self) -> None: ...

    library = Library(Workspace.open(corpus.folder / "touchstone"), Model())
    index = library.collection()

    async def write() -> None:
        for id_, title, text in zip(corpus.ids, corpus.titles, corpus.texts, strict=True):
            await index.add_text(text, f"{id_}.txt", title=title, embed=False)
        await index.embed_pending()

    run(write())

    def find(question: str) -> list[str]:
        found = blocking.find(index, question, TOP_K)
        return [hit.passage.source.removesuffix(".txt") for hit in found.hits]

    return find


def langchain(corpus: Corpus) -> System:
    from langchain_chroma import Chroma
    from langchain_classic.retrievers import EnsembleRetriever
    from langchain_community.retrievers import BM25Retriever
    from langchain_core.embeddings import Embeddings

    class Model(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [corpus.vectors[text].tolist() for text in texts]

        def embed_query(self, text: str) -> list[float]:
            return corpus.asked[text].tolist()

    metadata = [{"id": id_} for id_ in corpus.ids]
    store = Chroma(
        "bench",
        Model(),
        persist_directory=str(corpus.folder / "langchain"),
        collection_metadata={"hnsw:space": "cosine"},
    )
    for a in range(0, len(corpus.whole), 5000):  # Chroma's largest batch
        store.add_texts(corpus.whole[a : a + 5000], metadata[a : a + 5000], corpus.ids[a : a + 5000])
    words = BM25Retriever.from_texts(corpus.whole, metadata, preprocess_func=_words, k=TOP_K)
    both = EnsembleRetriever(
        retrievers=[words, store.as_retriever(search_kwargs={"k": TOP_K})], weights=[0.5, 0.5], id_key="id"
    )
    return lambda question: [document.metadata["id"] for document in both.invoke(question)][:TOP_K]


def llamaindex(corpus: Corpus) -> System:
    import chromadb
    import Stemmer
    from llama_index.core import StorageContext, VectorStoreIndex
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.llms import MockLLM
    from llama_index.core.retrievers import QueryFusionRetriever
    from llama_index.core.schema import TextNode
    from llama_index.retrievers.bm25 import BM25Retriever
    from llama_index.vector_stores.chroma import ChromaVectorStore

    class Model(BaseEmbedding):
        def _get_text_embedding(self, text: str) -> list[float]:
            return corpus.vectors[text].tolist()

        def _get_query_embedding(self, query: str) -> list[float]:
            return corpus.asked[query].tolist()

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return self._get_query_embedding(query)

    nodes = [TextNode(text=text, id_=id_) for id_, text in zip(corpus.ids, corpus.whole, strict=True)]
    client = chromadb.PersistentClient(str(corpus.folder / "llamaindex"))
    store = ChromaVectorStore(client.create_collection("bench", metadata={"hnsw:space": "cosine"}))
    index = VectorStoreIndex(
        nodes, storage_context=StorageContext.from_defaults(vector_store=store), embed_model=Model(model_name="bench")
    )
    words = BM25Retriever.from_defaults(
        nodes=nodes, similarity_top_k=TOP_K, stemmer=Stemmer.Stemmer("english"), language="english"
    )
    both = QueryFusionRetriever(
        [index.as_retriever(similarity_top_k=TOP_K), words],
        llm=MockLLM(), similarity_top_k=TOP_K, num_queries=1, mode="relative_score", use_async=False,
    )  # fmt: skip
    return lambda question: [found.node.node_id for found in both.retrieve(question)]


def haystack(corpus: Corpus) -> System:
    from haystack import Document, Pipeline
    from haystack.components.joiners import DocumentJoiner
    from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    store.write_documents(
        [
            Document(id=id_, content=text, embedding=corpus.vectors[text].tolist())
            for id_, text in zip(corpus.ids, corpus.whole, strict=True)
        ]
    )
    pipeline = Pipeline()
    pipeline.add_component("words", InMemoryBM25Retriever(store, top_k=TOP_K))
    pipeline.add_component("meaning", InMemoryEmbeddingRetriever(store, top_k=TOP_K))
    pipeline.add_component("join", DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=TOP_K))
    pipeline.connect("words", "join")
    pipeline.connect("meaning", "join")

    def find(question: str) -> list[str]:
        given = {"words": {"query": question}, "meaning": {"query_embedding": corpus.asked[question].tolist()}}
        return [document.id for document in pipeline.run(given)["join"]["documents"]]

    return find


SYSTEMS = {"Touchstone": touchstone, "LangChain": langchain, "LlamaIndex": llamaindex, "Haystack": haystack}


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def main() -> None:
    warnings.simplefilter("ignore")
    corpus = Corpus(Path(sys.argv[2]))
    find: System | None = None
    out, sys.stdout = sys.stdout, sys.stderr  # what a package prints is no answer
    for line in sys.stdin:
        command: dict[str, Any] = json.loads(line)
        answer: dict[str, Any] = {}
        if command["do"] == "index":
            wall, cpu = time.perf_counter(), time.process_time()
            find = SYSTEMS[sys.argv[1]](corpus)
            answer = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        elif command["do"] == "search" and find is not None:
            took, found = [], []
            cpu = time.process_time()
            for number in command["questions"]:
                started = time.perf_counter()
                found.append(find(corpus.questions[number]))
                took.append((time.perf_counter() - started) * 1e3)
            answer = {"ms": took, "found": found, "cpu_ms": (time.process_time() - cpu) / len(took) * 1e3}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
