"""A student or baseline as executors need it: where it lies, and the digest it is known by."""

import functools
from dataclasses import dataclass

from mira_spark.lake import storage
from mira_spark.students import artefact
from mira_spark.students.artefact import CONFIG, MANIFEST, Manifest
from mira_spark.students.configs import Config
from mira_spark.students.protocol import USUAL, Batching, Student


@dataclass(frozen=True)
class Scorer:
    """A student: the path or URI of its artefact, and its manifest's digest.

    What reads the artefact raises ArtefactError where a file is missing or another, OutsideError
    where its storage failed.
    """

    student_id: str
    artefact_uri: str
    artefact_sha256: str

    def is_there(self) -> bool:
        """Whether the artefact is where it was laid; its content is not looked at."""
        return storage.has_file(f"{self.artefact_uri}/{MANIFEST}")

    def manifest(self) -> Manifest:
        """What the student was made from and how its scores are read; no weights are fetched."""
        digest = self.artefact_sha256
        with storage.local_copy(self.artefact_uri, digest, (MANIFEST,)) as folder:
            return artefact.read_manifest(folder, digest)

    def student_config(self) -> Config:
        """What kind of student it is; no weights are fetched."""
        digest = self.artefact_sha256
        with storage.local_copy(self.artefact_uri, digest, (MANIFEST, CONFIG)) as folder:
            return artefact.read_config(folder, digest)


@functools.lru_cache(maxsize=16)
def load_student(scorer: Scorer, batching: Batching = USUAL) -> tuple[Student, Manifest]:
    """The student and its manifest, once per worker."""
    with storage.local_copy(scorer.artefact_uri, scorer.artefact_sha256) as folder:
        student, manifest = artefact.load(folder, scorer.artefact_sha256)
    return student.batched(batching), manifest
