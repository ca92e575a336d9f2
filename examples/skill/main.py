"""Counts words. Input lies below QUEZTL_IN, results go below QUEZTL_OUT."""

import collections
import json
import os
import pathlib
import sys

given = pathlib.Path(os.environ["QUEZTL_IN"])
out = pathlib.Path(os.environ["QUEZTL_OUT"])


def tell(**what):
    print("queztl:" + json.dumps(what), flush=True)


most = json.loads((given / "data.json").read_text()).get("most", 10)
texts = sorted((given / "files").iterdir())
counts = collections.Counter()
for number, text in enumerate(texts):
    tell(done=number / len(texts), step="count", message=text.name)
    try:
        counts.update(text.read_text("utf-8").lower().split())
    except UnicodeDecodeError:
        tell(error=f"{text.name} is no text in UTF-8")
        sys.exit(65)
result = {"words": sum(counts.values()), "most": counts.most_common(most)}
(out / "result.json").write_text(json.dumps(result))
