"""Against scikit-learn on the data sets that come with it, and broken input."""

import csv
import io
import json
import struct
import tempfile
import unittest
import zipfile
from pathlib import Path

import numpy as np
from queztl_skill.model_file import compute, load_model, softmax
from queztl_skill.task import EXIT_DATA
from queztl_skill.test_support import run_program
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score, log_loss, r2_score
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from data import Data, split
from linear import Linear
from metrics import classification, regression
from network import Network
from trees import Trees

HERE = Path(__file__).parent


def quiet(*_):
    pass


def parts(loader, classify=True):
    data = loader()
    x, y = data.data, data.target
    rows = split(Data(x, y, list(np.unique(y)) if classify else [], {}, ""), 0)
    return [(x[r], y[r]) for r in rows]


def fitted(model, sets, classes):
    (x, y), validation, _ = sets
    model.fit(x, y, classes, *validation, quiet)
    return model


def table(rows, head):
    text = io.StringIO()
    csv.writer(text).writerows([head, *rows])
    return text.getvalue().encode()


class LinearModels(unittest.TestCase):
    def test_logistic_regression_is_scikit_learns(self):
        for loader, classes in ((load_breast_cancer, 2), (load_iris, 3)):
            sets = parts(loader)
            mine = fitted(Linear(1.0), sets, classes)
            scaler = StandardScaler().fit(sets[0][0])
            theirs = LogisticRegression(C=1.0, multi_class="multinomial", tol=1e-9, max_iter=5000)
            theirs.fit(scaler.transform(sets[0][0]), sets[0][1])
            expected = theirs.predict_proba(scaler.transform(sets[2][0]))
            self.assertLess(np.abs(softmax(mine.raw(sets[2][0])) - expected).max(), 2e-3, loader.__name__)

    def test_ridge_is_scikit_learns(self):
        sets = parts(load_diabetes, classify=False)
        mine = fitted(Linear(3.0), sets, 0)
        scaler = StandardScaler().fit(sets[0][0])
        theirs = Ridge(alpha=3.0).fit(scaler.transform(sets[0][0]), sets[0][1])
        self.assertLess(np.abs(mine.raw(sets[2][0])[:, 0] - theirs.predict(scaler.transform(sets[2][0]))).max(), 1e-6)


class TreeModels(unittest.TestCase):
    def test_as_good_as_scikit_learns(self):
        sets = parts(load_breast_cancer)
        mine = fitted(Trees(), sets, 2)
        theirs = HistGradientBoostingClassifier(random_state=0).fit(*sets[0])
        own = (mine.raw(sets[2][0]).argmax(axis=1) == sets[2][1]).mean()
        self.assertGreaterEqual(own, theirs.score(*sets[2]) - 0.02)
        sets = parts(load_diabetes, classify=False)
        mine = fitted(Trees(), sets, 0)
        theirs = HistGradientBoostingRegressor(random_state=0).fit(*sets[0])
        own = r2_score(sets[2][1], mine.raw(sets[2][0])[:, 0])
        self.assertGreaterEqual(own, theirs.score(*sets[2]) - 0.03)

    def test_stops_early_and_keeps_the_best(self):
        random = np.random.default_rng(0)
        x, noise = random.normal(size=(300, 5)), random.integers(0, 2, 300)
        mine = Trees(300)
        mine.fit(x[:200], noise[:200], 2, x[200:], noise[200:], quiet)
        self.assertLess(len(mine.history), 100)
        losses = [validation for _, validation in mine.history]
        self.assertEqual(len(mine.trees), 2 * (int(np.argmin(losses)) + 1))


class Networks(unittest.TestCase):
    def test_as_good_as_scikit_learns_on_pictures(self):
        sets = parts(load_digits)
        mine = fitted(Network(60), sets, 10)
        scaler = StandardScaler().fit(sets[0][0])
        theirs = MLPClassifier((64, 32), max_iter=60, random_state=0).fit(scaler.transform(sets[0][0]), sets[0][1])
        own = (mine.raw(sets[2][0]).argmax(axis=1) == sets[2][1]).mean()
        self.assertGreaterEqual(own, theirs.score(scaler.transform(sets[2][0]), sets[2][1]) - 0.02)


