"""What EMR is asked for to start a job: Spark's settings, and the request of each place.

Delta's jars are those of the release's image; tables are in the Glue catalog.
"""

import json
from collections.abc import Mapping
from typing import Any

from mira_spark.errors import ConfigError
from mira_spark.settings.emr import EksSettings, EmrSettings, NewCluster, ServerlessSettings

_JARS = ("delta-spark.jar", "delta-storage.jar")
_FOLDER_OF_JARS = {
    "ec2": "/usr/share/aws/delta/lib/",
    "serverless": "/usr/share/aws/delta/lib/",
    "eks": "local:///usr/share/aws/delta/lib/",
}
_DRIVER_ENVIRONMENT = {
    "ec2": "spark.yarn.appMasterEnv",
    "serverless": "spark.emr-serverless.driverEnv",
    "eks": "spark.kubernetes.driverEnv",
}
_PYTHON = "./environment/bin/python"
_SCRIPT_IN_IMAGE = "/opt/mira/gpu_discovery.sh"
"""On EKS, where the files of a job have no right to be run."""
_TABLES = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.catalogImplementation": "hive",
    "spark.hadoop.hive.metastore.client.factory.class": (
        "com.amazonaws.glue.catalog.metastore.AWSGlueDataCatalogHiveClientFactory"
    ),
}


def spark_conf(settings: EmrSettings, uris: Mapping[str, str]) -> dict[str, str]:
    """All that Spark is told, in the order of names; `uris` are those of `emr_files.upload`."""
    files = [uris["settings"]]
    if settings.has_gpus and settings.on == "ec2":
        files.append(uris["gpu_discovery"])
    conf = {
        **_TABLES,
        "spark.sql.warehouse.dir": settings.warehouse,
        "spark.jars": ",".join(f"{_FOLDER_OF_JARS[settings.on]}{jar}" for jar in _JARS),
        "spark.submit.pyFiles": uris["package"],
        "spark.files": ",".join(files),
        **_sizes(settings),
        **_gpus(settings),
    }
    if "environment" in uris:
        driver = _DRIVER_ENVIRONMENT[settings.on]
        conf["spark.archives"] = f"{uris['environment']}#environment"
        conf[f"{driver}.PYSPARK_PYTHON"] = conf["spark.executorEnv.PYSPARK_PYTHON"] = _PYTHON
        conf[f"{driver}.PYSPARK_DRIVER_PYTHON"] = _PYTHON
    if settings.on == "ec2":  # a program that ended is not to be tried again by YARN
        conf["spark.yarn.maxAppAttempts"] = "1"
    if isinstance(settings.place, EksSettings) and settings.place.image:
        conf["spark.kubernetes.container.image"] = settings.place.image
    return dict(sorted((conf | settings.spark_conf).items()))


def program_arguments(settings: EmrSettings) -> list[str]:
    """Of the program; the file of settings lies in the driver's own folder."""
    return ["--config", settings.settings.name, *settings.arguments]


def step(settings: EmrSettings, uris: Mapping[str, str]) -> dict[str, Any]:
    """A step of a cluster on EC2: spark-submit, the driver on one of the workers."""
    conf = [word for pair in spark_conf(settings, uris).items() for word in ("--conf", _set(pair))]
    submit = ["spark-submit", "--deploy-mode", "cluster", *conf, uris["program"]]
    return {
        "Name": job_name(settings),
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {
            "Jar": "command-runner.jar",
            "Args": [*submit, *program_arguments(settings)],
        },
    }


def job_flow(settings: EmrSettings, new: NewCluster, uris: Mapping[str, str]) -> dict[str, Any]:
    """A cluster that runs the step and ends."""
    groups = [("MASTER", new.primary, 1), ("CORE", new.workers, new.worker_count)]
    request = {
        "Name": job_name(settings),
        "LogUri": f"{settings.logs}/",
        "ReleaseLabel": new.release,
        "Applications": [{"Name": "Spark"}],
        "ServiceRole": new.service_role,
        "JobFlowRole": new.instance_profile,
        "VisibleToAllUsers": True,
        "Instances": {
            "Ec2SubnetId": new.subnet,
            "KeepJobFlowAliveWhenNoSteps": False,
            "InstanceGroups": [
                {"InstanceRole": role, "InstanceType": kind, "InstanceCount": count}
                for role, kind, count in groups
            ],
        },
        "Configurations": _configurations(new),
        "Steps": [step(settings, uris)],
    }
    if "bootstrap" in uris:
        action = {"Name": "bootstrap", "ScriptBootstrapAction": {"Path": uris["bootstrap"]}}
        request["BootstrapActions"] = [action]
    return request


