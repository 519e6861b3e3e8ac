"""A platform on one machine: a Hive metastore that several processes share, and drivers over it.

The metastore is a Derby server. Commits of Delta are hard links, which only one of several
processes can make: what object stores with conditional puts give, and Delta's own way on a local
disk does not.

`python -m tests.shared_metastore` is a driver: it runs what it is told, one JSON a line.
"""

import json
import os
import socket
import subprocess
import sys
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyspark

from tests import cluster

ARTEFACTS = (
    "org.apache.derby:derbynet:10.16.1.1",
    "org.apache.derby:derbyclient:10.16.1.1",
    f"io.delta:delta-storage:{version('delta-spark')}",  # whose log stores ours is made of
)
JARS = Path(pyspark.__file__).parent / "jars"
LOG_STORE = """
package drill;

import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Iterator;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

public class LinkLogStore extends io.delta.storage.HDFSLogStore {
    public LinkLogStore(Configuration conf) { super(conf); }

    @Override
    public void write(Path path, Iterator<String> actions, Boolean overwrite, Configuration conf)
            throws IOException {
        java.nio.file.Path target = Paths.get(path.toUri().getPath());
        java.nio.file.Path written = Files.createTempFile(target.getParent(), ".commit", ".tmp");
        try (BufferedWriter writer = Files.newBufferedWriter(written)) {
            while (actions.hasNext()) { writer.write(actions.next()); writer.write("\\n"); }
        }
        if (overwrite) { Files.deleteIfExists(target); }
        try { Files.createLink(target, written); } finally { Files.delete(written); }
    }
}
"""


class Platform:
    """The metastore's server in `folder`, until `close`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        jars = folder / "jars"
        for artefact in ARTEFACTS:  # by the client of Maven that Spark brings
            _java("-jar", next(JARS.glob("ivy-*.jar")), "-dependency", *artefact.split(":"),
                  "-confs", "default", "-retrieve", f"{jars}/[artifact].[ext]")  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options = (f"-Dderby.system.home={folder}/derby", "-cp", f"{jars}/*")
        server = ("org.apache.derby.drda.NetworkServerControl", "start", "-p", str(self.port))
        command = ["java", *options, *server]
        self.server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.server.stdout is not None
        while "ready to accept connections" not in (line := self.server.stdout.readline()):
            assert line, "the metastore's server ended"

    def log_store(self) -> Path:
        """The folder with the compiled log store, made at first use; needs Java's compiler."""
        classes = self.folder / "classes"
        if not classes.exists():
            source = self.folder / "drill" / "LinkLogStore.java"
            source.parent.mkdir()
            source.write_text(LOG_STORE)
            jars = [self.folder / "jars" / "*", *JARS.glob("hadoop-client-api-*.jar")]
            libraries = os.pathsep.join(map(str, jars))
            command = ["javac", "-cp", libraries, "-d", str(classes), str(source)]
            # The options of the tests' Spark are too much for the compiler's small memory.
            environment = {k: v for k, v in os.environ.items() if k != "JAVA_TOOL_OPTIONS"}
            subprocess.run(command, env=environment, check=True)
        return classes

    def driver(self) -> "Driver":
        """A driver whose Spark is configured from outside, as on a platform."""
        names = ("delta-storage", "derbyclient")
        jars = ":".join([str(self.log_store()), *(f"{self.folder}/jars/{n}.jar" for n in names)])
        conf = {
            "spark.jars.packages": cluster.delta_package(),
            "spark.driver.extraClassPath": jars,
            "spark.driver.memory": "1g",
            "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
            "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
            "spark.delta.logStore.file.impl": "drill.LinkLogStore",
            "spark.sql.catalogImplementation": "hive",
            "spark.sql.warehouse.dir": f"{self.folder}/warehouse",
            "spark.hadoop.javax.jdo.option.ConnectionURL":
                f"jdbc:derby://localhost:{self.port}/metastore;create=true",
            "spark.hadoop.javax.jdo.option.ConnectionDriverName":
                "org.apache.derby.client.ClientAutoloadedDriver",
            "spark.hadoop.datanucleus.schema.autoCreateAll": "true",
            "spark.hadoop.hive.metastore.schema.verification": "false",
            "spark.ui.enabled": "false",
            "spark.sql.shuffle.partitions": "2",
            "spark.sql.session.timeZone": "UTC",
            "spark.databricks.delta.snapshotPartitions": "2",
            "spark.sql.codegen.wholeStage": "false",
            "spark.sql.codegen.factoryMode": "NO_CODEGEN",
            "spark.sql.adaptive.enabled": "false",
        }  # fmt: skip
        options = " ".join(f"--conf {key}={value}" for key, value in conf.items())
        return Driver(f"--master local[2] {options} pyspark-shell", self.folder)

    def close(self) -> None:
        self.server.kill()
        self.server.wait()


class Driver:
    """A process with a Spark of its own that does what it is told, until `close`."""

    def __init__(self, submit: str, folder: Path) -> None:
        environment = {
            "PYSPARK_SUBMIT_ARGS": submit,
            "PYSPARK_PYTHON": sys.executable,
            "PYTHONPATH": str(Path(__file__).parents[1]),
        }
        with (folder / "drivers.log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.shared_metastore"],
                cwd=folder, env=os.environ | environment, stderr=log,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip

    def begin(self, **request: Any) -> None:
        """Begin `mira=[arguments]`, or the queries `sql=[...]`."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """(exit code, output) of the command, or the rows of the last query."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the driver ended"
        return json.loads(line)

    def sql(self, *queries: str) -> list[list[Any]]:
        self.begin(sql=queries)
        code, rows = self.answer()
        assert code == 0, rows
        return list(rows)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)


def _java(*arguments: object) -> None:
    subprocess.run(["java", *map(str, arguments)], check=True, capture_output=True)


def _mira(arguments: list[str]) -> tuple[int, str]:
    from mira_spark.__main__ import main
    from mira_spark.process.progress import console

    with console.capture() as output:
        try:
            main(arguments)
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        except Exception:
            code = 1
            console.print(traceback.format_exc(), markup=False)
    return code, output.get()


def _sql(queries: list[str]) -> tuple[int, Any]:
    from mira_spark.lake.session import open_platform

    try:
        return 0, [[list(row) for row in open_platform().sql(q).collect()] for q in queries][-1]
    except Exception:
        return 1, traceback.format_exc()


def main() -> None:
    """Answers go where standard output went; what Java writes goes to standard error."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        for line in sys.stdin:
            request = json.loads(line)
            answer = _mira(request["mira"]) if "mira" in request else _sql(request["sql"])
            answers.write(json.dumps(answer, default=str) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
