"""For the skills' tests on the host; it does not go into a guest."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def run_program(folder, data, files=()):
    """Runs a skill's whole program in a folder of its own: how it ended, and what it left by name."""
    with tempfile.TemporaryDirectory() as home:
        inputs = Path(home, "in", "files")
        inputs.mkdir(parents=True)
        Path(home, "in", "data.json").write_text(json.dumps(data))
        for name, content in dict(files).items():
            Path(inputs, name).write_bytes(content.encode() if isinstance(content, str) else content)
        environment = {**os.environ, "QUEZTL_IN": f"{home}/in", "QUEZTL_OUT": f"{home}/out"}
        ended = subprocess.run(
            [sys.executable, "main.py"], cwd=folder, env=environment, capture_output=True, text=True
        )
        out = Path(home, "out")
        return ended, {path.name: path.read_bytes() for path in out.iterdir()} if out.exists() else {}
