"""Who may import and do what (README, how it is built), read from the source text with `ast`.

Each rule is a function from the package's modules to its problems; every rule is also run on small
modules that break it, so that it is known to bite.
"""

import ast
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("mira_spark", "jobs", "udfs")

Modules = Mapping[str, ast.Module]
Rule = Callable[[Modules], list[str]]

FOLDER_ORDER = (
    "errors", "process", "lake", "settings", "corpus", "judges", "rubrics", "labels", "students",
    "distillation", "embedders", "scoring", "selection", "report", "steps", "pipeline", "cli",
    "__main__",
)  # fmt: skip
"""Each imports only what stands before it, and itself."""
ON_EXECUTORS = ("mira_spark.lake.record_*", "mira_spark.lake.parquet_files",
                "mira_spark.lake.storage",
                "mira_spark.scoring.batches", "mira_spark.scoring.workers",
                "mira_spark.scoring.baselines.*",
                "mira_spark.corpus.tokens", "mira_spark.corpus.python_environment",
                "mira_spark.corpus.near_batches", "mira_spark.corpus.ngram_batches",
                "mira_spark.students.*")  # fmt: skip
SPARK_FREE = ("mira_spark.lake.record_*", "mira_spark.lake.parquet_files",
              "mira_spark.lake.storage",
              "mira_spark.judges.*", "mira_spark.students.*", "mira_spark.process.*",
              "mira_spark.scoring.batches", "mira_spark.corpus.tokens",
              "mira_spark.distillation.training", "mira_spark.distillation.comparison",
              "mira_spark.distillation.gate",
              "mira_spark.report.page", "mira_spark.corpus.python_environment",
              "mira_spark.corpus.docstrings", "mira_spark.corpus.installed_files",
              "mira_spark.corpus.embedding", "mira_spark.corpus.grouping",
              "mira_spark.corpus.near_batches", "mira_spark.corpus.ngram_batches",
              "mira_spark.rubrics.discovery", "mira_spark.labels.labelling",
              "mira_spark.labels.canaries", "mira_spark.labels.verdict",
              "mira_spark.distillation.trained",
              "mira_spark.scoring.units", "mira_spark.scoring.sizes",
              "mira_spark.scoring.pyfunc",
              "mira_spark.scoring.baselines.*")  # fmt: skip
"""Whole folders, and of the others what runs on executors, trains, makes a page, or is a rule of
the method; with all that these import."""
WHOLE_SETTINGS = ("settings", "steps", "pipeline", "cli")
MOST_FOLDERS, TOP = 15, {"errors", "pipeline", "__main__"}
SPARK = {"pyspark", "delta"}
STORAGE = {f"mira_spark.lake.{name}" for name in
           ("creation", "file_rows", "input_files", "inputs", "own_folders", "retention",
            "root_check", "tables")}  # fmt: skip
SESSION = "mira_spark.lake.session"
PRINTER = "mira_spark.process.progress"
ECHOES = {"echo", "secho"}
OF_A_UDF = {
    "mira_spark.scoring.batches",
    "mira_spark.scoring.scorer",
    "mira_spark.lake.schemas",
    "mira_spark.corpus.tokens",
    "mira_spark.scoring.workers",
}
PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
NOT_IN_CONNECT = {"sparkContext", "_jvm", "_jdf", "_jsc", "rdd"}
UNSEEDED = {"rand", "randn", "monotonically_increasing_id"}
WRITERS = {"writeTo", "writeStream", "readStream", "saveAsTable", "insertInto", "mergeInto"}


def parsed(sources: Mapping[str, str]) -> dict[str, ast.Module]:
    return {name: ast.parse(source) for name, source in sources.items()}


def checkout() -> dict[str, ast.Module]:
    """Module name to its tree, for all files of the package, the jobs and the UDFs."""
    sources = {}
    for path in sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources[name] = path.read_text(encoding="utf-8")
    return parsed(sources)


