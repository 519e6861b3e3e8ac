"""The views of a selection: what they select, of which versions."""

from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import reach
from mira_spark.scoring.current_scores import current_scores_query
from mira_spark.selection import order
from mira_spark.selection.choice import Choice

_COLUMNS = ("d.doc_id, d.source, s.source_group, d.text, d.n_bytes, d.n_tokens, s.quality, "
            "d.domain, d.license, d.metadata, d.content_hash")  # fmt: skip
_KEPT = "doc_id, source, source_group, text, n_tokens, quality, content_hash"


def replace_views(lake: Lakehouse, grouping_id: str, choice: Choice) -> None:
    """Make `selected_<name>` and `selected` show the choice, each at once."""
    text, name = view_query(lake, grouping_id, choice), choice.settings.name
    lake.create_view(f"selected_{name}", text, f"the documents of selection {name}")
    reach("view.named")
    lake.create_view("selected", text, f"the documents of selection {name}, the latest made")


def view_query(lake: Lakehouse, grouping_id: str, choice: Choice) -> str:
    """The chosen documents as SQL: by the cuts, or by the list of them where one is kept."""
    chosen, here = choice.settings, f"selection_id = '{choice.selection_id}'"
    listed = f"FROM {lake.name('selected_documents')} WHERE {here}"
    if chosen.materialize == "text":
        return f"SELECT {_KEPT} {listed}"
    documents_version, scores_version = choice.state.versions
    documents = (
        f"JOIN {lake.name('documents')} VERSION AS OF {documents_version} AS d "
        "ON d.doc_id = s.doc_id AND d.content_hash = s.content_hash AND d.source = s.source AND "
        "d.bucket = s.bucket"
    )
    if not chosen.is_predicate:
        return f"SELECT {_COLUMNS} FROM (SELECT * {listed}) AS s {documents}"
    students = choice.state.students.values()
    scores = current_scores_query(lake, grouping_id, students, scores_version, None)
    cutoffs = f"SELECT * FROM {lake.name('selection_cutoffs')} WHERE {here}"
    condition = order.selected_condition(chosen, "s.")
    if contaminated := choice.state.further.get("contaminated"):
        rows = f"{lake.name('contaminated')} VERSION AS OF {contaminated.version} AS x"
        same = "x.doc_id = s.doc_id AND x.content_hash = s.content_hash"
        condition += f" AND NOT EXISTS (SELECT 1 FROM {rows} WHERE {same})"
    return (
        f"SELECT {_COLUMNS} FROM ({scores}) AS s JOIN ({cutoffs}) AS c ON c.source = s.source "
        f"{documents} WHERE {condition}"
    )
