"""Predictions of a trained model, and how long each takes."""

import time

import numpy as np
from queztl_skill import task as skill
from queztl_skill.encoding import encode, read_arrays, read_cells
from queztl_skill.model_file import compute, load_model
from queztl_skill.pictures import draw_lines
from queztl_skill.report import Report
from queztl_skill.table import write_table

WARM_UP = 3


def main(task):
    models = task.files("*.onnx")
    if len(models) != 1:
        raise skill.InputError(f"one model at a time: there are {len(models)}")
    graph, constants, metadata = load_model(models[0])
    features = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    x, truth, source = read_rows(task, metadata, features)
    task.progress(0.2, "read", f"{len(x)} rows of {features} numbers, model {metadata.get('model')}")
    batch = task.data.get("batch", 256)
    for _ in range(WARM_UP):
        compute(graph, constants, x[:batch])
    outputs, seconds, told = [], [], 0.2
    for start in range(0, len(x), batch):
        began = time.perf_counter()
        outputs.append(compute(graph, constants, x[start : start + batch]))
        seconds.append(time.perf_counter() - began)
        done = 0.2 + 0.7 * min(1, (start + batch) / len(x))
        if done - told >= 0.05:
            told = done
            task.progress(done, "predict", f"{min(start + batch, len(x))} of {len(x)} rows")
    output = np.concatenate(outputs)
    latency = {f"p{p}": float(np.percentile(seconds, p) * 1000) for p in (50, 95, 99)}
    labels = metadata.get("labels") or []
    write(task, output, labels)
    draw_lines(task.path("latency.png"), [("ms", np.linspace(0, 100, 201), np.percentile(seconds, np.linspace(0, 100, 201)) * 1000)],
               f"latency of {batch} rows", "percentile", "ms")
    task.result = {
        "source": source,
        "synthetic": source == "synthetic",
        "model": metadata.get("model"),
        "trained_on": metadata.get("trained_on"),
        "rows": len(x),
        "batch": batch,
        "latency_ms": latency,
        "rows_per_second": float(len(x) / max(sum(seconds), 1e-9)),
        "metrics": measure(output, truth, labels),
    }
    report(task)


def read_rows(task, metadata, features):
    """Encoded rows, the target's cells where they are there, and where they are from."""
    files = [*task.files("*.csv"), *task.files("*.npz")]
    if len(files) > 1:
        raise skill.InputError(f"one file of rows at a time: {', '.join(path.name for path in files)}")
    if not files:
        rows = np.random.default_rng(0).normal(0, 1, (task.data.get("rows", 1000), features))
        return rows, None, "synthetic"
    [path] = files
    wants = metadata.get("kind")
    if path.suffix.lower() == ".npz":
        if wants != "array":
            raise skill.InputError(f"the model was trained on a table; {path.name} is an array")
        x, truth, shape, _ = read_arrays(path)
        truth = None if truth is None else [str(v) for v in truth]
    else:
        if wants != "table":
            raise skill.InputError(f"the model was trained on an array; {path.name} is a table")
        _, columns = read_cells(path)
        x, truth = encode(columns, metadata["columns"]), columns.get(metadata["target"])
        shape = [x.shape[1]]
    if x.shape[1] != features:
        raise skill.InputError(f"the model takes {features} numbers a row; {path.name} gives {x.shape[1]} ({shape})")
    if len(x) == 0:
        raise skill.InputError(f"{path.name} has no rows")
    return x, truth, path.name


def measure(output, truth, labels):
    if truth is None:
        return None
    if labels:
        hits = sum(labels[k] == cell for k, cell in zip(output.argmax(axis=1), truth, strict=True))
        return {"accuracy": hits / len(truth)}
    try:
        rest = output[:, 0] - np.array(truth, float)
    except ValueError:
        raise skill.InputError("the target's column holds something that is not a number") from None
    return {"rmse": float(np.sqrt((rest**2).mean())), "mae": float(np.abs(rest).mean())} if np.isfinite(rest).all() else None


def write(task, output, labels):
    columns = {"row": np.arange(1, len(output) + 1)}
    forms = {"row": "%d"}
    if labels:
        columns["prediction"] = [labels[k] for k in output.argmax(axis=1)]
        for k, label in enumerate(labels):
            columns[f"p_{label}"], forms[f"p_{label}"] = output[:, k], "%.8g"
    else:
        columns["prediction"], forms["prediction"] = output[:, 0], "%.8g"
    write_table(task.path("predictions.csv"), columns, forms)


def report(task):
    result = task.result
    page = Report("Predictions")
    if result["synthetic"]:
        page.note("The rows are SYNTHETIC: the task gave none.")
    page.text(f"{result['rows']} rows by a model of the kind {result['model']}, {result['batch']} at a time, {result['rows_per_second']:.0f} a second.")
    page.table(["percentile", "ms"], [[name, f"{value:.3f}"] for name, value in result["latency_ms"].items()])
    if result["metrics"]:
        page.table(["", ""], [[name, f"{value:.4g}"] for name, value in result["metrics"].items()])
    page.picture(task.path("latency.png"), "Latency by percentile")
    page.write(task.path("report.html"))


if __name__ == "__main__":
    with skill.running() as current:
        main(current)
