# Databricks notebook source
# MAGIC %md
# MAGIC # Reading, editing and signing the rubrics
# MAGIC
# MAGIC A rubric is what "good" means for a group of sources; everything after it follows it. Half
# MAGIC an hour here is worth more than a day of labelling. Run it as `01_explore_corpus.py` is run.

# COMMAND ----------

import plotly.express as px

from mira_spark.cli.notebook import open_notebook
from mira_spark.cli.rubric_review import rubric_audits, rubrics_yaml

notebook = open_notebook(globals())

# COMMAND ----------

# MAGIC %md
# MAGIC ## What each dimension is, and where it came from
# MAGIC The definition is in the judge's own words about the document it was found in. The share
# MAGIC says in how many of the documents shown it was named; a small one is a dimension of few.

# COMMAND ----------

anchors = notebook.sql("""
    SELECT source_group, slot, name, definition, round(document_share, 2) AS share,
           round(spread, 2) AS spread, anchor_doc_id, approved_by
    FROM rubrics WHERE rubric_id IN (
        SELECT max_by(rubric_id, approved_at) FROM rubrics
        WHERE status = 'approved' GROUP BY source_group) AND status = 'approved'
    ORDER BY source_group, slot
""")
notebook.show(anchors)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Does it tell documents apart?
# MAGIC The audit looks at the judge's scores. A dimension that hardly varies within a source moves
# MAGIC nothing; two that go together are one dimension counted twice. The effective number says how
# MAGIC many independent ones the rubric is worth.

# COMMAND ----------

audits = rubric_audits(notebook.lake, notebook.settings)
for audit in audits:
    print(
        f"{audit.source_group}: {len(audit.slots)} dimensions, worth "
        f"{audit.effective_dimensions:.1f} independent ones, by {audit.documents:,} documents"
    )
    for warning in audit.warnings:
        print(f"  {warning}")
    names = [f"{each.slot} {each.name}" for each in audit.slots]
    heatmap = px.imshow(
        audit.correlations, x=names, y=names, zmin=-1, zmax=1, color_continuous_scale="RdBu"
    )
    heatmap.update_layout(title=f"{audit.source_group}: correlations within sources")
    notebook.plot(heatmap, f"redundancy_{audit.source_group}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## What did not become a dimension
# MAGIC Candidates that were named and not taken stay in the table with the reason. One that is
# MAGIC missed can be put back by hand.

# COMMAND ----------

candidates = notebook.sql("""
    SELECT source_group, name, reason, round(spread, 2) AS spread, round(agreement, 2) AS agreement
    FROM rubrics WHERE status = 'candidate' ORDER BY source_group, name
""")
notebook.show(candidates)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Edit, take in, sign
# MAGIC The file holds every rubric with its evidence. Change names, definitions and weights, remove
# MAGIC dimensions or add some. Nothing is asked or labelled anew before a person signs:
# MAGIC
# MAGIC ```
# MAGIC mira rubrics import rubrics.yaml
# MAGIC mira rubrics approve --by "your name"
# MAGIC mira run
# MAGIC ```

# COMMAND ----------

file = notebook.file("rubrics.yaml")
file.write_text(rubrics_yaml(notebook.lake, notebook.settings), encoding="utf-8")
print(f"the rubrics are in {file}")
