"""A task as its program sees it: data and files in, progress lines, files with checksums out."""

import hashlib
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path

EXIT_DATA = 65  # EX_DATAERR: the input is at fault, another attempt would end the same way


class InputError(Exception):
    """The task's input is at fault; the text is for whoever sent it."""


class Task:
    """The task that this program runs."""

    def __init__(self, input_folder, output_folder):
        self.input = Path(input_folder)
        self.output = Path(output_folder)
        self.output.mkdir(parents=True, exist_ok=True)
        self.result = {}
        data = self.input / "data.json"
        self.data = json.loads(data.read_text()) if data.exists() else {}

    def files(self, pattern):
        """The task's files of a name pattern, in the order of their names, whatever the case."""
        folder = self.input / "files"
        found = [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []
        return sorted(path for path in found if _fits(path.name, pattern))

    def file(self, pattern):
        """The first of them, or None."""
        return next(iter(self.files(pattern)), None)

    def path(self, name):
        """Where to write an output file."""
        path = self.output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def progress(self, done, step, message=""):
        """Tells how far the work is: `done` is 0 to 1."""
        _say({"done": round(float(done), 4), "step": step, "message": message})

    def finish(self):
        """Writes the answer and the list of files with their checksums."""
        self.path("result.json").write_text(json.dumps(self.result, indent=1, allow_nan=False) + "\n")
        files = [
            {
                "name": path.relative_to(self.output).as_posix(),
                "bytes": path.stat().st_size,
                "sha256": _sha256(path),
            }
            for path in sorted(self.output.rglob("*"))
            if path.is_file() and path.name != "manifest.json" and not path.name.startswith(".")
        ]
        self.path("manifest.json").write_text(json.dumps({"files": files}, indent=1) + "\n")
        self.progress(1, "done", f"{len(files)} files")


@contextmanager
def running():
    """The task of this process; an `InputError` ends it with a sentence instead of a traceback."""
    try:
        task = Task(os.environ["QUEZTL_IN"], os.environ["QUEZTL_OUT"])
        yield task
        task.finish()
    except InputError as error:
        _say({"error": str(error)})
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(EXIT_DATA) from None
    except MemoryError:
        print("error: out of memory", file=sys.stderr)
        raise SystemExit(137) from None


def _say(value):
    print("queztl:" + json.dumps(value), flush=True)


def _fits(name, pattern):
    from fnmatch import fnmatchcase

    return fnmatchcase(name.lower(), pattern.lower())


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
