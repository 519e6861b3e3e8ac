"""The files of a job on EMR in S3: what is uploaded for it, and the logs it left."""

import gzip
import hashlib
import re
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mira_spark.cli.aws import asking, error_code
from mira_spark.errors import ConfigError, joined
from mira_spark.process.progress import counted, note
from mira_spark.settings.emr import Ec2Settings, EmrSettings

_DIGITS = 16
"""Of a file's SHA-256, in the key it is uploaded to."""
_LONGEST_LINE = 64 * 1024
_MADE_BY = {
    "package": "make dist makes it",
    "environment": "conf/emr/environment.Dockerfile says how it is made",
}


def files_to_upload(settings: EmrSettings) -> dict[str, Path]:
    """The job's local files, by what they are for. ConfigError naming all that are missing."""
    new = settings.place.create if isinstance(settings.place, Ec2Settings) else None
    files = {
        "package": settings.package,
        "program": settings.program,
        "settings": settings.settings,
        "environment": settings.environment,
        "gpu_discovery": settings.gpu_discovery if settings.has_gpus else None,
        "bootstrap": new.bootstrap if new else None,
    }
    named = {purpose: path for purpose, path in files.items() if path is not None}
    problems = [
        f"{purpose}: {path}: there is no such file{'; ' * (purpose in _MADE_BY)}"
        f"{_MADE_BY.get(purpose, '')}"
        for purpose, path in named.items()
        if not path.is_file()
    ]
    if problems:
        raise ConfigError(joined(problems))
    return named


def check_buckets(s3: Any, settings: EmrSettings) -> None:
    """ConfigError for a bucket that does not exist, lies elsewhere or may not be used."""
    named = {"uploads": settings.uploads, "logs": settings.logs, "warehouse": settings.warehouse}
    for setting, uri in named.items():
        bucket, _ = bucket_and_key(uri)
        with asking(f"{setting}: bucket {bucket}"):
            try:
                s3.head_bucket(Bucket=bucket)
            except s3.exceptions.ClientError as error:
                if problem := _BUCKET_PROBLEMS.get(error_code(error)):
                    raise ConfigError(f"{setting}: bucket {bucket} {problem}") from None
                raise


_BUCKET_PROBLEMS = {
    "404": "does not exist: create it, or name another",
    "403": "may not be used with these credentials: they need s3:ListBucket, PutObject, GetObject",
    "301": "lies in another region than the settings say",
}


def upload_uris(prefix: str, files: Mapping[str, Path]) -> dict[str, str]:
    """Where each file belongs beneath `prefix`. The key holds the file's digest: what changed goes
    to another one, so that no job that runs loses its own, and what is there is whole."""
    return {purpose: f"{prefix}/{_digest(path)}/{path.name}" for purpose, path in files.items()}


def upload(s3: Any, files: Mapping[str, Path], uris: Mapping[str, str]) -> None:
    """Put those files to their URIs that are not there."""
    for purpose, path in files.items():
        bucket, key = bucket_and_key(uris[purpose])
        if _exists(s3, bucket, key):
            note(f"  {path}: is in S3 already")
            continue
        with (
            asking(f"uploading {path}"),
            counted(path.stat().st_size, str(path)) as add,
            path.open("rb") as file,
        ):
            s3.upload_fileobj(file, bucket, key, Callback=lambda size, add=add: add(size, "bytes"))
        note(f"  {path}: uploaded to {uris[purpose]}")


def log_keys(s3: Any, prefix: str, pattern: str) -> list[str]:
    """The keys beneath a prefix, a URI, whose rest matches the pattern, in order."""
    bucket, start = bucket_and_key(prefix)
    with asking(f"listing {prefix}"):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{start}/")
        keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
    return [f"s3://{bucket}/{key}" for key in keys if re.search(pattern, key[len(start) :])]


def last_lines(s3: Any, uri: str, most: int) -> list[str]:
    """The last lines of a log, a gzip file, without their ends; a file that is cut short or no gzip
    says so in its last line. Its size does not matter: lines beyond 64 KiB are divided."""
    bucket, key = bucket_and_key(uri)
    lines: deque[str] = deque(maxlen=most)
    with asking(f"reading {uri}"):
        body = s3.get_object(Bucket=bucket, Key=key)["Body"]
        try:
            for line in _lines(gzip.GzipFile(fileobj=body)):
                lines.append(line.decode(errors="replace").rstrip("\r\n"))
        except (EOFError, OSError, zlib.error):
            lines.append("(the file ends here, not as a whole gzip file)")
    return list(lines)


def bucket_and_key(uri: str) -> tuple[str, str]:
    """Of an S3 URI; s3n and s3a are s3."""
    bucket, _, key = re.sub("^s3[an]?://", "", uri).partition("/")
    return bucket, key.rstrip("/")


def _lines(file: gzip.GzipFile) -> Iterator[bytes]:
    return iter(lambda: file.readline(_LONGEST_LINE), b"")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]


def _exists(s3: Any, bucket: str, key: str) -> bool:
    with asking(f"looking for s3://{bucket}/{key}"):
        try:
            s3.head_object(Bucket=bucket, Key=key)
        except s3.exceptions.ClientError as error:
            if error_code(error) == "404":
                return False
            raise
    return True