def imported(module: str, modules: Modules) -> set[str]:
    """What a module imports anywhere in it: our modules by full name, others as written."""
    found: set[str] = set()
    for node in ast.walk(modules[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = any(name.startswith(f"{module}.") for name in modules)
                parts = module.split(".")
                above = parts[: len(parts) - node.level + package]
                base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                found.add(full if full in modules else base)
    return found


def with_packages(name: str) -> Iterator[str]:
    """A module and the packages it lies in: importing it runs them all."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        yield ".".join(parts[:end])


def reached(start: str, modules: Modules) -> dict[str, str]:
    """Everything imported from `start` on, each with the module that imports it."""
    found: dict[str, str] = {}
    waiting = [start]
    while waiting:
        module = waiting.pop()
        for name in sorted(imported(module, modules)):
            for one in with_packages(name):
                if one not in found and one != start:
                    found[one] = module
                    if one in modules:
                        waiting.append(one)
    return found


def matching(patterns: Iterable[str], modules: Modules) -> list[str]:
    return [name for name in modules if any(fnmatch(name, pattern) for pattern in patterns)]


def under(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def spark_in_spark_free(modules: Modules) -> list[str]:
    return [
        f"{module} imports {name}" + (f" through {by}" if by != module else "")
        for module in matching(SPARK_FREE, modules)
        for name, by in sorted(reached(module, modules).items())
        if name in SPARK
    ]


def called(tree: ast.AST) -> set[int]:
    """The ids of the nodes that are called."""
    return {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def attributes(module: str, modules: Modules) -> Iterator[tuple[ast.Attribute, bool]]:
    """Every `x.name` of a module, and whether it is called."""
    calls = called(modules[module])
    for node in ast.walk(modules[module]):
        if isinstance(node, ast.Attribute):
            yield node, id(node) in calls


def storage_outside_tables(modules: Modules) -> list[str]:
    """`file.write(...)` and `lake.read(...)` are calls; Spark's `.write` and `.read` are not."""
    problems = []
    for module in modules:
        outside = () if module in STORAGE else attributes(module, modules)
        for node, is_called in outside:
            lake = isinstance(node.value, ast.Name) and node.value.id == "lake"
            spark_io = node.attr in {"read", "write"} and not is_called and not lake
            if spark_io or node.attr in WRITERS or (node.attr == "table" and is_called):
                problems.append(f"{module}: .{node.attr}")
        if module != SESSION and any(under(i, "delta") for i in imported(module, modules)):
            problems.append(f"{module}: imports delta")
    return problems


def not_for_connect_or_unseeded(modules: Modules) -> list[str]:
    problems = []
    for module, tree in modules.items():
        for node in ast.walk(tree):
            name = getattr(node, "attr", None) or getattr(node, "id", None)
            names = {name} | {a.name for a in getattr(node, "names", []) if hasattr(a, "name")}
            problems += [f"{module}: {n}" for n in sorted(NOT_IN_CONNECT & (names - {None}))]
            problems += [f"{module}: {n}" for n in sorted(UNSEEDED & (names - {None}))]
    return problems


def edges_imported(modules: Modules) -> list[str]:
    edges = ("jobs", "udfs", "mira_spark.jobs", "mira_spark.udfs")
    return [
        f"{module} imports {name}"
        for module in modules
        if under(module, "mira_spark")
        for name in sorted(imported(module, modules))
        if any(under(name, edge) for edge in edges)
    ]


def jobs_import_more_than_the_command_line(modules: Modules) -> list[str]:
    return [
        f"{module} imports {name}"
        for module in modules
        if under(module, "jobs")
        for name in sorted(imported(module, modules))
        if name != "mira_spark.__main__"
    ]


def udfs_import_more_of_ours(modules: Modules) -> list[str]:
    return [
        f"{module} imports {name}"
        for module in modules
        if under(module, "udfs")
        for name in sorted(imported(module, modules))
        if (under(name, "mira_spark") and name not in OF_A_UDF)
        or under(name, "jobs")
        or (under(name, "udfs") and module != "udfs")
    ]


def udfs_define_more(modules: Modules) -> list[str]:
    """A UDF file: `register`, and in it the one function that bears the file's name."""
    problems = []
    for module, tree in modules.items():
        if not module.startswith("udfs."):
            continue
        functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
        found = [getattr(n, "name", "lambda") for n in ast.walk(tree) if isinstance(n, functions)]
        if sorted(found) != sorted(["register", module.removeprefix("udfs.")]):
            problems.append(f"{module}: defines {', '.join(found)}")
    return problems


def steps_imported(modules: Modules) -> list[str]:
    return [
        f"{module} imports {name}"
        for module in modules
        for name in sorted(imported(module, modules))
        if under(name, "mira_spark.steps") and module != "mira_spark.pipeline"
    ]


def part(module: str) -> str:
    """The folder of the package, or the file in it, that a module is of; empty for the package."""
    return ".".join(module.split(".")[1:2])


def imports_upward(modules: Modules) -> list[str]:
    problems = []
    for module in modules:
        if not module.startswith("mira_spark."):
            continue
        for name in sorted(imported(module, modules)):
            is_ours = name.startswith("mira_spark.") and part(name) in FOLDER_ORDER
            if is_ours and FOLDER_ORDER.index(part(name)) > FOLDER_ORDER.index(part(module)):
                problems.append(f"{module} imports {name}")
    return problems


def imports_in_a_circle(modules: Modules) -> list[str]:
    return [
        f"{module} imports itself through {by[module]}"
        for module in modules
        if module in (by := reached_again(module, modules))
    ]


def reached_again(start: str, modules: Modules) -> dict[str, str]:
    """`reached` by what modules themselves name, `start` among it where it is reached again."""
    found: dict[str, str] = {}
    waiting = [start]
    while waiting:
        module = waiting.pop()
        for name in sorted(imported(module, modules) & set(modules)):
            if name not in found:
                found[name] = module
                waiting.append(name)
    return found


def whole_settings_named(modules: Modules) -> list[str]:
    return [
        f"{module} names Settings"
        for module, tree in modules.items()
        if module.startswith("mira_spark.") and part(module) not in WHOLE_SETTINGS
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and node.id == "Settings")
        or (isinstance(node, ast.Attribute) and node.attr == "Settings")
        or (isinstance(node, ast.alias) and node.name == "Settings")
    ]


def folders_too_many(modules: Modules) -> list[str]:
    """Outside of the folders there are `errors`, `pipeline` and `__main__` alone."""
    ours = [m for m in modules if m.startswith("mira_spark.")]
    folders = {part(m) for m in ours if m.count(".") > 1}
    files = {part(m) for m in ours if m.count(".") == 1} - folders
    problems = [f"mira_spark.{name} is in no folder" for name in sorted(files - TOP)]
    problems += [f"{len(folders)} folders"] * (len(folders) > MOST_FOLDERS)
    return problems + [f"{folder} has no place in the order" for folder in
                       sorted(folders - set(FOLDER_ORDER))]  # fmt: skip


def sessions_outside_session(modules: Modules) -> list[str]:
    problems = []
    for module in modules:
        if module == SESSION:
            continue
        for node, is_called in attributes(module, modules):
            builds = node.attr in {"config", "getOrCreate", "builder", "newSession"} and (
                is_called or node.attr == "builder"
            )
            of_conf = isinstance(node.value, ast.Attribute) and node.value.attr == "conf"
            if builds or (node.attr in {"set", "unset"} and of_conf):
                problems.append(f"{module}: .{node.attr}")
    return problems


def habits(modules: Modules) -> list[str]:
    problems = []
    for module, tree in modules.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                problems += [f"{module}: print"] if node.func.id == "print" else []
            if isinstance(node, ast.ImportFrom):
                names = {alias.name for alias in node.names}
                problems += [f"{module}: import *"] if "*" in names else []
                if node.module == "__future__" and "annotations" in names:
                    problems.append(f"{module}: postponed annotations")
    return problems


def printing_outside_progress(modules: Modules) -> list[str]:
    """What is printed elsewhere may act on a terminal."""
    return [
        f"{module}: {name}"
        for module in modules
        if module != PRINTER
        for name in [
            *(name for name in imported(module, modules) if under(name, "rich")),
            *(node.attr for node, _ in attributes(module, modules) if node.attr in ECHOES),
        ]
    ]


def code_from_data_on_executors(modules: Modules) -> list[str]:
    """Nothing an executor imports can run code that came with an artefact."""
    starts = [*matching(ON_EXECUTORS, modules), *matching(["udfs", "udfs.*"], modules)]
    reachable = set(starts).union(*(reached(start, modules) for start in starts))
    problems = []
    for module in sorted(reachable & set(modules)):
        names = {name.split(".")[0] for name in imported(module, modules)}
        problems += [f"{module}: {name}" for name in sorted(names & PICKLES)]
        for node in ast.walk(modules[module]):
            if isinstance(node, ast.keyword) and node.arg in {"trust_remote_code", "allow_pickle"}:
                problems.append(f"{module}: {node.arg}")
            elif isinstance(node, ast.Name) and node.id in {"eval", "exec"}:
                problems.append(f"{module}: {node.id}")
            elif isinstance(node, ast.Attribute) and node.attr == "load":
                if isinstance(node.value, ast.Name) and node.value.id == "torch":
                    problems.append(f"{module}: torch.load")
            elif isinstance(node, ast.Constant) and node.value == "trust_remote_code":
                problems.append(f"{module}: trust_remote_code")
    return problems


def standard_library_names(modules: Modules) -> list[str]:
    return [
        module
        for module in modules
        if module.startswith(("jobs.", "udfs."))
        and module.split(".")[-1] in sys.stdlib_module_names
    ]


RULES: tuple[Rule, ...] = (
    spark_in_spark_free,
    storage_outside_tables,
    not_for_connect_or_unseeded,
    edges_imported,
    jobs_import_more_than_the_command_line,
    udfs_import_more_of_ours,
    udfs_define_more,
    steps_imported,
    imports_upward,
    imports_in_a_circle,
    whole_settings_named,
    folders_too_many,
    sessions_outside_session,
    habits,
    printing_outside_progress,
    code_from_data_on_executors,
    standard_library_names,
)
CHECKOUT = checkout()
CLEAN = {
    "mira_spark": "",
    "mira_spark.errors": "from collections.abc import Iterable",
    "mira_spark.lake.schemas": "from pyspark.sql.types import StructType",
    "mira_spark.lake": "",
    "mira_spark.judges": "",
    "mira_spark.judges.protocol": "from mira_spark.settings.judge import JudgeSettings",
    "mira_spark.settings.judge": "from pydantic import BaseModel",
    "mira_spark.scoring.batches": "from mira_spark.students import artefact\nimport numpy",
    "mira_spark.students": "",
    "mira_spark.students.artefact": "import json\njson.load(file)",
    "mira_spark.steps": "",
    "mira_spark.steps.score_documents": "lake.read('scores')\nmap(lake.read, names)",
    "mira_spark.scoring": "",
    "mira_spark.steps.label_documents": "from mira_spark.scoring import batches",
    "mira_spark.settings.root": "class Settings: ...",
    "mira_spark.steps.distill_students": "from mira_spark.settings.root import Settings",
    "mira_spark.pipeline": "from mira_spark.steps import score_documents",
    "mira_spark.lake.inputs": "spark.read.parquet(a)",
    "mira_spark.lake.tables": "import pyspark\nspark.read.table(a)\nrows.mergeInto(a, b)",
    "mira_spark.lake.session": "SparkSession.builder.config(a, b).getOrCreate()\nfile.write(a)",
    "mira_spark.cli.main": "from mira_spark import pipeline",
    "mira_spark.process.progress": "from rich.console import Console\nconsole.print(a)",
    "jobs": "",
    "jobs.run_pipeline": "from mira_spark.__main__ import main",
    "udfs": "from . import count_tokens\nfrom mira_spark.scoring.batches import Scorer",
    "udfs.count_tokens": "def register(spark):\n    def count_tokens(texts):\n        return texts",
}

BREACHES = [
    (
        spark_in_spark_free,
        "mira_spark.scoring.batches",
        "import pyspark.sql",
        "mira_spark.scoring.batches imports pyspark",
    ),
    (
        spark_in_spark_free,
        "mira_spark.scoring.batches",
        "def f():\n    from pyspark.sql import functions",
        "mira_spark.scoring.batches imports pyspark",
    ),
    (
        spark_in_spark_free,
        "mira_spark.scoring.batches",
        "from mira_spark.lake.schemas import POINT",
        "mira_spark.scoring.batches imports pyspark through mira_spark.lake.schemas",
    ),
    (
        spark_in_spark_free,
        "mira_spark.scoring.batches",
        "from mira_spark.lake import schemas",
        "mira_spark.scoring.batches imports pyspark through mira_spark.lake.schemas",
    ),
    (
        spark_in_spark_free,
        "mira_spark.judges.protocol",
        "from ..lake.schemas import POINT",
        "mira_spark.judges.protocol imports pyspark through mira_spark.lake.schemas",
    ),
    (
        spark_in_spark_free,
        "mira_spark.settings.judge",
        "from mira_spark.lake.tables import Lakehouse",
        "mira_spark.judges.protocol imports pyspark through mira_spark.lake.tables",
    ),
    (
        spark_in_spark_free,
        "mira_spark.students",
        "import pyspark",
        "mira_spark.scoring.batches imports pyspark through mira_spark.students",
    ),
    (
        storage_outside_tables,
        "mira_spark.corpus.documents",
        "rows.write.parquet(a)",
        "mira_spark.corpus.documents: .write",
    ),
    (
        storage_outside_tables,
        "mira_spark.corpus.documents",
        "spark.read.parquet(a)",
        "mira_spark.corpus.documents: .read",
    ),
    (
        storage_outside_tables,
        "mira_spark.corpus.documents",
        "reader = self.spark.read",
        "mira_spark.corpus.documents: .read",
    ),
    (
        storage_outside_tables,
        "mira_spark.corpus.documents",
        "spark.table(a)",
        "mira_spark.corpus.documents: .table",
    ),
    (
        storage_outside_tables,
        "mira_spark.corpus.documents",
        "w.saveAsTable(a)",
        "mira_spark.corpus.documents: .saveAsTable",
    ),
    (
        storage_outside_tables,
        "jobs.run_pipeline",
        "rows.writeTo(a).append()",
        "jobs.run_pipeline: .writeTo",
    ),
    (
        storage_outside_tables,
        "mira_spark.corpus.documents",
        "from delta.tables import DeltaTable",
        "mira_spark.corpus.documents: imports delta",
    ),
    (
        storage_outside_tables,
        "mira_spark.lake.tables",
        "import delta.tables",
        "mira_spark.lake.tables: imports delta",
    ),
    (
        not_for_connect_or_unseeded,
        "mira_spark.corpus.documents",
        "spark.sparkContext",
        "mira_spark.corpus.documents: sparkContext",
    ),
    (
        not_for_connect_or_unseeded,
        "mira_spark.lake.tables",
        "spark._jvm.x()",
        "mira_spark.lake.tables: _jvm",
    ),
    (
        not_for_connect_or_unseeded,
        "mira_spark.lake.tables",
        "rows._jdf",
        "mira_spark.lake.tables: _jdf",
    ),
    (not_for_connect_or_unseeded, "udfs.count_tokens", "rows.rdd", "udfs.count_tokens: rdd"),
    (
        not_for_connect_or_unseeded,
        "mira_spark.corpus.documents",
        "F.rand(3)",
        "mira_spark.corpus.documents: rand",
    ),
    (
        not_for_connect_or_unseeded,
        "mira_spark.corpus.documents",
        "from pyspark.sql.functions import rand as r",
        "mira_spark.corpus.documents: rand",
    ),
    (
        not_for_connect_or_unseeded,
        "mira_spark.corpus.documents",
        "F.monotonically_increasing_id()",
        "mira_spark.corpus.documents: monotonically_increasing_id",
    ),
    (
        edges_imported,
        "mira_spark.cli.main",
        "from jobs import run_pipeline",
        "mira_spark.cli.main imports jobs.run_pipeline",
    ),
    (edges_imported, "mira_spark.cli.main", "import udfs", "mira_spark.cli.main imports udfs"),
    (
        edges_imported,
        "mira_spark.cli.main",
        "def f():\n    from mira_spark.jobs import run_pipeline",
        "mira_spark.cli.main imports mira_spark.jobs",
    ),
    (
        edges_imported,
        "mira_spark.cli.main",
        "from mira_spark.udfs import register_all",
        "mira_spark.cli.main imports mira_spark.udfs",
    ),
    (
        jobs_import_more_than_the_command_line,
        "jobs.run_pipeline",
        "from mira_spark.steps import score_documents",
        "jobs.run_pipeline imports mira_spark.steps.score_documents",
    ),
    (
        jobs_import_more_than_the_command_line,
        "jobs.run_pipeline",
        "import pyspark",
        "jobs.run_pipeline imports pyspark",
    ),
    (
        udfs_import_more_of_ours,
        "udfs.count_tokens",
        "from mira_spark.lake.tables import Lakehouse",
        "udfs.count_tokens imports mira_spark.lake.tables",
    ),
    (
        udfs_import_more_of_ours,
        "udfs.mira_quality",
        "from . import count_tokens",
        "udfs.mira_quality imports udfs.count_tokens",
    ),
    (
        udfs_import_more_of_ours,
        "udfs.mira_quality",
        "from udfs.count_tokens import register",
        "udfs.mira_quality imports udfs.count_tokens",
    ),
    (
        udfs_define_more,
        "udfs.count_tokens",
        "def register(s):\n    def count_tokens(t):\n        pass\ndef help():\n    pass",
        "udfs.count_tokens: defines register, help, count_tokens",
    ),
    (
        udfs_define_more,
        "udfs.count_tokens",
        "def register(spark):\n    pass",
        "udfs.count_tokens: defines register",
    ),
    (
        steps_imported,
        "mira_spark.cli.main",
        "from mira_spark.steps.score_documents import run",
        "mira_spark.cli.main imports mira_spark.steps.score_documents",
    ),
    (
        steps_imported,
        "mira_spark.cli.main",
        "from mira_spark import steps",
        "mira_spark.cli.main imports mira_spark.steps",
    ),
    (
        steps_imported,
        "mira_spark.steps.label_documents",
        "from . import score_documents",
        "mira_spark.steps.label_documents imports mira_spark.steps.score_documents",
    ),
    (
        imports_upward,
        "mira_spark.errors",
        "from mira_spark.lake import schemas",
        "mira_spark.errors imports mira_spark.lake.schemas",
    ),
    (
        imports_upward,
        "mira_spark.lake.tables",
        "def f():\n    from ..settings.root import Settings",
        "mira_spark.lake.tables imports mira_spark.settings.root",
    ),
    (
        imports_upward,
        "mira_spark.students.artefact",
        "from mira_spark import pipeline",
        "mira_spark.students.artefact imports mira_spark.pipeline",
    ),
    (
        imports_in_a_circle,
        "mira_spark.settings.judge",
        "def f():\n    from mira_spark.judges.protocol import Judge",
        "mira_spark.settings.judge imports itself through mira_spark.judges.protocol",
    ),
    (
        whole_settings_named,
        "mira_spark.scoring.batches",
        "from mira_spark.settings.root import Settings",
        "mira_spark.scoring.batches names Settings",
    ),
    (
        whole_settings_named,
        "mira_spark.lake.tables",
        "def f(a: root.Settings): ...",
        "mira_spark.lake.tables names Settings",
    ),
    (
        whole_settings_named,
        "mira_spark.cli.main",
        "from mira_spark.settings.root import Settings",
        None,
    ),
    (folders_too_many, "mira_spark.notes", "", "mira_spark.notes is in no folder"),
    (folders_too_many, "mira_spark.notes.more", "", "notes has no place in the order"),
    (
        sessions_outside_session,
        "mira_spark.lake.tables",
        "spark.conf.set(a, b)",
        "mira_spark.lake.tables: .set",
    ),
    (
        sessions_outside_session,
        "jobs.run_pipeline",
        "builder.config(a, b)",
        "jobs.run_pipeline: .config",
    ),
    (
        sessions_outside_session,
        "mira_spark.cli.main",
        "SparkSession.builder",
        "mira_spark.cli.main: .builder",
    ),
    (habits, "mira_spark.cli.main", "print(a)", "mira_spark.cli.main: print"),
    (
        habits,
        "jobs.run_pipeline",
        "from mira_spark.cli.main import *",
        "jobs.run_pipeline: import *",
    ),
    (
        habits,
        "udfs.count_tokens",
        "from __future__ import annotations",
        "udfs.count_tokens: postponed annotations",
    ),
    (
        code_from_data_on_executors,
        "mira_spark.students.artefact",
        "def f():\n    import pickle",
        "mira_spark.students.artefact: pickle",
    ),
    (
        printing_outside_progress,
        "mira_spark.cli.main",
        "from rich.markup import escape",
        "mira_spark.cli.main: rich.markup",
    ),
    (
        printing_outside_progress,
        "mira_spark.cli.main",
        "typer.echo(a)",
        "mira_spark.cli.main: echo",
    ),
    (
        code_from_data_on_executors,
        "mira_spark.students.artefact",
        "from joblib import load",
        "mira_spark.students.artefact: joblib",
    ),
    (
        code_from_data_on_executors,
        "mira_spark.students.artefact",
        "torch.load(a)",
        "mira_spark.students.artefact: torch.load",
    ),
    (
        code_from_data_on_executors,
        "mira_spark.students.artefact",
        "f(trust_remote_code=a)",
        "mira_spark.students.artefact: trust_remote_code",
    ),
    (
        code_from_data_on_executors,
        "mira_spark.students.artefact",
        "f(**{'trust_remote_code': a})",
        "mira_spark.students.artefact: trust_remote_code",
    ),
    (
        code_from_data_on_executors,
        "mira_spark.students.artefact",
        "np.load(a, allow_pickle=True)",
        "mira_spark.students.artefact: allow_pickle",
    ),
    (code_from_data_on_executors, "mira_spark.errors", "eval(a)", None),
    (code_from_data_on_executors, "mira_spark.students", "exec(a)", "mira_spark.students: exec"),
    (standard_library_names, "jobs.select", "", "jobs.select"),
    (standard_library_names, "udfs.tokenize", "", "udfs.tokenize"),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_checkout_keeps(rule: Rule) -> None:
    assert rule(CHECKOUT) == []


def test_all_files_are_looked_at() -> None:
    for name in ("mira_spark.scoring.batches", "mira_spark.steps.score_documents", "udfs",
                 "jobs.run_pipeline", "udfs.mira_scores", "mira_spark.lake.tables"):  # fmt: skip
        assert name in CHECKOUT
    unmatched = [p for p in (*SPARK_FREE, *ON_EXECUTORS) if not matching([p], CHECKOUT)]
    assert unmatched == []


def test_imports_are_followed_through_modules_and_packages() -> None:
    reachable = reached("mira_spark.scoring.batches", CHECKOUT)
    assert reachable["mira_spark.students.linear"] == "mira_spark.students.artefact"
    assert reachable["numba"] == "mira_spark.process.machine_code"
    assert "mira_spark" in reachable
    assert "pyspark" in reached("mira_spark.cli.main", CHECKOUT)
    assert "mira_spark.steps.score_documents" in reached("jobs.run_pipeline", CHECKOUT)
    assert "mira_spark.corpus.tokens" in reached("udfs", CHECKOUT)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_modules_that_keep_a_rule_have_no_problem(rule: Rule) -> None:
    assert rule(parsed(CLEAN)) == []


@pytest.mark.parametrize(("rule", "module", "source", "problem"), BREACHES)
def test_a_module_that_breaks_a_rule_is_named(
    rule: Rule, module: str, source: str, problem: str | None
) -> None:
    found = rule(parsed(CLEAN | {module: source}))
    assert (problem in found) if problem else (found == [])


def test_every_rule_is_known_to_bite() -> None:
    assert {rule for rule, _, _, problem in BREACHES if problem} == set(RULES)
