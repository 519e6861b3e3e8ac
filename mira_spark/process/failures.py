"""What fails outside of us (disks, folders, Java, servers), said in one line with the remedy."""

import errno
import re
from collections.abc import Iterator

from mira_spark.errors import BusyError, ConfigError, MiraError, OutsideError

RESUMABLE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
)
"""What passes when there is room again; another error of the system is one of the settings."""

GO_ON = "what was done is kept, and the same command goes on from here"
KNOWN: tuple[tuple[str, type[MiraError], str], ...] = (
    (
        r"another instance of Derby|XSDB6",
        BusyError,
        "the catalog in the folder is in use by another process: wait until it ends, or give this "
        "one a folder of its own with --set folder=PATH",
    ),
    (
        r"\[DELTA_(CONCURRENT_|METADATA_CHANGED|PROTOCOL_CHANGED)"
        r"|io\.delta\.exceptions\.\w*(Concurrent|Changed)",
        BusyError,
        f"another driver wrote to the same table: wait until it ends; {GO_ON}",
    ),
    (
        r"No space left on device|database or disk is full|Disk quota exceeded",
        OutsideError,
        f"the disk is full: make room; {GO_ON}",
    ),
    (
        r"Exception: .*\.ivy2",
        ConfigError,
        "Spark keeps the jars of Delta below the home folder, which cannot be written: name "
        "another with JAVA_TOOL_OPTIONS=-Duser.home=FOLDER",
    ),
    (
        r"unresolved dependency",
        ConfigError,
        "the jars of Delta are not on this machine and could not be fetched: Spark gets them from "
        "Maven Central once, and needs a network for that",
    ),
    (
        r"DATA_SOURCE_NOT_FOUND\].*: delta\b|Cannot find catalog plugin.*\.sql\.delta\.",
        ConfigError,
        "this Spark has no Delta: add the jars delta-spark and delta-storage that belong to its "
        "version, with spark.sql.extensions and spark.sql.catalog.spark_catalog of Delta",
    ),
    (
        r"(NoSuchMethodError|NoClassDefFoundError): .*\bscala[./]",
        ConfigError,
        "jars for another Scala are on Spark's path: Spark 4 needs those whose names end in _2.13",
    ),
    (
        r"INSUFFICIENT_PERMISSIONS|Insufficient (privileges|Lake Formation permission)"
        r"|is not authorized to perform: (glue|lakeformation):",
        ConfigError,
        "a right in the catalog is missing: let its owner grant what is named here",
    ),
    (
        r"UnknownStoreException|NoSuchBucket|bucket does not exist",
        ConfigError,
        "a bucket of the settings, or of the schema's location, does not exist: make it, or name "
        "another",
    ),
    (
        r"NoAwsCredentialsException|Unable to load credentials from any of the providers",
        ConfigError,
        "no credentials for S3 were found: give the machines a role, or name a provider in "
        "spark.hadoop.fs.s3a.aws.credentials.provider",
    ),
    (
        r"ExpiredToken|token (included in the request )?(has|is) expired",
        OutsideError,
        f"the credentials for the storage have expired: renew them; {GO_ON}",
    ),
    (
        r"Read-only file system|readonly database|Permission denied|AccessDeniedException"
        r"|unable to open database file",
        ConfigError,
        "a file or folder cannot be written: give rights to it, or name another place in the "
        "settings",
    ),
    (
        r"UnsupportedClassVersionError|JAVA_HOME|java: (command )?not found|bin/java: No such",
        ConfigError,
        "Spark needs Java 17 or later: install it, or let JAVA_HOME name it",
    ),
    (
        r"OutOfMemoryError|Cannot allocate memory",
        OutsideError,
        f"Java's memory was full: raise local_memory, or the platform's driver memory; {GO_ON}",
    ),
    (
        r"Answer from Java side is empty|error occurred while trying to connect to the Java server"
        r"|Py4JNetworkError|SparkContext was shut down|methods on a stopped SparkContext",
        OutsideError,
        f"Spark's Java process has ended, perhaps for want of memory; {GO_ON}",
    ),
    (
        r"Java gateway process exited",
        ConfigError,
        "Spark's Java process could not be started: run mira doctor",
    ),
    (
        r"API request to .* failed with exception|Max retries exceeded|Connection refused",
        OutsideError,
        f"a server could not be reached; {GO_ON}",
    ),
)
"""What an error's text says, its class, and what is to be done."""


def explained(error: BaseException) -> MiraError | None:
    """The failure as one line, with what to do about it; None when it is not known, a defect. An
    error of this package is returned as it is."""
    if isinstance(error, MiraError):
        return error
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, OSError) and cause.errno and not isinstance(cause, ConnectionError):
            return _of_the_system(cause)
    for words, kind, remedy in KNOWN:
        for cause in chain:
            for line in _lines(cause):
                if re.search(words, line, re.IGNORECASE):
                    said = line.strip(" :\t")[:300]
                    return kind(f"{remedy} ({said})")
    return None


def _of_the_system(error: OSError) -> MiraError:
    said = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    if error.errno in RESUMABLE:
        return OutsideError(f"{said}; {GO_ON}")
    return ConfigError(f"{said}; mend that, or name another place in the settings")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _lines(error: BaseException) -> list[str]:
    notes = getattr(error, "__notes__", [])
    return [line for text in (str(error), *notes) for line in text.splitlines()]
