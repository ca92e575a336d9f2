"""A network of two hidden layers, trained by Adam in small batches, stopped when the validation loss rises."""

import numpy as np
from queztl_skill.model_file import GraphBuilder, softmax

BATCH, RATE, DECAY, PATIENCE = 64, 2e-3, 1e-4, 20


class Network:
    name = "mlp"

    def __init__(self, epochs=200, seed=0):
        self.epochs, self.seed, self.history = epochs, seed, []

    def fit(self, x, y, classes, x_val, y_val, progress):
        random = np.random.default_rng(self.seed)
        self.mean, self.scale = x.mean(axis=0), np.where(x.std(axis=0) > 0, x.std(axis=0), 1)
        self.classes = classes
        self.middle, self.spread = (0.0, 1.0) if classes else (y.mean(), max(y.std(), 1e-12))
        z, z_val = (x - self.mean) / self.scale, (x_val - self.mean) / self.scale
        target = np.eye(classes)[y] if classes else ((y - self.middle) / self.spread)[:, None]
        target_val = np.eye(classes)[y_val] if classes else ((y_val - self.middle) / self.spread)[:, None]
        sizes = [x.shape[1], 64, 32, classes or 1]
        self.layers = [
            [random.normal(0, np.sqrt(2 / a), (a, b)), np.zeros(b)] for a, b in zip(sizes[:-1], sizes[1:], strict=True)
        ]
        moments = [[np.zeros_like(p), np.zeros_like(p)] for layer in self.layers for p in layer]
        best, kept, since, step = np.inf, None, 0, 0
        for epoch in range(self.epochs):
            order = random.permutation(len(z))
            for start in range(0, len(z), BATCH):
                rows = order[start : start + BATCH]
                step += 1
                _adam(self.layers, self._gradients(z[rows], target[rows]), moments, step)
            losses = self._loss(z, target), self._loss(z_val, target_val)
            self.history.append(losses)
            if losses[1] < best - 1e-5:
                best, since = losses[1], 0
                kept = [[p.copy() for p in layer] for layer in self.layers]
            else:
                since += 1
            progress((epoch + 1) / self.epochs, f"epoch {epoch + 1}, validation loss {losses[1]:.4f}")
            if since >= PATIENCE:
                break
        self.layers = kept or self.layers

    def _forward(self, z):
        values = [z]
        for w, b in self.layers[:-1]:
            values.append(np.maximum(values[-1] @ w + b, 0))
        w, b = self.layers[-1]
        return values, values[-1] @ w + b

    def _gradients(self, z, target):
        values, out = self._forward(z)
        rest = ((softmax(out) - target) if self.classes else (out - target)) / len(z)
        gradients = []
        for at in range(len(self.layers) - 1, -1, -1):
            w, _ = self.layers[at]
            gradients[:0] = [values[at].T @ rest + DECAY * w, rest.sum(axis=0)]
            rest = (rest @ w.T) * (values[at] > 0)
        return gradients

    def _loss(self, z, target):
        out = self._forward(z)[1]
        if self.classes:
            return float(-np.log(np.maximum((softmax(out) * target).sum(axis=1), 1e-12)).mean())
        return float(((out - target) ** 2).mean())

    def raw(self, x):
        return self._forward((x - self.mean) / self.scale)[1] * self.spread + self.middle

    def graph(self):
        builder = GraphBuilder()
        builder.standardise(self.mean, self.scale)
        for w, b in self.layers[:-1]:
            builder.dense(w, b)
            builder.add("Relu")
        w, b = self.layers[-1]
        builder.dense(w * self.spread, b * self.spread + self.middle)
        if self.classes:
            builder.add("Softmax", axis=1)
        return builder


def _adam(layers, gradients, moments, step):
    parameters = [p for layer in layers for p in layer]
    for p, g, (m, v) in zip(parameters, gradients, moments, strict=True):
        m += 0.1 * (g - m)
        v += 0.001 * (g * g - v)
        p -= RATE * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
