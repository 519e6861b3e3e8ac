"""Files below the root folder, wherever it is: a path of this machine or of what is mounted on it,
or object storage by URI, through `pyarrow.fs`. Who reads a folder of them has it as local files.
"""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mira_spark.errors import ArtefactError, ConfigError, MiraError, OutsideError

if TYPE_CHECKING:  # the settings need no pyarrow, which takes a third of a second
    import pyarrow as pa
    from pyarrow import fs

SCHEMES = ("s3", "s3a", "gs", "abfs", "abfss", "hdfs")
CACHE_BYTES = 20 << 30
"""Of copies on one machine; above it those that were used least recently go."""
PART = ".part"
_PIECE = 16 << 20
_URI = re.compile(rf"({'|'.join(SCHEMES)})://")
_REFUSED = re.compile(
    r"AWS Error (?:ACCESS_DENIED|NO_SUCH_BUCKET|INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH"
    r"|UNRECOGNIZED_CLIENT|RESOURCE_NOT_FOUND|BAD_REQUEST)|HTTP status (?:401|403|404)"
    r"|[Ff]orbidden|AuthorizationFailure|AuthenticationFailed|PERMISSION_DENIED|Permission denied"
    r"|Unable to load lib|does not exist|is not found|not built with"
)
"""What no second try mends."""

Root = Path | str
"""A path, or a URI of one of SCHEMES."""


def is_uri(text: str) -> bool:
    """Whether it names a file system by its scheme, not a path of this machine."""
    return _URI.match(text) is not None


def location(root: Root, *names: str) -> str:
    """The absolute path, or the URI, of what has these names below the root."""
    if isinstance(root, Path):
        return str(root.absolute().joinpath(*names))
    return "/".join((root.rstrip("/"), *names))


def has_file(place: str) -> bool:
    """Whether a file is at this path or URI; errors as `write_file`."""
    from pyarrow import fs

    with _as_our_errors(place):
        system, path = _file_system(place)
        return bool(system.get_file_info(path).type == fs.FileType.File)


def write_file(file: Path, place: str) -> None:
    """Copy a local file to this path or URI, in the place of what is there; at a path it is whole
    or not there, whenever this ends.

    ConfigError where the place or the rights are wrong, OutsideError where another try may do.
    """
    with _as_our_errors(place), _new_file(place) as target, file.open("rb") as source:
        shutil.copyfileobj(source, target, _PIECE)


def write_content(content: bytes, place: str) -> None:
    """As `write_file`, of what is in memory."""
    with _as_our_errors(place), _new_file(place) as target:
        target.write(content)


@contextlib.contextmanager
def _new_file(place: str) -> Iterator[BinaryIO]:
    """A file that is at this path or URI when the block ends."""
    if is_uri(place):
        system, path = _file_system(place)
        with system.open_output_stream(path) as stream:
            yield stream
        return
    target = Path(place)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + PART)
    with part.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    part.replace(target)


def remove_file(place: str) -> None:
    """Remove the file at this path or URI; nothing where there is none."""
    with _as_our_errors(place):
        system, path = _file_system(place)
        with contextlib.suppress(FileNotFoundError):
            system.delete_file(path)


def remove_folder(place: str) -> None:
    """Remove the folder at this URI with all that is in it; nothing where there is none."""
    with _as_our_errors(place):
        system, path = _file_system(place)
        with contextlib.suppress(FileNotFoundError):
            system.delete_dir(path)


def read_file(place: str) -> bytes:
    """The file's content; ArtefactError where there is none, other errors as `write_file`."""
    with _as_our_errors(place):
        system, path = _file_system(place)
        with system.open_input_stream(path, compression=None) as file:
            return bytes(file.read())


def fetched_file(place: str, folder: Path) -> Path:
    """The file itself at a path, else a copy in the local folder; errors as `read_file`."""
    if not is_uri(place):
        return Path(place)
    with _as_our_errors(place):
        system, path = _file_system(place)
        copy = folder / "fetched"
        with system.open_input_stream(path, compression=None) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, _PIECE)
    return copy


def file_names(place: str) -> list[str]:
    """The names of the files and folders in the folder at this path or URI, sorted; none where
    there is no folder."""
    from pyarrow import fs

    with _as_our_errors(place):
        system, path = _file_system(place)
        found = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
        return sorted(each.base_name for each in found)


