# Databricks notebook source
# MAGIC %md
# MAGIC # Trying a judge before paying for it
# MAGIC
# MAGIC A judge is a model behind a chat completions server. Before a labelling of hundreds of
# MAGIC thousands of documents, ask it about a few that have labels already: does it answer as
# MAGIC asked, does it agree, what will it cost? Nothing here is written into a table. Run it as
# MAGIC `01_explore_corpus.py` is run.

# COMMAND ----------

import asyncio
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from mira_spark.cli.notebook import open_notebook
from mira_spark.judges import reading
from mira_spark.judges.protocol import Answer, Judge, Request
from mira_spark.labels import checks, forms, questions
from mira_spark.rubrics import current

EACH = 8
notebook = open_notebook(globals())

# COMMAND ----------

# MAGIC %md
# MAGIC ## The judge
# MAGIC So that this notebook runs anywhere, a stand-in answers on this machine: it gives every
# MAGIC dimension the same score, by how many words the document has. It is no judge. In its place
# MAGIC goes the `judge` section of your own server; `mira_spark/judges/README.md` has those of
# MAGIC vLLM, llama.cpp, Ollama, Databricks and OpenAI.

# COMMAND ----------


class StandIn(BaseHTTPRequestHandler):
    """Answers a labelling with one score for all."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        rubric, document = (message["content"] for message in body["messages"])
        code = document.split("<document ", 1)[1][:8]
        slots = re.findall(r"^(\d{1,2})\. ", rubric.split("RUBRIC", 1)[1], re.MULTILINE)
        score = min(10, len(document.split()) // 50)
        scores = [{"slot": int(s), "score": score, "reason": "words counted"} for s in slots]
        said = json.dumps({"document": code, "answers": scores, "canary": 0})
        choice = {"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        usage = {"prompt_tokens": len(rubric + document) // 4, "completion_tokens": len(said) // 4}
        answer = json.dumps({"model": "stand-in", "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
threading.Thread(target=server.serve_forever, daemon=True).start()
tried = type(notebook.settings.judge).model_validate(
    {
        "kind": "openai",
        "model": "stand-in",
        "url": f"http://127.0.0.1:{server.server_port}/v1",
        "hosts": ["127.0.0.1"],
        "secret": "none",
        "prices": {"stand-in": {"input": 0.25, "output": 2, "read_on": "2026-11-01"}},
    }
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## A few documents that have labels
# MAGIC Only those that may leave: `sendable`, and of a licence in `judge.licenses` where that names
# MAGIC any.

# COMMAND ----------

lake, settings = notebook.lake, notebook.settings
discoveries = forms.discoveries(lake, settings.source_grouping, settings.discovery, settings.judge)
rubrics = current.signed_rubrics(lake, discoveries)
asked: list[Request] = []
labelled: dict[str, list[int | None]] = {}
form = forms.open_form(lake, tried, "labelling", generation=0)
for group, rubric in rubrics.items():
    labels = notebook.sql(f"""
        SELECT doc_id, content_hash, scores FROM labels
        WHERE rubric_id = '{rubric.rubric_id}' AND set_aside IS NULL AND spoilt IS NULL
        ORDER BY xxhash64(doc_id) LIMIT {EACH}
    """)
    documents = lake.read("documents").join(labels, on=["doc_id", "content_hash"])
    allowed = questions.may_leave(documents, tried.licenses)
    for row in questions.with_excerpts(allowed, tried.window_tokens).collect():
        asked.append(questions.request(row, form, "label", group, rubric))
    labelled |= {row["doc_id"]: row["scores"] for row in labels.collect()}
print(f"{len(asked)} questions about documents of {len(rubrics)} groups")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Does it answer as asked?
# MAGIC An answer must name the document's code, score every dimension once, and keep an extra score
# MAGIC at 0. What cannot be used is said; a judge that fails here often needs another
# MAGIC `judge.answer_format` or `judge.parameters`.

# COMMAND ----------


async def answers(judge: Judge, requests: list[Request]) -> list[Answer]:
    """What the judge says to each, four asked at once."""
    free = asyncio.Semaphore(4)

    async def answer(request: Request) -> Answer:
        async with free:
            return await judge.ask(request)

    try:
        return await asyncio.gather(*map(answer, requests))
    finally:
        await judge.close()


# In a thread: a notebook has an event loop of its own.
answered = ThreadPoolExecutor(1).submit(asyncio.run, answers(form.judge, asked)).result()
server.shutdown()
usable: dict[str, list[int | None]] = {}
for request, answer in zip(asked, answered, strict=True):
    try:
        said = checks.parse(request, reading.content(answer.raw_response or ""))
        usable[request.doc_id] = said.scores
    except ValueError as error:
        print(f"{request.doc_id}: not usable: {error}")
print(f"{len(usable)} of {len(asked)} answers can be used")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Does it agree?
# MAGIC Its mean score of each document against the mean of the labels there are. With so few
# MAGIC documents a correlation is rough; a stand-in that counts words shows what disagreement is
# MAGIC like.

# COMMAND ----------


def mean(scores: list[int | None]) -> float:
    """Over the dimensions that apply; NaN where none does."""
    applying = [score for score in scores if score is not None]
    return float(np.mean(applying)) if applying else np.nan


means = np.array([(mean(scores), mean(labelled[doc_id])) for doc_id, scores in usable.items()])
means = means[~np.isnan(means).any(axis=1)]
theirs, ours = means.T
print(f"mean score {theirs.mean():.1f}, of the labels {ours.mean():.1f}; ", end="")
print(f"correlation {np.corrcoef(theirs, ours)[0, 1]:.2f} over {len(means)} documents")

# COMMAND ----------

# MAGIC %md
# MAGIC ## What would it cost?
# MAGIC The tokens of these calls at the price in the settings, and so for a thousand. `mira plan`
# MAGIC with the new settings says it for the whole labelling, and `judge.budget` sets what is never
# MAGIC passed.

# COMMAND ----------

price = tried.prices["stand-in"]
sent = sum(answer.input_tokens for answer in answered)
received = sum(answer.output_tokens for answer in answered)
dollars = (float(price.input) * sent + float(price.output) * received) / 1e6
print(f"{sent:,} tokens sent, {received:,} received")
print(f"${1000 * dollars / len(asked):.2f} for 1,000 calls")
