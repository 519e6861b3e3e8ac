# Databricks notebook source
# MAGIC %md
# MAGIC # How much to keep, and by which policy
# MAGIC
# MAGIC Every answer here comes from the histogram of the scores, a few thousand rows, so it takes a
# MAGIC second for a thousand documents and for ten billion. Run it as `01_explore_corpus.py` is
# MAGIC run.

# COMMAND ----------

import pandas as pd
import plotly.express as px

from mira_spark.cli.notebook import open_notebook
from mira_spark.cli.what_if import budget_answers

BUDGETS = ",".join(f"{percent}%" for percent in range(5, 65, 5))
POLICIES = "group,global"
notebook = open_notebook(globals())

# COMMAND ----------

# MAGIC %md
# MAGIC ## What each budget would keep
# MAGIC The same rule as a selection's: documents in order of quality until the budget is spent; by
# MAGIC `group` each group has its share of it, by `global` all compete with one another.

# COMMAND ----------

answers, notes = budget_answers(notebook.lake, notebook.settings, BUDGETS, POLICIES, "notebook")
for note in notes:
    print(note)
kept = pd.DataFrame(
    [
        {
            "policy": answer.chosen.policy,
            "budget": answer.budget_tokens,
            "source": line.source,
            "tokens": line.kept.tokens,
            "documents": line.kept.documents,
        }
        for answer in answers
        for line in answer.lines
        if line.source is not None
    ]
)
overall = pd.DataFrame(
    [
        {
            "policy": answer.chosen.policy,
            "budget": answer.budget_tokens,
            "mean_quality": (answer.lines[-1].kept.mean_quality or 0) / 1000,
            "entropy_bits": answer.entropy_bits,
        }
        for answer in answers
    ]
)
print(overall.round(2).to_string(index=False))

# COMMAND ----------

# MAGIC %md
# MAGIC ## The price of a larger budget
# MAGIC Where the line bends down, more tokens begin to cost quality. A policy that lets groups
# MAGIC compete has the higher line, if qualities of different groups mean the same: they come from
# MAGIC different rubrics, so look at the mix before you believe it.

# COMMAND ----------

line = px.line(overall, x="budget", y="mean_quality", color="policy", markers=True)
notebook.plot(
    line.update_layout(title="Mean quality of what is kept, points of 0-10"), "quality_by_budget"
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## The mix
# MAGIC The tokens of every source. A source that vanishes as the budget shrinks is one that the
# MAGIC rubric of its group ranks low: `selection.floors` keeps a part of it whatever happens.

# COMMAND ----------

for policy, rows in kept.groupby("policy"):
    area = px.area(rows, x="budget", y="tokens", color="source", groupnorm="percent")
    title = f"Share of each source in the mix, policy {policy}"
    notebook.plot(area.update_layout(title=title), f"mix_by_budget_{policy}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Against what stands
# MAGIC The latest selection, to compare with.

# COMMAND ----------

standing = notebook.sql("""
    SELECT source_group, source, kept_documents, kept_tokens, quality_cut / 1000 AS cut
    FROM latest_cutoffs ORDER BY source_group, source
""")
notebook.show(standing)
