"""What `mira emr` starts, and where: a file like conf/emr/cluster.yaml."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from mira_spark.errors import ConfigError, joined
from mira_spark.settings import yaml_files
from mira_spark.settings.problems import problem_lines
from mira_spark.settings.secrets import holds_key
from mira_spark.settings.types import LocalPath, spelt

_BUCKET, _KEY = "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", r"[\w.=-]+"
_NAMES_A_KEY = re.compile(r"access\.?key|secret|password|token", re.IGNORECASE)


def _s3_prefix(value: str) -> str:
    if not re.fullmatch(f"s3://{_BUCKET}(/{_KEY})*/?", value, re.ASCII):
        raise ValueError("should read s3://BUCKET/PREFIX, of letters, digits and . _ - =")
    return value.rstrip("/")


def _release(value: str) -> str:
    if not re.fullmatch(
        r"emr-spark-([89]|[1-9][0-9]+)\.[0-9]+\.[0-9]+(-[a-z0-9]+)?", value, re.ASCII
    ):
        raise ValueError("should be emr-spark-8.0.0 or later: emr-7 has Spark 3.5")
    return value


def _file(path: Path) -> Path:
    # Its name is part of lists that Spark divides by commas, and of a URI.
    if not re.fullmatch(r"[\w.-]+", path.name, re.ASCII):
        raise ValueError("a file's name should be of letters, digits and . _ -")
    return path


def _spark_value(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


S3Prefix = Annotated[str, AfterValidator(_s3_prefix)]
Release = Annotated[str, AfterValidator(_release)]
UploadedFile = Annotated[LocalPath, AfterValidator(_file)]
SparkValue = Annotated[str, BeforeValidator(_spark_value)]
Role = Annotated[
    str,
    spelt(
        r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+", "arn:aws:iam::ACCOUNT:role/NAME, a role"
    ),
]
RoleName = Annotated[str, spelt(r"[\w+=,.@:/-]+", "the name of a role")]
Memory = Annotated[str, spelt("[1-9][0-9]*g", "a whole number and g, e.g. 8g")]
Identifier = Annotated[str, spelt("[0-9a-z]{1,64}", "an id of 0 to 9 and a to z")]
MachineType = Annotated[str, spelt(r"[a-z0-9-]+\.[a-z0-9-]+", "a machine type, e.g. m6i.xlarge")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DriverSize(_Section):
    """Of the driver: cores, memory of its Java process, GPUs for distillation."""

    cores: int = Field(4, ge=1)
    memory: Memory = "8g"
    gpus: int = Field(0, ge=0, le=1)


class ExecutorSize(_Section):
    """How many executors there are for the whole job, and each one's size; `overhead` is the memory
    outside of Java, where Python and the students are."""

    instances: int = Field(2, ge=1)
    cores: int = Field(4, ge=1)
    memory: Memory = "12g"
    overhead: Memory = "8g"
    gpus: int = Field(0, ge=0, le=1)


class NewCluster(_Section):
    """A cluster that lives for one job: one primary machine and `worker_count` workers.

    `configurations` is a JSON file of EMR's classifications, `bootstrap` a script that each machine
    runs before it starts.
    """

    release: Release
    subnet: Annotated[str, spelt("subnet-[0-9a-f]+", "a subnet's id, subnet-…")]
    service_role: RoleName
    instance_profile: RoleName
    primary: MachineType
    workers: MachineType
    worker_count: int = Field(ge=1)
    configurations: LocalPath | None = None
    bootstrap: UploadedFile | None = None


class Ec2Settings(_Section):
    """EMR on EC2: a running cluster by its id, or one to be created for the job."""

    cluster: Annotated[str, spelt("j-[0-9A-Z]+", "a cluster's id, j-…")] | None = None
    create: NewCluster | None = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.cluster is None) == (self.create is None):
            raise ValueError("cluster: either it (a running one) or create is needed, and not both")
        return self


class ServerlessSettings(_Section):
    """EMR Serverless: the application, which has the release, and the role a job has."""

    application: Identifier
    role: Role


class EksSettings(_Section):
    """EMR on EKS; `image` None: the release's own, which has no GPUs."""

    virtual_cluster: Identifier
    release: Release
    role: Role
    image: Annotated[str, spelt(r"[\w./:@-]+", "the name of an image")] | None = None


class EmrSettings(_Section):
    """One job on EMR: what is uploaded to `uploads`, where its logs and its tables are, its size.

    `settings` are those of the pipeline, `arguments` what else the program gets. What `spark_conf`
    sets goes before what is set for the place.
    """

    on: Literal["ec2", "serverless", "eks"]
    region: Annotated[str, spelt("[a-z]{2}(-[a-z]+)+-[0-9]", "a region, e.g. eu-west-1")]
    uploads: S3Prefix
    logs: S3Prefix
    warehouse: S3Prefix
    program: UploadedFile = Path("jobs/run_pipeline.py")
    settings: UploadedFile
    package: UploadedFile = Path("dist/mira_spark.zip")
    environment: UploadedFile | None = None
    gpu_discovery: UploadedFile = Path("conf/emr/gpu_discovery.sh")
    arguments: tuple[str, ...] = ()
    driver: DriverSize = DriverSize()
    executors: ExecutorSize = ExecutorSize()
    spark_conf: dict[str, SparkValue] = {}
    ec2: Ec2Settings | None = None
    serverless: ServerlessSettings | None = None
    eks: EksSettings | None = None

    @field_validator("spark_conf")
    @classmethod
    def _without_keys(cls, conf: Mapping[str, str]) -> Mapping[str, str]:
        if other := [name for name in conf if not name.startswith("spark.")]:
            raise ValueError(f"{', '.join(other)}: what Spark is told begins with spark.")
        if named := [name for name in conf if _NAMES_A_KEY.search(name)]:
            raise ValueError(f"{', '.join(named)}: a key is never put into a file; use a role")
        return conf

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if getattr(self, self.on) is None:
            raise ValueError(f"{self.on}: is missing, for on is {self.on}")
        if self.has_gpus and self.on == "serverless":
            raise ValueError("gpus: there are none on serverless; use ec2 or eks")
        if self.has_gpus and isinstance(self.place, EksSettings) and self.place.image is None:
            raise ValueError("eks.image: is needed for GPUs: an image with CUDA and the script")
        free = (*self.arguments, *self.spark_conf.values())
        if any(map(holds_key, free)):
            raise ValueError("a key or password is never put into settings; use roles")
        return self

    @property
    def place(self) -> Ec2Settings | ServerlessSettings | EksSettings:
        """The section that `on` names."""
        place: Ec2Settings | ServerlessSettings | EksSettings = getattr(self, self.on)
        return place

    @property
    def has_gpus(self) -> bool:
        """Whether driver or executors ask for GPUs."""
        return self.driver.gpus + self.executors.gpus > 0


def load(path: Path) -> EmrSettings:
    """The settings of a file. ConfigError listing every problem of it at once."""
    document = yaml_files.parse(yaml_files.read(path), str(path))
    if not isinstance(document.value, dict):
        raise ConfigError(f"{path}: should hold settings as conf/emr/cluster.yaml does")
    problems = [f"{path}: line {line}: {what}" for line, what in document.problems]
    try:
        settings = EmrSettings.model_validate(document.value)
    except ValidationError as error:
        problems += [
            f"{path}: {problem}" for problem in problem_lines(error, document.value, EmrSettings)
        ]
    if problems:
        # Not from the error: its own text shows the input, in which somebody may have put a key.
        raise ConfigError(joined(problems))
    return settings
