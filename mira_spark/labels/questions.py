"""Documents as questions to a judge: which may be sent, what of a text is shown, what is asked."""

from collections.abc import Collection
from dataclasses import replace

from pyspark.sql import Column, DataFrame, Row, functions as F

from mira_spark.corpus import excerpts
from mira_spark.corpus.excerpt_column import excerpt_column
from mira_spark.corpus.excerpts import CHARACTERS_PER_TOKEN, EXCERPT_MARK
from mira_spark.judges import defence, prompts
from mira_spark.judges.protocol import Anchor, Purpose, Request
from mira_spark.labels.forms import Form, Task, task_model
from mira_spark.rubrics.rubric import Rubric
from mira_spark.settings.judge import JudgeSettings

SHOWN_SHORTER = (
    "too long for the judge and asked about with a shorter excerpt: see judge.window_tokens"
)
"""What a step says of documents for whose prompt the judge's context was too small."""
REPLICATES: dict[Purpose, int] = {"repeat": 1}
"""The replicate number of a first asking, 0 where not named; asked again it grows by 2."""


def sendable_documents(documents: DataFrame, judge: JudgeSettings, task: Task) -> DataFrame:
    """The documents that may be sent to the task's judge: `sendable`, and of a licence in
    `judge.licenses` where that names any. For the heuristic judge, which sends nothing, all."""
    if task_model(judge, task).kind == "heuristic":
        return documents
    return may_leave(documents, judge.licenses)


def may_leave(documents: DataFrame, licenses: Collection[str]) -> DataFrame:
    """The documents that are `sendable` and, where licences are listed, of one of these."""
    allowed = documents.filter(F.col("sendable"))
    return allowed.filter(F.col("license").isin(list(licenses))) if licenses else allowed


def excerpt_of_text(window_tokens: int) -> Column:
    """What a judge sees of the column `text`."""
    return excerpt_column(F.col("text"), window_tokens)


def with_excerpts(documents: DataFrame, window_tokens: int) -> DataFrame:
    """A row for each document: its `doc_id`, `source`, `content_hash`, `sendable` and `license`;
    `document`, what the judge sees of the text, cut before it travels; and `unseen_share`, the
    share of the text outside it, 0 to 1."""
    excerpt, length = excerpt_of_text(window_tokens).alias("document"), F.length("text")
    columns = ("doc_id", "source", "content_hash", "sendable", "license")
    shown = documents.select(*columns, excerpt, length.alias("length"))
    seen = (F.length("document") - 2 * len(EXCERPT_MARK)) / F.col("length")
    is_whole = F.col("length") <= 3 * window_tokens * CHARACTERS_PER_TOKEN
    return shown.withColumn("unseen_share", F.when(is_whole, 0.0).otherwise(1 - seen)).drop(
        "length"
    )


def request(
    row: Row, form: Form, purpose: Purpose, source_group: str, rubric: Rubric | None = None
) -> Request:
    """The question about one row of `with_excerpts`; with a rubric a labelling, else a
    discovery."""
    anchors = rubric.anchors if rubric else ()
    anchors = anchors[::-1] if purpose == "reversed" else anchors
    document = defence.normalised(row["document"])
    code = defence.boundary(document, form.salt)
    new = Request(
        call_key="",
        purpose=purpose,
        doc_id=row["doc_id"],
        source_group=source_group,
        document=document,
        anchors=anchors,
        messages=prompts.messages(form.prompts, document, code, anchors),
        source=row["source"],
        rubric_id=rubric.anchors_id if rubric else None,
        code=code,
        sendable=row["sendable"],
        license=row["license"],
        cut_to=form.window_tokens,
    )
    return as_replicate(new, form, REPLICATES.get(purpose, 0))


def with_shorter_excerpt(request: Request, form: Form) -> Request:
    """The same question about a quarter of the excerpt or less, for a judge that the prompt was too
    long for: no text that was to fit at four characters to a token is longer at one."""
    document = excerpts.cut(request.document, request.cut_to)
    code = defence.boundary(document, form.salt)
    messages = prompts.messages(form.prompts, document, code, request.anchors)
    shorter = replace(request, document=document, code=code, messages=messages, cut_to=0)
    return as_replicate(shorter, form, request.replicate)


def unseen_share(outside: float, request: Request, asked: Request) -> float:
    """The share of a text, 0 to 1, that a judge did not see: `outside` is that outside of the
    request's excerpt, and `asked` is what was asked in the request's place."""
    if asked.document == request.document:
        return outside
    marks = 2 * len(EXCERPT_MARK)
    seen = (len(asked.document) - marks) / (len(request.document) - marks * (outside > 0))
    return 1 - (1 - outside) * seen


def merge_request(
    dimensions: tuple[Anchor, ...], form: Form, source_group: str, license: str | None
) -> Request:
    """The question which of the dimensions are the same. It shows the judge's own words, about
    documents that were allowed to leave, under a `license` that is allowed."""
    listed = defence.normalised(prompts.dimension_list(dimensions))
    code = defence.boundary(listed, form.salt)
    new = Request(
        call_key="",
        purpose="merge",
        doc_id="",
        source_group=source_group,
        document=listed,
        anchors=dimensions,
        messages=prompts.merge_messages(form.prompts, listed, code, len(dimensions)),
        code=code,
        license=license,
    )
    return as_replicate(new, form, 0)


def as_replicate(request: Request, form: Form, replicate: int) -> Request:
    """The same question with another replicate number: another call key, so that it is asked anew
    and its answer kept beside the others."""
    schema = prompts.schema(request.anchors, request.purpose)
    identity = form.judge.identity
    if form.generation:
        identity = {**identity, "generation": form.generation}
    key = prompts.call_key(identity, request.messages, schema, request.rubric_id, replicate)
    return replace(request, call_key=key, replicate=replicate)
