"""Gradient-boosted trees on histograms, with Newton steps (Chen and Guestrin, 2016)."""

import numpy as np
from queztl_skill.model_file import GraphBuilder, softmax

BINS, DEPTH, RATE, LAMBDA, LEAST_HESSIAN, PATIENCE = 64, 4, 0.1, 1.0, 1.0, 15


class Trees:
    name = "trees"

    def __init__(self, rounds=150):
        self.rounds, self.history, self.trees = rounds, [], []

    def fit(self, x, y, classes, x_val, y_val, progress):
        self.classes, self.features = classes, x.shape[1]
        # Thresholds are single-precision numbers between neighbouring values: what any ONNX runtime compares with.
        x, x_val = x.astype(np.float32), x_val.astype(np.float32)
        self.edges = [_edges(column) for column in x.T]
        codes = np.stack([np.searchsorted(e, c) for e, c in zip(self.edges, x.T, strict=True)], axis=1)
        self.outputs = classes or 1
        self.base = np.log(np.bincount(y, minlength=classes) / len(y) + 1e-9) if classes else np.array([y.mean()])
        score, val = np.tile(self.base, (len(x), 1)), np.tile(self.base, (len(x_val), 1))
        target = np.eye(classes)[y] if classes else y[:, None]
        best, best_round = np.inf, 0
        for number in range(self.rounds):
            if classes:
                p = softmax(score)
                gradient, hessian = p - target, np.maximum(p * (1 - p), 1e-9)
            else:
                gradient, hessian = score - target, np.ones_like(score)
            for k in range(self.outputs):
                tree, leaf = _grow(codes, gradient[:, k], hessian[:, k], self.edges)
                score[:, k] += tree.value[leaf]
                val[:, k] += tree.predict(x_val)
                self.trees.append((k, tree))
            losses = _loss(score, y, classes), _loss(val, y_val, classes)
            self.history.append(losses)
            if losses[1] < best - 1e-6:
                best, best_round = losses[1], number
            progress((number + 1) / self.rounds, f"round {number + 1}, validation loss {losses[1]:.4f}")
            if number - best_round >= PATIENCE:
                break
        self.trees = self.trees[: (best_round + 1) * self.outputs]

    def raw(self, x):
        score, x = np.tile(self.base, (len(x), 1)), x.astype(np.float32)
        for k, tree in self.trees:
            score[:, k] += tree.predict(x)
        return score

    def graph(self):
        keys = ["treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids"]
        nodes = {f"nodes_{key}": [] for key in keys}
        target = {f"target_{key}": [] for key in ["treeids", "nodeids", "ids", "weights"]}
        for number, (k, tree) in enumerate(self.trees):
            for node in range(len(tree.feature)):
                leaf = tree.left[node] < 0
                row = [number, node, int(max(tree.feature[node], 0)), float(tree.threshold[node]),
                       "LEAF" if leaf else "BRANCH_LEQ", 0 if leaf else int(tree.left[node]), 0 if leaf else int(tree.right[node])]
                for key, value in zip(keys, row, strict=True):
                    nodes[f"nodes_{key}"].append(value)
                if leaf:
                    for key, value in zip(["treeids", "nodeids", "ids", "weights"], [number, node, k, float(tree.value[node])], strict=True):
                        target[f"target_{key}"].append(value)
        builder = GraphBuilder()
        builder.add(
            "TreeEnsembleRegressor", domain="ai.onnx.ml", n_targets=self.outputs, post_transform="NONE",
            aggregate_function="SUM", base_values=[float(b) for b in self.base], **nodes, **target,
        )
        if self.classes:
            builder.add("Softmax", axis=1)
        return builder


class Tree:
    """Nodes in arrays; a row goes left where its feature is at most the threshold."""

    def __init__(self):
        self.feature, self.threshold, self.left, self.right, self.value = [], [], [], [], []

    def node(self):
        for column, empty in ((self.feature, -1), (self.threshold, 0.0), (self.left, -1), (self.right, -1), (self.value, 0.0)):
            column.append(empty)
        return len(self.feature) - 1

    def freeze(self):
        self.feature, self.left, self.right = (np.array(c, int) for c in (self.feature, self.left, self.right))
        self.threshold, self.value = np.array(self.threshold, np.float32), np.array(self.value)

    def predict(self, x):
        now = np.zeros(len(x), int)
        for _ in range(DEPTH):
            inner = self.left[now] >= 0
            below = x[np.arange(len(x)), np.maximum(self.feature[now], 0)] <= self.threshold[now]
            now = np.where(inner, np.where(below, self.left[now], self.right[now]), now)
        return self.value[now]


def _edges(column):
    values = np.unique(column)
    if len(values) > BINS:
        values = np.unique(np.quantile(values, np.linspace(0, 1, BINS)).astype(np.float32))
    middle = ((values[:-1].astype(float) + values[1:]) / 2).astype(np.float32)
    # A middle that rounds up to its upper neighbour would send that one left.
    return np.where(middle >= values[1:], values[:-1], middle)


def _grow(codes, gradient, hessian, edges):
    rows, features = codes.shape
    tree, leaf_of = Tree(), np.zeros(rows, int)
    level = [tree.node()]
    offset = np.arange(features) * BINS
    for _ in range(DEPTH):
        slot = np.full(len(tree.feature), -1)
        slot[level] = np.arange(len(level))
        active = np.flatnonzero(slot[leaf_of] >= 0)
        index = (slot[leaf_of[active]][:, None] * features * BINS + offset + codes[active]).ravel()
        size, shape = len(level) * features * BINS, (len(level), features, BINS)
        g = np.bincount(index, np.repeat(gradient[active], features), size).reshape(shape)
        h = np.bincount(index, np.repeat(hessian[active], features), size).reshape(shape)
        left_g, left_h = g.cumsum(axis=2), h.cumsum(axis=2)
        total_g, total_h = left_g[:, :1, -1:], left_h[:, :1, -1:]
        right_g, right_h = total_g - left_g, total_h - left_h
        gain = left_g**2 / (left_h + LAMBDA) + right_g**2 / (right_h + LAMBDA) - total_g**2 / (total_h + LAMBDA)
        gain[(left_h < LEAST_HESSIAN) | (right_h < LEAST_HESSIAN)] = -np.inf
        flat = gain.reshape(len(level), -1)
        best = flat.argmax(axis=1)
        following = []
        for at, node in enumerate(level):
            if not flat[at, best[at]] > 1e-9:
                continue
            feature, code = divmod(int(best[at]), BINS)
            tree.feature[node], tree.threshold[node] = feature, edges[feature][code]
            tree.left[node], tree.right[node] = tree.node(), tree.node()
            own = np.flatnonzero(leaf_of == node)
            goes_left = codes[own, feature] <= code
            leaf_of[own] = np.where(goes_left, tree.left[node], tree.right[node])
            following += [tree.left[node], tree.right[node]]
        level = following
        if not level:
            break
    g, h = (np.bincount(leaf_of, values, len(tree.feature)) for values in (gradient, hessian))
    tree.value = list(-RATE * g / (h + LAMBDA))
    tree.freeze()
    return tree, leaf_of


def _loss(score, y, classes):
    if not classes:
        return float(((score[:, 0] - y) ** 2).mean())
    return float(-np.log(np.maximum(softmax(score)[np.arange(len(y)), y], 1e-12)).mean())
