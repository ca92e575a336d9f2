"""A table or small pictures to a trained model."""

import numpy as np
from data import read_data, split
from linear import Linear
from metrics import classification, regression
from network import Network
from queztl_skill import task as skill
from queztl_skill.model_file import compute, load_model, softmax
from queztl_skill.pictures import draw_lines
from queztl_skill.report import Report
from queztl_skill.table import write_table
from trees import Trees


def main(task):
    options = task.data
    seed = options.get("seed", 0)
    data = read_data(task)
    classes = len(data.labels)
    train, validation, test = split(data, seed)
    task.progress(0.05, "read", f"{len(data.x)} rows of {data.x.shape[1]} numbers, {f'{classes} classes' if classes else 'regression'}")
    wanted = options.get("model", "auto")
    candidates = [
        Linear(options.get("l2", 1.0)),
        Trees(options.get("rounds", 150)),
        Network(options.get("epochs", 200), seed),
    ]
    candidates = [model for model in candidates if wanted in ("auto", model.name)]
    tried = []
    for number, model in enumerate(candidates):
        told = teller(task, 0.05 + 0.8 * number / len(candidates), 0.8 / len(candidates), model.name)
        model.fit(data.x[train], data.y[train], classes, data.x[validation], data.y[validation], told)
        tried.append((score(model, data, validation, classes), model))
    best = min(tried, key=lambda pair: pair[0]["log_loss" if classes else "rmse"])[1]

    metadata = {**data.metadata, "labels": data.labels, "model": best.name, "trained_on": data.source}
    onnx_model = best.graph().build(data.x.shape[1], max(classes, 1), metadata)
    task.path("model.onnx").write_bytes(onnx_model.SerializeToString())
    # What is reported is what the saved file computes.
    graph, constants, _ = load_model(task.path("model.onnx"))
    output = compute(graph, constants, data.x[test]).astype(float)
    metrics = classification(output, data.y[test]) if classes else regression(output[:, 0], data.y[test])
    task.progress(0.9, "test", f"{best.name}: " + (f"accuracy {metrics['accuracy']:.4f}" if classes else f"RMSE {metrics['rmse']:.4g}"))
    write_predictions(task, data, test, output)
    draw_learning(task, tried)
    task.result = {
        "source": data.source,
        "synthetic": data.source == "synthetic",
        "task": "classification" if classes else "regression",
        "target": data.metadata["target"],
        "classes": data.labels,
        "rows": {"train": len(train), "validation": len(validation), "test": len(test)},
        "features": data.x.shape[1],
        "model": best.name,
        "test": metrics,
        "tried": {model.name: {**found, "steps": len(model.history) or 1} for found, model in tried},
    }
    report(task)


def teller(task, start, span, name):
    last = [start]

    def told(part, message):
        done = start + span * min(part, 1)
        if done - last[0] >= 0.05 or part >= 1:
            last[0] = done
            task.progress(done, f"train {name}", message)

    return told


def score(model, data, rows, classes):
    raw = model.raw(data.x[rows])
    found = classification(softmax(raw), data.y[rows]) if classes else regression(raw[:, 0], data.y[rows])
    found.pop("confusion", None)
    return found


def write_predictions(task, data, rows, output):
    if data.labels:
        guess = [data.labels[k] for k in output.argmax(axis=1)]
        columns = {"row": rows + 1, "truth": [data.labels[k] for k in data.y[rows]], "prediction": guess, "probability": output.max(axis=1)}
    else:
        columns = {"row": rows + 1, "truth": data.y[rows], "prediction": output[:, 0]}
    write_table(task.path("test-predictions.csv"), columns, {"row": "%d", "truth": "%.8g", "prediction": "%.8g", "probability": "%.6f"})


def draw_learning(task, tried):
    series = []
    for _, model in tried:
        if len(model.history) > 1:
            steps = np.arange(1, len(model.history) + 1)
            train, validation = np.array(model.history).T
            series += [(f"{model.name} train", steps, train), (f"{model.name} val", steps, validation)]
    draw_lines(task.path("learning.png"), series or [("linear", [0, 1], [0, 0])], "loss while training", "step", "loss")


def report(task):
    result = task.result
    page = Report(f"A model that predicts {result['target']}")
    if result["synthetic"]:
        page.note("The rows are SYNTHETIC: the task gave no file.")
    rows = result["rows"]
    page.text(f"{rows['train']} rows to train, {rows['validation']} to choose by, {rows['test']} to test, {result['features']} numbers each.")
    page.heading("On the test rows")
    page.table(["", result["model"]], [[key, f"{value:.4g}"] for key, value in result["test"].items() if key != "confusion"])
    if result["classes"]:
        page.table(["truth \\ prediction", *result["classes"]], [[name, *row] for name, row in zip(result["classes"], result["test"]["confusion"], strict=True)])
    page.heading("Models tried, on the validation rows")
    keys = list(next(iter(result["tried"].values())))
    page.table(["", *keys], [[name, *(f"{found[key]:.4g}" for key in keys)] for name, found in result["tried"].items()])
    page.picture(task.path("learning.png"), "Loss while training")
    page.write(task.path("report.html"))


if __name__ == "__main__":
    with skill.running() as current:
        main(current)
