# Databricks notebook source
# MAGIC %md
# MAGIC # A corpus, its rubrics, its scores, and what a selection kept
# MAGIC
# MAGIC A walk through the tables that `make demo` leaves. After it, run this with
# MAGIC
# MAGIC ```
# MAGIC .venv/bin/python notebooks/01_explore_corpus.py .mira/demo.yaml
# MAGIC ```
# MAGIC
# MAGIC Arguments are a settings file and `key=value` over it. On Databricks the widget has them.

# COMMAND ----------

import plotly.express as px
import plotly.graph_objects as go

from mira_spark.cli.notebook import open_notebook

notebook = open_notebook(globals())

# COMMAND ----------

# MAGIC %md
# MAGIC ## The corpus by group and source
# MAGIC Sources were grouped by what their documents say. The cosine of the nearest other source
# MAGIC tells how alike the two are: at 1 they hold the same.

# COMMAND ----------

notebook.show(
    notebook.sql("""
        SELECT source_group, source, count(*) AS documents, sum(n_tokens) AS tokens,
               any_value(nearest_source) AS nearest, round(any_value(nearest_cosine), 2) AS cosine
        FROM corpus JOIN (
            SELECT source, max_by(nearest_source, created_at) AS nearest_source,
                   max_by(nearest_cosine, created_at) AS nearest_cosine
            FROM source_groups GROUP BY source) USING (source)
        GROUP BY source_group, source ORDER BY source_group, tokens DESC
    """)
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## The rubrics side by side
# MAGIC What the judge named as quality in each group, the most often named first. Where the columns
# MAGIC differ is why every group has a rubric of its own.

# COMMAND ----------

ranked = notebook.sql("""
    SELECT source_group, name,
           row_number() OVER (PARTITION BY source_group ORDER BY document_share DESC, slot) AS place
    FROM rubrics WHERE rubric_id IN (
        SELECT max_by(rubric_id, approved_at) FROM rubrics
        WHERE status = 'approved' GROUP BY source_group)
""")
notebook.show(ranked.groupBy("place").pivot("source_group").agg({"name": "first"}).orderBy("place"))

# COMMAND ----------

# MAGIC %md
# MAGIC ## The scores and their spread
# MAGIC Qualities are stored in thousandths of a point; here they are points. Where a box is narrow,
# MAGIC the cut decides between documents that are nearly alike.

# COMMAND ----------

spread = notebook.sql("""
    SELECT source,
           transform(percentile(quality, array(0.1, 0.25, 0.5, 0.75, 0.9)), q -> q / 1000) AS points
    FROM scored_documents WHERE status = 'scored'
    GROUP BY source_group, source ORDER BY source_group, source
""").toPandas()
low, q1, median, q3, high = zip(*spread["points"], strict=True)
box = go.Box(x=spread["source"], lowerfence=low, q1=q1, median=median, q3=q3, upperfence=high)
figure = go.Figure(box).update_layout(title="Quality by source: 10, 25, 50, 75 and 90 %")
notebook.plot(figure.update_yaxes(title="points of 0-10"), "quality_by_source")

# COMMAND ----------

# MAGIC %md
# MAGIC ## What the selection kept
# MAGIC Each group had its share of the budget; inside it the sources competed. `selected` is the
# MAGIC view to train from.

# COMMAND ----------

kept = notebook.sql("""
    SELECT source_group, source, kept_documents, kept_tokens, quality_cut / 1000 AS cut,
           round(kept_tokens / total_tokens, 3) AS share_of_tokens
    FROM selection_cutoffs WHERE selection_id = (
        SELECT max_by(selection_id, created_at) FROM selections)
    ORDER BY source_group, source
""")
notebook.show(kept)
best = notebook.lake.read("selected").selectExpr("source", "quality / 1000 AS quality", "doc_id")
notebook.show(best.orderBy("quality", "doc_id", ascending=[False, True]).limit(10))
bars = px.bar(kept.toPandas(), x="source", y="share_of_tokens", color="source_group")
notebook.plot(
    bars.update_layout(title="Share of each source's tokens that is kept"), "kept_by_source"
)
