"""Trains an encoder student: heads on a frozen encoder, or the whole of it.

Legend: D labelled documents, H the encoder's width, S slots. Targets are standardised by slot; a
source of n rows counts as much as sqrt(n) rows, as for the linear student.
"""

import torch

from mira_spark.distillation import fine_tuning, frozen_heads, pretrained
from mira_spark.distillation.checkpoints import AfterEpoch
from mira_spark.distillation.shards import Labelled
from mira_spark.lake.storage import Root
from mira_spark.settings.students import EncoderSettings
from mira_spark.students import architecture, encoder, windows
from mira_spark.students.configs import EncoderConfig
from mira_spark.students.encoder import EncoderStudent


def train_encoder(
    labelled: Labelled,
    slots: int,
    settings: EncoderSettings,
    checkpoints: Root,
    after_epoch: AfterEpoch | None = None,
) -> EncoderStudent:
    """The student of the labelled rows.

    A training that was interrupted goes on from its last epoch in `checkpoints`. `after_epoch` gets
    each epoch's number and its loss on the tenth of the rows kept aside. Raises ArtefactError when
    there is no such encoder, InputError when there is no row to train on or no epoch had a finite
    loss.
    """
    student = untrained(slots, settings)
    if settings.frozen:
        return frozen_heads.train_parts(student, labelled.with_rows(), [])[0]
    return fine_tuning.fine_tune(student, labelled, settings, checkpoints, after_epoch)


def untrained(slots: int, settings: EncoderSettings) -> EncoderStudent:
    """The encoder as its makers left it, with heads of zeros; ArtefactError when there is none."""
    model = pretrained.model(settings.model, "encoder", 1 if settings.frozen else 4)
    tokenizer = pretrained.tokenizer(settings.model)
    most = min(settings.max_tokens, pretrained.most_tokens(model))
    config = EncoderConfig(
        kind="encoder",
        slots=slots,
        max_tokens=most,
        architecture=architecture.described(model),
    )
    width = architecture.width(config.architecture, "encoder")
    return encoder.placed(
        EncoderStudent(
            config,
            model.eval(),
            tokenizer,
            windows.reader(tokenizer, most),
            torch.zeros((slots, width)),
            torch.zeros(slots),
        )
    )