def serverless_run(
    settings: EmrSettings, place: ServerlessSettings, uris: Mapping[str, str]
) -> dict[str, Any]:
    """A job run of EMR Serverless."""
    return {
        "name": job_name(settings),
        "applicationId": place.application,
        "executionRoleArn": place.role,
        "jobDriver": {"sparkSubmit": _entry_point(settings, uris)},
        "configurationOverrides": _overrides(settings, uris),
    }


def eks_run(settings: EmrSettings, place: EksSettings, uris: Mapping[str, str]) -> dict[str, Any]:
    """A job run of EMR on EKS."""
    return {
        "name": job_name(settings),
        "virtualClusterId": place.virtual_cluster,
        "releaseLabel": place.release,
        "executionRoleArn": place.role,
        "jobDriver": {"sparkSubmitJobDriver": _entry_point(settings, uris)},
        "configurationOverrides": _overrides(settings, uris),
    }


def job_name(settings: EmrSettings) -> str:
    """What a job is called where EMR lists it."""
    return f"mira_{settings.program.stem}"


def _sizes(settings: EmrSettings) -> dict[str, str]:
    driver, executors = settings.driver, settings.executors
    return {
        "spark.dynamicAllocation.enabled": "false",
        "spark.driver.cores": str(driver.cores),
        "spark.driver.memory": driver.memory,
        "spark.executor.instances": str(executors.instances),
        "spark.executor.cores": str(executors.cores),
        "spark.executor.memory": executors.memory,
        "spark.executor.memoryOverhead": executors.overhead,
    }


def _gpus(settings: EmrSettings) -> dict[str, str]:
    """Each of an executor's cores has its share of the GPU, so that steps without it use them all;
    `scoring.gpus_per_task` asks for more where it is used."""
    script = f"./{settings.gpu_discovery.name}" if settings.on == "ec2" else _SCRIPT_IN_IMAGE
    conf = {}
    for owner, gpus in (("driver", settings.driver.gpus), ("executor", settings.executors.gpus)):
        if gpus:
            conf[f"spark.{owner}.resource.gpu.amount"] = str(gpus)
            conf[f"spark.{owner}.resource.gpu.discoveryScript"] = script
            if settings.on == "eks":
                conf[f"spark.{owner}.resource.gpu.vendor"] = "nvidia.com"
    if settings.executors.gpus:
        share = 10_000 // settings.executors.cores / 10_000  # not above: all cores are to fit
        conf["spark.task.resource.gpu.amount"] = str(share)
    return conf


def _entry_point(settings: EmrSettings, uris: Mapping[str, str]) -> dict[str, Any]:
    return {"entryPoint": uris["program"], "entryPointArguments": program_arguments(settings)}


def _overrides(settings: EmrSettings, uris: Mapping[str, str]) -> dict[str, Any]:
    return {
        "applicationConfiguration": [
            {"classification": "spark-defaults", "properties": spark_conf(settings, uris)}
        ],
        "monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": f"{settings.logs}/"}},
    }


def _configurations(new: NewCluster) -> list[dict[str, Any]]:
    """EMR's classifications from the file; ConfigError when it holds something else."""
    if new.configurations is None:
        return []
    where = f"ec2.create.configurations: {new.configurations}"
    try:
        found = json.loads(new.configurations.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{where}: is not JSON: {error}") from None
    if not isinstance(found, list) or not all(
        isinstance(each, dict) and "Classification" in each for each in found
    ):
        raise ConfigError(f"{where}: should be a list of mappings with a Classification each")
    return found


def _set(pair: tuple[str, str]) -> str:
    return "=".join(pair)
