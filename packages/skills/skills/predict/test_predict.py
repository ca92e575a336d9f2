"""Predictions equal the trainer's own; broken models and rows are refused."""

import csv
import io
import json
import unittest
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, load_model_from_string
from queztl_skill.task import EXIT_DATA
from queztl_skill.test_support import run_program
from sklearn.datasets import load_digits, load_wine

HERE = Path(__file__).parent


def wine(rows=None):
    data = load_wine()
    order = np.random.default_rng(0).permutation(len(data.data))[:rows]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*data.feature_names, "cultivar"])
    writer.writerows([*data.data[i], f"type {data.target[i]}"] for i in order)
    return text.getvalue().encode()


class Equal(unittest.TestCase):
    def test_every_kind_of_model_predicts_what_its_trainer_did(self):
        for kind in ("linear", "trees", "mlp"):
            ended, trained = run_program(HERE.parent / "train-model", {"model": kind, "rounds": 20, "epochs": 20}, {"wine.csv": wine()})
            self.assertEqual(ended.returncode, 0, ended.stderr)
            ended, files = run_program(HERE, {"batch": 7}, {"model.onnx": trained["model.onnx"], "wine.csv": wine()})
            self.assertEqual(ended.returncode, 0, ended.stderr)
            predicted = list(csv.DictReader(io.StringIO(files["predictions.csv"].decode())))
            tested = list(csv.DictReader(io.StringIO(trained["test-predictions.csv"].decode())))
            self.assertGreater(len(tested), 30)
            for row in tested:
                mine = predicted[int(row["row"]) - 1]
                self.assertEqual(mine["prediction"], row["prediction"])
                self.assertAlmostEqual(float(mine[f"p_{row['prediction']}"]), float(row["probability"]), places=5)
            result = json.loads(files["result.json"])
            self.assertEqual(result["rows"], 178)
            self.assertGreater(result["metrics"]["accuracy"], 0.9)
            self.assertLessEqual(result["latency_ms"]["p50"], result["latency_ms"]["p99"])

    def test_pictures(self):
        digits = load_digits()
        buffer = io.BytesIO()
        np.savez(buffer, x=digits.images[:400].astype(np.uint8), y=digits.target[:400])
        ended, trained = run_program(HERE.parent / "train-model", {"model": "linear"}, {"digits.npz": buffer.getvalue()})
        self.assertEqual(ended.returncode, 0, ended.stderr)
        ended, files = run_program(HERE, {}, {"model.onnx": trained["model.onnx"], "more.npz": buffer.getvalue()})
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertGreater(json.loads(files["result.json"])["metrics"]["accuracy"], 0.9)


class Refused(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = run_program(HERE.parent / "train-model", {"model": "linear"}, {"wine.csv": wine()})[1]["model.onnx"]

    def refused(self, files, words):
        ended, left = run_program(HERE, {}, files)
        self.assertEqual(ended.returncode, EXIT_DATA, ended.stderr)
        self.assertIn(words, ended.stdout)
        self.assertEqual(left, {})

    def test_models(self):
        self.refused({"m.onnx": b"\x08\x08hello"}, "not an ONNX model")
        self.refused({"m.onnx": self.model[:200]}, "not an ONNX model")
        value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])
        other = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])
        model = helper.make_model(helper.make_graph([helper.make_node("Sin", ["x"], ["y"])], "g", [value], [other]))
        self.refused({"m.onnx": model.SerializeToString()}, "how a table's cells are encoded")
        helper.set_model_props(model, {"queztl": "{}"})
        self.refused({"m.onnx": model.SerializeToString()}, "uses Sin")

    def test_trees_that_go_round_or_point_nowhere(self):
        trained = run_program(HERE.parent / "train-model", {"model": "trees", "rounds": 2}, {"wine.csv": wine()})[1]
        for name, value, words in [("nodes_falsenodeids", 0, "goes round"), ("nodes_featureids", 10**6, "cannot be computed")]:
            model = load_model_from_string(trained["model.onnx"])
            for attribute in model.graph.node[0].attribute:
                if attribute.name in (name, name.replace("false", "true")):
                    attribute.ints[:] = [value] * len(attribute.ints)
            self.refused({"m.onnx": model.SerializeToString()}, words)

    def test_rows(self):
        text = wine(5)
        self.refused({"m.onnx": self.model, "a.csv": b"alcohol\n1\n"}, "no column malic_acid")
        cell = text.split(b"\r\n")[2].split(b",")[0]
        self.refused({"m.onnx": self.model, "a.csv": text.replace(cell, b"nan", 1)}, "not a finite number")
        self.refused({"m.onnx": self.model, "a.csv": text.replace(cell, b"much", 1)}, "is 'much', not a number")
        broken = io.BytesIO()
        np.savez(broken, x=np.zeros((3, 13)))
        self.refused({"m.onnx": self.model, "a.npz": broken.getvalue()}, "trained on a table")
        self.refused({"m.onnx": self.model, "a.npz": broken.getvalue()[:100]}, "trained on a table")


if __name__ == "__main__":
    unittest.main()
