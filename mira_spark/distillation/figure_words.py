"""What figures and predictors are called where people read them."""

from mira_spark.distillation.figures import (
    BETWEEN,
    GAIN,
    LENGTH,
    REVERSED,
    SPEARMAN,
    STUDENT,
    TOKEN_SHARES,
    VERDICT,
    WITHIN,
)
from mira_spark.distillation.references import BY_LENGTH, SOURCE_MEAN, TFIDF_RIDGE

FIGURES = {
    SPEARMAN: "Spearman with the verdict",
    WITHIN: "the same within source",
    **{GAIN.format(100 * share): f"gain at {share:.0%} of the tokens" for share in TOKEN_SHARES},
    BETWEEN: "variance between sources",
    LENGTH: "correlation with length within source",
}
"""Figure to its words, in the order in which they are shown."""
PREDICTORS = {
    STUDENT: "student",
    SOURCE_MEAN: "source's mean",
    BY_LENGTH: "length",
    TFIDF_RIDGE: "TF-IDF",
    REVERSED: "judge, reversed",
    VERDICT: "the verdict",
}
"""Who predicts, as above."""