class Metrics(unittest.TestCase):
    def test_are_scikit_learns(self):
        random = np.random.default_rng(1)
        probability, y = softmax(random.normal(size=(200, 4))), random.integers(0, 4, 200)
        mine = classification(probability, y)
        self.assertAlmostEqual(mine["macro_f1"], f1_score(y, probability.argmax(axis=1), average="macro"))
        self.assertAlmostEqual(mine["log_loss"], log_loss(y, probability))
        value = random.normal(size=200)
        self.assertAlmostEqual(regression(value, y)["r2"], r2_score(y, value))


class SavedModels(unittest.TestCase):
    def test_compute_what_was_trained(self):
        sets = parts(load_iris)
        diabetes = parts(load_diabetes, classify=False)
        for make in (lambda: Linear(), lambda: Trees(25), lambda: Network(15)):
            for data, classes in ((sets, 3), (diabetes, 0)):
                model = fitted(make(), data, classes)
                with tempfile.TemporaryDirectory() as home:
                    path = Path(home, "m.onnx")
                    path.write_bytes(model.graph().build(data[0][0].shape[1], max(classes, 1), {}).SerializeToString())
                    graph, constants, _ = load_model(path)
                raw = model.raw(data[2][0])
                expected = softmax(raw) if classes else raw
                found = compute(graph, constants, data[2][0])
                self.assertLess((np.abs(found - expected) / np.maximum(np.abs(expected), 1)).max(), 1e-4, model.name)


class Program(unittest.TestCase):
    def test_words_and_numbers(self):
        random = np.random.default_rng(2)
        rows = [[c := random.choice(["red", "green", "blue"]), s := random.uniform(0, 1), "big" if (c == "red") == (s > 0.5) else "small"] for _ in range(300)]
        ended, files = run_program(HERE, {"target": "size"}, {"t.csv": table(rows, ["colour", "share", "size"])})
        self.assertEqual(ended.returncode, 0, ended.stderr)
        result = json.loads(files["result.json"])
        self.assertEqual(result["classes"], ["big", "small"])
        self.assertNotEqual(result["model"], "linear")
        self.assertGreater(result["test"]["accuracy"], 0.9)

    def test_same_seed_same_model(self):
        one, two = (run_program(HERE, {"rows": 200, "epochs": 5, "rounds": 5, "seed": 4})[1] for _ in range(2))
        self.assertEqual(one["model.onnx"], two["model.onnx"])
        self.assertTrue(json.loads(one["result.json"])["synthetic"])

    def test_broken_input_is_refused_in_words(self):
        good = [[i, i % 3, i % 2] for i in range(60)]
        pickled = io.BytesIO()
        np.savez(pickled, x=np.array([{"a": 1}] * 40, dtype=object), y=np.zeros(40))
        for data, files, words in [
            ({}, {"t.csv": table([[1, "nan", i % 2] for i in range(40)], ["p", "q", "r"])}, "row 1: q is nan"),
            ({}, {"t.csv": table([[1, "", i % 2] for i in range(40)], ["p", "q", "r"])}, "row 1: q is empty"),
            ({}, {"t.csv": table([[1, 2]] * 40, ["p", "q"])}, "1 different values"),
            ({}, {"t.csv": table(good[:10], ["p", "q", "r"])}, "at least 30"),
            ({"target": "z"}, {"t.csv": table(good, ["p", "q", "r"])}, "no column z"),
            ({}, {"t.csv": table(good, ["p", "p", "r"])}, "twice"),
            ({}, {"t.csv": table([*good, [1, 2]], ["p", "q", "r"])}, "row 61 has 2 cells"),
            ({}, {"t.npz": pickled.getvalue()}, "does not hold an array x"),
            ({}, {"t.npz": b"PK\x03\x04nonsense"}, "cannot be read"),
            ({}, {"t.npz": claiming(10**10)}, "claims 10000000000 numbers"),
            ({}, {"t.npz": claiming(10**20)}, "claims"),
            ({}, {"t.csv": table([[i, 1e200 * i, i % 2] for i in range(40)], ["p", "q", "r"])}, "row 2: q is 1e+200"),
            ({"task": "regression"}, {"t.csv": table([[i, "ab"[i % 2]] for i in range(40)], ["p", "q"])}, "holds words"),
        ]:
            ended, left = run_program(HERE, data, files)
            self.assertEqual(ended.returncode, EXIT_DATA, f"{words}: {ended.stderr}")
            self.assertIn(words, ended.stdout)
            self.assertEqual(left, {})


def claiming(count):
    """An archive whose array has a header for so many numbers, and none of them."""
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({count},), }}".encode().ljust(117) + b"\n"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head)
    return archive.getvalue()


if __name__ == "__main__":
    unittest.main()
