"""Rows to learn from: read or made, and split."""

from dataclasses import dataclass

import numpy as np
from queztl_skill.encoding import encode, learn_encoding, numbers, read_arrays, read_cells
from queztl_skill.task import InputError

CLASSES_MAX = 50


@dataclass
class Data:
    """Encoded rows; `labels` are the classes' names, empty for regression."""

    x: np.ndarray
    y: np.ndarray
    labels: list
    metadata: dict
    source: str


def read_data(task):
    files = task.files("*.*")
    if len(files) > 1:
        raise InputError(f"one file at a time: {', '.join(path.name for path in files)}")
    if not files:
        return make_data(task.data.get("rows", 1000), task.data.get("task", "classification"), task.data.get("seed", 0))
    path = files[0]
    if path.suffix.lower() == ".npz":
        x, y, shape, scale = read_arrays(path)
        if y is None or y.shape != (len(x),):
            raise InputError(f"{path.name} needs an array y with one value a row of x")
        labels, target = _target([str(v) for v in y], "y", task.data.get("task"))
        return _checked(Data(x, target, labels, {"kind": "array", "shape": shape, "scale": scale, "target": "y"}, path.name))
    head, columns = read_cells(path)
    name = task.data.get("target", head[-1])
    if name not in columns:
        raise InputError(f"there is no column {name} to predict; there are {', '.join(head[:20])}")
    labels, target = _target(columns[name], name, task.data.get("task"))
    encoding = learn_encoding(columns, [one for one in head if one != name])
    if not encoding:
        raise InputError(f"{path.name} has no column beside {name}")
    return _checked(Data(encode(columns, encoding), target, labels, {"kind": "table", "columns": encoding, "target": name}, path.name))


def _target(cells, name, kind):
    values = numbers(cells, name)
    whole = values is not None and (values == np.round(values)).all() and len(np.unique(values)) <= 20
    if kind == "regression" or (kind is None and values is not None and not whole):
        if values is None:
            raise InputError(f"{name} holds words: it can be classified, not regressed")
        return [], values
    words = sorted(set(cells), key=(lambda w: (float(w), w)) if values is not None else None)
    if not 2 <= len(words) <= CLASSES_MAX:
        raise InputError(f"{name} has {len(words)} different values; classification needs 2 to {CLASSES_MAX}")
    number = {word: i for i, word in enumerate(words)}
    return words, np.array([number[cell] for cell in cells])


def _checked(data):
    if len(data.x) < 30:
        raise InputError(f"{data.source} has {len(data.x)} rows; training needs at least 30")
    if data.labels and np.bincount(data.y).min() < 3:
        rare = data.labels[int(np.bincount(data.y).argmin())]
        raise InputError(f"class {rare} has fewer than 3 rows: too few to train, validate and test")
    return data


def make_data(rows, kind, seed):
    """A synthetic table: two numbers decide, four are noise."""
    random = np.random.default_rng(seed)
    x = random.normal(0, 1, (rows, 6))
    value = np.sin(1.5 * x[:, 0]) + 0.5 * x[:, 1] ** 2 + random.normal(0, 0.1, rows)
    columns = [{"name": f"x{i + 1}"} for i in range(6)]
    metadata = {"kind": "table", "columns": columns, "target": "y"}
    if kind == "regression":
        return Data(x, value, [], metadata, "synthetic")
    return Data(x, (value > np.median(value)).astype(int), ["low", "high"], metadata, "synthetic")


def split(data, seed):
    """Rows for training, validation and test: 60, 20 and 20 of a hundred, of each class alike."""
    random = np.random.default_rng(seed)
    groups = [np.flatnonzero(data.y == k) for k in range(len(data.labels))] if data.labels else [np.arange(len(data.y))]
    parts = ([], [], [])
    for group in groups:
        order = random.permutation(group)
        # At least one row of each class in each part.
        fifth = max(1, round(len(order) * 0.2))
        for part, rows in zip(parts, (order[2 * fifth :], order[:fifth], order[fifth : 2 * fifth]), strict=True):
            part.append(rows)
    return tuple(np.sort(np.concatenate(part)) for part in parts)
