"""Models as ONNX graphs, and what such a graph computes.

A graph takes `x`, encoded rows, and gives `y`: a probability a class, or one value. Only the operators below are used, and only
they are run: Sub, Div, Gemm, Relu, Add, Softmax and TreeEnsembleRegressor (ai.onnx.ml).
"""

import json

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from .task import InputError

OPSET, ML_OPSET, IR = 13, 1, 8
NODES_MAX = 64
TREE_LEVELS_MAX = 64


class GraphBuilder:
    """Puts nodes one after the other."""

    def __init__(self):
        self.nodes, self.constants, self.last = [], [], "x"

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def add(self, operator, *inputs, **attributes):
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, [self.last, *inputs], [name], **attributes))
        self.last = name

    def standardise(self, mean, scale):
        self.add("Sub", self.constant(mean))
        self.add("Div", self.constant(scale))

    def dense(self, weights, bias):
        self.add("Gemm", self.constant(weights), self.constant(bias))

    def build(self, features, outputs, metadata):
        self.nodes[-1].output[0] = "y"
        graph = helper.make_graph(
            self.nodes,
            "queztl",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", features])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", outputs])],
            self.constants,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        model = helper.make_model(graph, producer_name="queztl", opset_imports=opsets)
        model.ir_version = IR
        helper.set_model_props(model, {"queztl": json.dumps(metadata)})
        onnx.checker.check_model(model)
        return model


def load_model(path):
    """The graph, its constants and what the trainer wrote about it."""
    try:
        model = onnx.load_model_from_string(path.read_bytes())
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        raise InputError(f"{path.name} is not an ONNX model: {str(error).splitlines()[0] if str(error) else 'it cannot be read'}") from None
    properties = {prop.key: prop.value for prop in model.metadata_props}
    try:
        metadata = json.loads(properties["queztl"])
    except (KeyError, ValueError):
        raise InputError(f"{path.name} does not say how a table's cells are encoded: train it with train-model") from None
    if len(model.graph.node) > NODES_MAX:
        raise InputError(f"{path.name} has {len(model.graph.node)} nodes, at most {NODES_MAX} are run")
    unknown = {node.op_type for node in model.graph.node} - OPERATORS.keys()
    if unknown:
        raise InputError(f"{path.name} uses {', '.join(sorted(unknown))}; only {', '.join(OPERATORS)} are run")
    constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    return model.graph, constants, metadata


def compute(graph, constants, x):
    """What a graph gives for encoded rows, in single precision as every ONNX runtime computes."""
    values = {**constants, "x": np.asarray(x, np.float32)}
    for node in graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        try:
            inputs = [values[name] for name in node.input]
            values[node.output[0]] = OPERATORS[node.op_type](*inputs, **attributes).astype(np.float32)
        except (ValueError, TypeError, LookupError, ArithmeticError) as error:
            raise InputError(f"the model's {node.op_type} cannot be computed: {error}") from None
    return values["y"]


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _gemm(a, b, c, **_):
    return a @ b + c


def _trees(x, **a):
    """TreeEnsembleRegressor with BRANCH_LEQ: all trees walk down together, a level at a time."""
    tree, node = np.array(a["nodes_treeids"]), np.array(a["nodes_nodeids"])
    key = lambda t, n: np.asarray(t) * (node.max() + 1) + np.asarray(n)
    order = np.argsort(key(tree, node))
    place = lambda t, n: order[np.searchsorted(key(tree, node)[order], key(t, n))]
    leaf = np.array([mode == b"LEAF" for mode in a["nodes_modes"]])
    feature, value = np.array(a["nodes_featureids"]), np.array(a["nodes_values"], np.float32)
    yes = np.where(leaf, np.arange(len(leaf)), place(tree, np.where(leaf, node, a["nodes_truenodeids"])))
    no = np.where(leaf, np.arange(len(leaf)), place(tree, np.where(leaf, node, a["nodes_falsenodeids"])))
    roots = place(np.unique(tree), 0)
    weight, output = np.zeros(len(leaf), np.float64), np.zeros(len(leaf), int)
    at = place(a["target_treeids"], a["target_nodeids"])
    weight[at], output[at] = a["target_weights"], a["target_ids"]
    now = np.tile(roots, (len(x), 1))
    levels = 0
    while not leaf[now].all():
        if (levels := levels + 1) > TREE_LEVELS_MAX:
            raise InputError(f"a tree of the model is deeper than {TREE_LEVELS_MAX} levels, or goes round")
        below = np.take_along_axis(x, feature[now], axis=1) <= value[now]
        now = np.where(below, yes[now], no[now])
    result = np.tile(np.asarray(a.get("base_values", [0.0] * a["n_targets"]), np.float64), (len(x), 1))
    for k in range(a["n_targets"]):
        result[:, k] += np.where(output[now] == k, weight[now], 0).sum(axis=1)
    return result


OPERATORS = {
    "Sub": np.subtract,
    "Div": np.divide,
    "Add": np.add,
    "Relu": lambda x: np.maximum(x, 0),
    "Gemm": _gemm,
    "Softmax": softmax,
    "TreeEnsembleRegressor": _trees,
}
