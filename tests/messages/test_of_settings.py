"""What is said of settings that cannot be used, word for word."""

import pytest

from mira_spark.settings.root import load
from tests.messages.saying import message

SETTINGS: dict[str, str] = {
    "selection.bugdet=1": (
        "settings: selection.bugdet is not a setting; did you mean selection.budget? "
        "Known: budget, caps, contaminated, duplicates, every_source, exclude, floors, "
        "keep_days, materialize, max_document_share, name, policy, score, seed, shares, "
        "temperature, where"
    ),
    "selektion.budget=1": (
        "settings: selektion is not a setting; did you mean selection? Known: baselines, "
        "corpus, discovery, distillation, driver_folder, duplicates, embedder, evaluation, "
        "folder, gate, grouping, judge, labelling, local_cores, local_memory, namespace, "
        "plan, quality, registry, report, scoring, selection, session, single_writer"
    ),
    "judge.labelling.modle=m": (
        "settings: judge.labelling.modle is not a setting; did you mean "
        "judge.labelling.model? Known: answer_format, hosts, kind, max_output_tokens, "
        "model, parameters, profile, region, secret, seed, temperature, timeout_s, url"
    ),
    "selection.budget": "--set selection.budget: should be key=value, e.g. selection.budget=30%",
    "selection..budget=3": (
        "--set selection..budget=3: should be key=value, e.g. selection.budget=30%"
    ),
    "namespace.x=1": "settings: namespace: should be a text",
    "selection.budget=[": (
        "--set selection.budget: line 1: is not YAML: expected the node content, but found "
        "'<stream end>'"
    ),
    "selection.floors={a: 1%, a: 2%}": "--set selection.floors: a comes twice",
    "selection.budget=!tokens 5": (
        "--set selection.budget: line 1: holds a tag, which begins with !: leave it out, "
        "or put the value in quotes"
    ),
    "selection.budget=*a": (
        "--set selection.budget: line 1: is not YAML: found undefined alias 'a'"
    ),
    "local_cores=0": "settings: local_cores: should be at least 1, found 0",
    "local_memory=4 GB": (
        "settings: local_memory: should be a whole number and g or m, e.g. 4g, found '4 GB'"
    ),
    "session=cluster": "settings: session: should be 'local' or 'platform', found 'cluster'",
    "session=null": "settings: session: should be 'local' or 'platform', found None",
    "namespace=a-b": (
        "settings: namespace: should be a schema, or catalog.schema, of letters, digits "
        "and _, found 'a-b'"
    ),
    "folder=[a]": "settings: folder: should be a path, found ['a']",
    "folder=dbfs:/x": (
        "settings: folder: should be a path, or a URI of s3, s3a, gs, abfs, abfss, hdfs, "
        "found 'dbfs:/x'"
    ),
    "folder=s3://bucket/mira": (
        "settings: folder: s3://bucket/mira is for session: platform; a local session has "
        "its catalog in the folder, and needs a path of this machine"
    ),
    "driver_folder=/mnt/mira": (
        "settings: driver_folder: is for session: platform; a local session has all in its folder"
    ),
    "report.path=s3://bucket/x": (
        "settings: report.path: should be a path of this machine's file system, not a URI, "
        "found 's3://bucket/x'"
    ),
    "selection=3": "settings: selection: should be a mapping of keys to values, found 3",
    "selection=[budget]": (
        "settings: selection: should be a mapping of keys to values, found ['budget']"
    ),
    "selection.name=No-1": (
        "settings: selection.name: should be 1 to 64 of a to z, 0 to 9 and _, found 'No-1'"
    ),
    "selection.name=documents": (
        "settings: selection.name: selected_documents is a table of ours, not a view: use "
        "another name, found 'documents'"
    ),
    "selection.budget=25B": (
        "settings: selection.budget: should be a number of tokens, e.g. 25_000_000_000, or "
        "e.g. 40%, found '25B'"
    ),
    "selection.budget=0": "settings: selection.budget: should be more than 0, found 0",
    "selection.budget=101%": "settings: selection.budget: should be at most 100%, found '101%'",
    "selection.shares=3": (
        "settings: selection.shares: should be 'tokens' or 'equal', or a mapping of keys "
        "to values, found 3"
    ),
    "selection.shares={a: 1/2, b: 1/4}": (
        "settings: selection.shares: sum to 3/4, should be exactly 1"
    ),
    "selection.shares={a: x, b: 1}": (
        "settings: selection.shares.a: should be from 0 to 1, e.g. 0.05, 5% or 1/20"
    ),
    "selection.floors={a: much}": (
        "settings: selection.floors.a: should be from 0 to 1, e.g. 0.05, 5% or 1/20, or of "
        "the source's own tokens, e.g. 5% of source, found 'much'"
    ),
    "selection.floors={a: 60%, b: 60%}": (
        "settings: selection.floors: sum to 6/5, should be at most 1"
    ),
    "selection={floors: {a: 20%}, caps: {a: 10%}}": (
        "settings: selection.caps.a: 1/10 is below the source's floor, 1/5"
    ),
    "selection.max_document_share=0.09%": (
        "settings: selection.max_document_share: should be from 0.1% to 100%, found '0.09%'"
    ),
    "selection.temperature=0.0005": (
        "settings: selection.temperature: should have at most three decimals, e.g. 0.5, "
        "found 0.0005"
    ),
    "selection.temperature=11": "settings: selection.temperature: should be at most 10, found 11",
    "selection.score=best": (
        "settings: selection.score: should be 'quality', 'random', 'length', 'dsir', "
        "'perplexity', 'heuristics' or 'educational', or a mapping of keys to values, "
        "found 'best'"
    ),
    "selection.score={table: a}": "settings: selection.score.column: is missing",
    "selection.where=[{column: license, operator: is, value: mit}]": (
        "settings: selection.where.0.operator: should be '=', '!=', '<', '<=', '>', '>=', "
        "'in' or 'not in', found 'is'"
    ),
    "selection.where=[{column: license, operator: =, value: [null]}]": (
        "settings: selection.where.0.value.0: should be true or false, or a whole number, "
        "or a number, or a text, found None"
    ),
    "selection.exclude=[{table: a-b}]": (
        "settings: selection.exclude.0.table: should be table, schema.table or "
        "catalog.schema.table, of letters, digits and _, found 'a-b'"
    ),
    "corpus.input=xml": (
        "settings: corpus.input: should be 'python_environment', 'parquet', 'json', 'csv', "
        "'text', 'delta', 'table' or 'messages', found 'xml'"
    ),
    "corpus.input=csv": (
        "settings: corpus.path: is needed with input: csv, files or a table's name"
    ),
    "corpus={input: python_environment, path: /data}": (
        "settings: corpus.path: is not for input: python_environment; input is the files' format"
    ),
    "corpus={input: csv, path: p, columns: {source: null}}": (
        "settings: corpus.source: is needed, a constant; or columns.source, a column"
    ),
    "corpus={input: messages, path: p, columns: {text: body}}": (
        "settings: corpus.columns.messages: is needed for conversations; or read them as json"
    ),
    "corpus={input: table, path: a.b.c.d}": (
        "settings: corpus.path: should be a table's name: table, schema.table or with a "
        "catalog, found 'a.b.c.d'"
    ),
    "corpus.inputs=[{name: web, format: json}]": "settings: corpus.inputs.0.path: is missing",
    "corpus.inputs=[{name: web, format: json, path: p, encoding: klingon}]": (
        "settings: corpus.inputs.0.encoding: should be an encoding that Python knows, as "
        "utf-8 or cp1252, found 'klingon'"
    ),
    "evaluation={words: 4}": (
        "settings: evaluation.short_words: should be at most words, 4, found 5"
    ),
    "evaluation.share=0": "settings: evaluation.share: should be above 0, found 0",
    "discovery.dimensions=16": "settings: discovery.dimensions: should be at most 15, found 16",
    "discovery={selection: separating, candidates: 10}": (
        "settings: discovery.candidates: 10 are fewer than dimensions, 15: set as many or "
        "more, or selection: paper"
    ),
    "discovery.seed=x": "settings: discovery.seed: should be a whole number, found 'x'",
    "grouping.seed=9223372036854775808": "settings: grouping.seed: should fit in 64 bits",
    "grouping.mapping={a: b c}": (
        "settings: grouping.mapping.a: should be 1 to 64 of a to z, 0 to 9 and _, found 'b c'"
    ),
    "judge.kind=openai": (
        "settings: judge.model: is needed with kind: openai\n"
        "settings: judge.url: is needed with kind: openai, usually ending in /v1"
    ),
    "judge={kind: bedrock, model: m, seed: 1}": (
        "settings: judge.seed: bedrock knows none; leave it out"
    ),
    "judge={kind: openai, model: m, url: 'https://judge.example/v1'}": (
        "settings: judge.url: host judge.example is not in hosts (none); list it if it is meant"
    ),
    "judge={kind: openai, model: m, url: 'http://judge.example/v1', hosts: [judge.example]}": (
        "settings: judge.url: judge.example is asked over https only; http is for loopback"
    ),
    "judge.secret=the-key": (
        "settings: judge.secret: should be env:NAME (in capitals), databricks:SCOPE/KEY, "
        "or none for a server without a key; never the key itself"
    ),
    "judge.parameters={max_tokens: null}": (
        "settings: judge.parameters.max_tokens: should not be null, it bounds what a call costs"
    ),
    "judge.prices={m: {input: -1, output: 2, read_on: today}}": (
        "settings: judge.prices.m.input: should be at least 0, found -1\n"
        "settings: judge.prices.m.read_on: should be a date, e.g. 2026-11-01"
    ),
    "judge.timeout_s=2 minutes": "settings: judge.timeout_s: should be a number",
    "judge.budget.per_run.usd=ten": "settings: judge.budget.per_run.usd: should be a number",
    "embedder.kind=encoder": (
        "settings: embedder.model: is needed with kind: encoder, a folder or a hub id"
    ),
    "distillation.kind=encoder": (
        "settings: distillation.encoder.model: is needed with kind: encoder, a folder or a hub id"
    ),
    "distillation.kind=served": (
        "settings: distillation.served.model: is needed with kind: served, the server's "
        "name for it\n"
        "settings: distillation.served.url: should read https://HOST[:PORT]/PATH in plain "
        "characters, the host in lower case, without user, password, query or fragment"
    ),
    "distillation.linear.bits=32": (
        "settings: distillation.linear.bits: should be at most 24, found 32"
    ),
    "registry.tracking_uri=https://ada:hunter2@mlflow.example": (
        "settings: registry.tracking_uri: a key or password is never put into settings; "
        "set it in the environment (MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
        "PGPASSWORD)"
    ),
    "baselines.perplexity={}": (
        "settings: baselines.perplexity.target: either it (for n-grams) or model is "
        "needed, and not both"
    ),
    "scoring.max_quarantined=.nan": (
        "settings: scoring.max_quarantined: should be at most 1, found nan"
    ),
    "plan.tokens_per_second={lineer: 5}": (
        "settings: plan.tokens_per_second.lineer: should be 'linear', 'encoder', "
        "'generative' or 'served', found 'lineer'"
    ),
}
"""What --set is given, and what is said of it."""


@pytest.mark.parametrize("override", SETTINGS)
def test_what_is_said_of_a_setting_is_what_is_written_here(override: str) -> None:
    assert message(lambda: load(None, [override])) == SETTINGS[override]
