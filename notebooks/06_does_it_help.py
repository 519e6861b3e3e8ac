# Databricks notebook source
# MAGIC %md
# MAGIC # Does it help?
# MAGIC
# MAGIC A quality is worth something when it finds what is spoilt, when selecting by it gains what
# MAGIC the judge values, and when simpler scores gain less. All on documents that no student learnt
# MAGIC from. What a model learns from the selection is not measured here: that takes a training
# MAGIC run. Run it as `01_explore_corpus.py` is run.

# COMMAND ----------

import plotly.express as px

from mira_spark.cli.notebook import open_notebook

notebook = open_notebook(globals())

# COMMAND ----------

# MAGIC %md
# MAGIC ## Planted noise
# MAGIC Copies of held-out documents were spoilt: sentences shuffled, another document's text put
# MAGIC in, and so on. The AUC is how often the document is above its copy: 1 always, 0.5 by chance.
# MAGIC Bars that reach 0.5 are no proof.

# COMMAND ----------

noise = notebook.sql("""
    SELECT s.source_group, n.kind, n.pairs, n.auc, n.auc_low, n.auc_high
    FROM noise_checks n JOIN students s USING (student_id)
    WHERE n.source IS NULL AND n.student_id IN (SELECT student_id FROM latest_cutoffs)
    ORDER BY source_group, kind
""")
notebook.show(noise)
points = noise.toPandas()
scatter = px.scatter(
    points,
    x="auc",
    y="kind",
    color="source_group",
    error_x=points["auc_high"] - points["auc"],
    error_x_minus=points["auc"] - points["auc_low"],
)
scatter.add_vline(0.5, line_dash="dot")
notebook.plot(scatter.update_layout(title="Documents above their spoilt copies"), "planted_noise")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The gain, beside simpler scores
# MAGIC What keeping 40 % of the tokens gains in the judge's verdict over keeping all, as a share of
# MAGIC what keeping by the verdict itself would gain. `length` is how long a document is;
# MAGIC `tfidf_ridge` a ridge regression on words; `judge_reversed` is the judge asked again with
# MAGIC its rubric reversed, as good as one can hope for.

# COMMAND ----------

gains = notebook.sql("""
    SELECT s.source_group, f.predictor, f.rows, round(f.value, 3) AS gain,
           round(f.low, 3) AS low, round(f.high, 3) AS high
    FROM student_figures f JOIN students s USING (student_id)
    WHERE f.source IS NULL AND f.figure = 'gain_40'
      AND f.student_id IN (SELECT student_id FROM latest_cutoffs)
    ORDER BY source_group, gain DESC
""")
notebook.show(gains)
bars = px.bar(gains.toPandas(), x="source_group", y="gain", color="predictor", barmode="group")
notebook.plot(bars.update_layout(title="Gain in verdict at 40 % of the tokens"), "gains")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Can the judge be relied on?
# MAGIC Its agreement with itself: asked a second time, and with the rubric reversed. A student
# MAGIC cannot be better than what it learnt from.

# COMMAND ----------

agreement = notebook.sql("""
    SELECT source_group, kind, count(*) AS dimensions, round(avg(kappa), 2) AS mean_kappa,
           round(min(kappa), 2) AS lowest, round(avg(mae), 2) AS mean_error
    FROM judge_agreement GROUP BY source_group, kind ORDER BY source_group, kind
""")
notebook.show(agreement)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Would more labels help?
# MAGIC What twice the labels would add to the gain, from the learning curve of each student. Where
# MAGIC it is near nothing, better labels help more than more of them.

# COMMAND ----------

curve = notebook.sql("""
    SELECT source_group, labels, held_out_rows, round(gain_40, 3) AS gain,
           round(next_doubling, 3) AS next_doubling, gate
    FROM students WHERE student_id IN (SELECT student_id FROM latest_cutoffs)
    ORDER BY source_group
""")
notebook.show(curve)