def copy_folder(folder: Path, place: str, last: str) -> None:
    """Copy the files of a local folder to this path or URI, each in the place of what is there.

    The file called `last` comes last: a folder that has it is whole. Errors as `write_file`.
    """
    for name in sorted(os.listdir(folder), key=lambda name: (name == last, name)):
        write_file(folder / name, f"{place}/{name}")


@contextlib.contextmanager
def local_copy(place: str, digest: str, only: Collection[str] = ()) -> Iterator[Path]:
    """The folder at this path or URI as local files: itself at a path, else a copy that is fetched
    once on each machine, by its `digest`; with `only` at least the files of these names.

    The copy is not checked: where the block raises ArtefactError it is removed, so that the next
    attempt fetches it anew. ArtefactError where a file is missing, other errors as `write_file`.
    """
    if not is_uri(place):
        yield Path(place)
        return
    folder = _cache() / digest
    with (folder.parent / f"{digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with _as_our_errors(place):
            _fetch(place, folder, only)
        _make_room(folder)
        fcntl.flock(lock, fcntl.LOCK_SH)
        try:
            yield folder
        except ArtefactError:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def seen_rows(place: str, batches: Iterator["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
    """For `mapInArrow`: for every row what this machine sees of the file at this path or URI, its
    content, or why it sees none, as `content` and `reason`."""
    import pyarrow as pa

    content, reason = None, None
    try:
        content = read_file(place)
    except (MiraError, OSError) as error:
        reason = str(error)
    for batch in batches:
        columns = [pa.array([value] * len(batch), kind) for value, kind in
                   ((content, pa.binary()), (reason, pa.string()))]  # fmt: skip
        yield pa.RecordBatch.from_arrays(columns, ["content", "reason"])


def _fetch(place: str, folder: Path, only: Collection[str]) -> None:
    """Fetch what the copy lacks."""
    from pyarrow import fs

    system, path = _file_system(place)
    names = only or [
        info.base_name
        for info in system.get_file_info(fs.FileSelector(path))
        if info.type == fs.FileType.File
    ]
    folder.mkdir(mode=0o700, exist_ok=True)
    os.utime(folder)
    for name in names:
        if (folder / name).exists():
            continue
        part = folder.parent / f"{folder.name}.part"
        with (
            system.open_input_stream(f"{path}/{name}", compression=None) as source,
            part.open("wb") as target,
        ):
            shutil.copyfileobj(source, target, _PIECE)
        part.rename(folder / name)


def _make_room(latest: Path) -> None:
    """Remove the copies used least recently, but this one, until the rest have CACHE_BYTES; those
    in use stay."""
    copies = [entry for entry in latest.parent.iterdir() if entry.is_dir() and entry != latest]
    copies.sort(key=lambda copy: copy.stat().st_mtime, reverse=True)
    size = _bytes(latest)
    for copy in copies:
        size += _bytes(copy)
        if size <= CACHE_BYTES:
            continue
        lock = (copy.parent / f"{copy.name}.lock").open("w")
        with lock, contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(copy, ignore_errors=True)


def _bytes(folder: Path) -> int:
    return sum(entry.stat().st_size for entry in folder.iterdir())


def _cache() -> Path:
    """The folder of copies of this machine and user; ConfigError when it is somebody else's."""
    folder = Path(tempfile.gettempdir()) / f"mira_spark-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise ConfigError(f"{folder}: is not this user's: name another folder in TMPDIR")
    return folder


def _file_system(place: str) -> "tuple[fs.FileSystem, str]":
    """The file system of a path or URI, and the path in it."""
    from pyarrow import fs

    if not is_uri(place):
        return fs.LocalFileSystem(), str(Path(place).absolute())
    scheme, _, path = place.partition("://")
    if scheme not in ("s3", "s3a"):
        return fs.FileSystem.from_uri(place)  # type: ignore[no-any-return]  # pyarrow has no types
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region is None and endpoint is None:
        region = fs.resolve_s3_region(path.partition("/")[0])
    # pyarrow's own strategy tries for half a minute where nobody answers; a step can be resumed.
    retries = fs.AwsStandardS3RetryStrategy(max_attempts=4)
    return fs.S3FileSystem(endpoint_override=endpoint, region=region, retry_strategy=retries), path


@contextlib.contextmanager
def _as_our_errors(place: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ArtefactError(f"{place}: cannot be read: it is not there") from error
    except (OSError, ValueError) as error:
        said = f"{place}: {' '.join(str(error).split())[:300]}"
        if not is_uri(place):
            raise
        raise (ConfigError if _REFUSED.search(said) else OutsideError)(said) from error
