# Databricks notebook source
# MAGIC %md
# MAGIC # Looking into the scores, in SQL
# MAGIC
# MAGIC Every document has a row that says what it was scored, by which student, and whether it is
# MAGIC in. Nothing but SQL over views is needed to read it. Run it as `01_explore_corpus.py` is
# MAGIC run.

# COMMAND ----------

import plotly.express as px

from mira_spark.cli.notebook import open_notebook

notebook = open_notebook(globals())

# COMMAND ----------

# MAGIC %md
# MAGIC ## In or out, and why
# MAGIC The view `decisions` has a row per document. Its reasons, counted:

# COMMAND ----------

reasons = notebook.sql("""
    SELECT source, is_in, reason, count(*) AS documents, sum(n_tokens) AS tokens
    FROM decisions GROUP BY source, is_in, reason ORDER BY source, documents DESC
""")
notebook.show(reasons)

# COMMAND ----------

# MAGIC %md
# MAGIC ## The documents at the cut
# MAGIC Read some on both sides. If you cannot tell which side they are on, the cut is fine and the
# MAGIC budget is what decides; if you can and it is wrong, the rubric is what to mend.

# COMMAND ----------

near = notebook.sql("""
    SELECT source, is_in, from_cut / 1000 AS points_from_cut, n_tokens, doc_id, beginning
    FROM near_cut ORDER BY abs(from_cut), doc_id LIMIT 20
""")
notebook.show(near)

# COMMAND ----------

# MAGIC %md
# MAGIC ## What a source is good and bad at
# MAGIC The mean of every dimension by source, from `dimension_scores_long`. A dimension that does
# MAGIC not apply to a document has no score in it, and does not count here.

# COMMAND ----------

means = notebook.sql("""
    SELECT source_group, source, dimension, round(avg(score) / 1000, 2) AS mean,
           count(score) AS documents
    FROM dimension_scores_long GROUP BY source_group, source, dimension
    ORDER BY source_group, source, dimension
""").toPandas()
for group, rows in means.groupby("source_group"):
    table = rows.pivot(index="source", columns="dimension", values="mean")
    heatmap = px.imshow(table, zmin=0, zmax=10, color_continuous_scale="Blues", aspect="auto")
    heatmap.update_layout(title=f"{group}: mean score by source and dimension")
    notebook.plot(heatmap, f"dimensions_{group}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Is it about quality, or about length?
# MAGIC A quality that follows the logarithm of the length within a source keeps what is long. From
# MAGIC 0.5 or below -0.5 the report warns.

# COMMAND ----------

length = notebook.sql("""
    SELECT source, count(*) AS documents, round(corr(quality, ln(n_tokens + 1)), 2) AS with_length
    FROM scored_documents WHERE status = 'scored' GROUP BY source ORDER BY source
""")
notebook.show(length)

# COMMAND ----------

# MAGIC %md
# MAGIC ## The distribution of each source
# MAGIC Half points; the cut of the latest selection is in `latest_cutoffs`.

# COMMAND ----------

histogram = notebook.sql("""
    SELECT source, quality div 500 / 2 AS points, count(*) AS documents
    FROM scored_documents WHERE status = 'scored' GROUP BY ALL ORDER BY source, points
""").toPandas()
bars = px.bar(histogram, x="points", y="documents", color="source", facet_row="source")
notebook.plot(bars.update_layout(title="Documents by quality", showlegend=False), "histograms")
