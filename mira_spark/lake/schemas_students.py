"""The tables of the students: versions, reliability, figures, predictions, noise checks."""

from pyspark.sql.types import ArrayType

from mira_spark.lake.columns import (
    BOOLEAN,
    DOC_ID,
    DOUBLE,
    GROUP,
    LABELLING_ID,
    LONG,
    NULL,
    RUBRIC_ID,
    RUN_ID,
    SHORT,
    SLOT,
    SOURCE,
    STRING,
    STUDENT_ID,
    TIMESTAMP,
    Table,
    columns,
)

STUDENT_TABLES: dict[str, Table] = {
    "students": Table(
        "the distilled scorers, one row per registered version",
        columns(
            STUDENT_ID,
            GROUP,
            RUBRIC_ID,
            LABELLING_ID,
            ("kind", STRING, "linear, encoder, generative or served"),
            ("rule", STRING, "how its scores become one quality: shrunk or paper"),
            ("dimensions", ArrayType(STRING, False), "the names of its outputs, slot order"),
            ("artefact_uri", STRING, "path or URI of the folder that executors read it from"),
            ("artefact_sha256", STRING, "digest of its manifest.json, checked before loading"),
            ("weights_sha256", STRING, "digest of model.safetensors"),
            ("labels_version", LONG, "version of labels it was trained on"),
            ("labels", LONG, "labels there were of its group"),
            ("held_out_rows", LONG, "labels it, or one of its making, did not learn from"),
            ("spearman", DOUBLE, "of its quality with the judge's verdict, held-out rows", NULL),
            ("spearman_within_source", DOUBLE, "the same within source, mean by rows", NULL),
            (
                "gain_40",
                DOUBLE,
                "gain in verdict at 40 % of the tokens; the judge's own is 1",
                NULL,
            ),
            ("next_doubling", DOUBLE, "what twice the labels would add to that gain", NULL),
            ("borrowed_from", STRING, "the student of another group that this one is", NULL),
            (
                "gate",
                STRING,
                "passed, failed, borrowed (from another group, as labels were few), or forced: a "
                "person made it champion all the same",
            ),
            ("gate_reasons", ArrayType(STRING, False), "what the gate found"),
            ("created_at", TIMESTAMP, "when it was registered"),
            (
                "champion_since",
                TIMESTAMP,
                "when it was last made champion: MLflow's alias says who is now, and where MLflow "
                "names none it is the latest",
                NULL,
            ),
        ),
    ),
    "student_reliability": Table(
        "how far a student can be trusted, one row per student, source and slot",
        columns(
            STUDENT_ID,
            ("source", STRING, "the source; null: all sources of the group together", NULL),
            SLOT,
            ("rows", LONG, "held-out rows with a score of the judge"),
            ("nulls", LONG, "held-out rows to which the judge gave none"),
            ("applies", BOOLEAN, "whether the judge scored it in at least half of them"),
            ("judged_mean", DOUBLE, "mean score of the judge, drawn to the group's; points", NULL),
            ("mean_prediction", DOUBLE, "mean calibrated score of the student, points", NULL),
            ("slope", DOUBLE, "how far the judge moves where the student does, 0 to 1.5"),
            ("weight", DOUBLE, "of the slot in the rubric"),
            ("mae", DOUBLE, "mean absolute error against the judge, points of 0-10", NULL),
            ("spearman", DOUBLE, "rank correlation with the judge; null when constant", NULL),
            ("spearman_low", DOUBLE, "lower end of its 95 % interval", NULL),
            ("spearman_high", DOUBLE, "upper end of its 95 % interval", NULL),
            ("ceiling", DOUBLE, "the judge with itself, rubric reversed; null below 10 rows", NULL),
            ("counts", BOOLEAN, "whether it counts in the quality of the source"),
            ("reason", STRING, "why it counts, or why not"),
        ),
    ),
    "student_figures": Table(
        "how well qualities agree with the judge's verdict, one row per student, predictor, figure "
        "and source",
        columns(
            STUDENT_ID,
            ("predictor", STRING, "student, a reference, judge_reversed, or verdict itself"),
            ("figure", STRING, "spearman, gain_40, ...: mira_spark/distillation/figures.py"),
            ("source", STRING, "the source; null: all sources of the group together", NULL),
            ("rows", LONG, "held-out rows it was measured on"),
            ("value", DOUBLE, "the figure; null where undefined", NULL),
            ("low", DOUBLE, "lower end of its 95 % interval over domains", NULL),
            ("high", DOUBLE, "upper end of its 95 % interval over domains", NULL),
        ),
    ),
    "student_predictions": Table(
        "the quality that a student of the same making gives a label it did not learn from, one "
        "row per student and label",
        columns(
            STUDENT_ID,
            DOC_ID,
            SOURCE,
            ("quality", SHORT, "thousandths of a point, 0-10000; null: no slot counts", NULL),
            ("verdict", DOUBLE, "the judge's own, points; null: it answered nothing", NULL),
        ),
    ),
    "noise_checks": Table(
        "how often a student scores documents above spoilt copies of them, one row per student, "
        "source and kind of spoiling",
        columns(
            STUDENT_ID,
            ("source", STRING, "the source; null: all sources of the group together", NULL),
            ("kind", STRING, "how the copies were spoilt; all: the mean over the kinds"),
            ("pairs", LONG, "documents with a copy, where both have a quality"),
            ("auc", DOUBLE, "share of pairs with the document above, ties half; 0.5: chance", NULL),
            ("auc_low", DOUBLE, "lower end of its 95 % interval; null below two pairs", NULL),
            ("auc_high", DOUBLE, "upper end of its 95 % interval; null below two pairs", NULL),
            RUN_ID,
            ("checked_at", TIMESTAMP, "when the copies were scored"),
        ),
    ),
}
