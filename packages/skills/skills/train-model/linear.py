"""Ridge regression and multinomial logistic regression with an L2 penalty, by L-BFGS."""

import numpy as np
from queztl_skill.model_file import GraphBuilder, softmax
from scipy.optimize import minimize


class Linear:
    name = "linear"

    def __init__(self, l2=1.0):
        self.l2, self.history = l2, []

    def fit(self, x, y, classes, x_val, y_val, progress):
        """`y` is class numbers, or values where `classes` is 0. The penalty is l2 / 2 * |w|^2 on the sum of losses."""
        self.mean, self.scale = x.mean(axis=0), np.where(x.std(axis=0) > 0, x.std(axis=0), 1)
        z = (x - self.mean) / self.scale
        self.classes = classes
        if classes:
            target = np.eye(classes)[y]

            def loss(flat):
                w, b = flat[:-classes].reshape(-1, classes), flat[-classes:]
                score = z @ w + b
                top = score.max(axis=1, keepdims=True)
                total = (top[:, 0] + np.log(np.exp(score - top).sum(axis=1)) - (score * target).sum(axis=1)).sum()
                rest = softmax(score) - target
                return total + self.l2 / 2 * (w**2).sum(), np.r_[(z.T @ rest + self.l2 * w).ravel(), rest.sum(axis=0)]

            start = np.zeros((z.shape[1] + 1) * classes)
            found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-6})
            self.w, self.b = found.x[:-classes].reshape(-1, classes), found.x[-classes:]
        else:
            gram = z.T @ z + self.l2 * np.eye(z.shape[1])
            self.w = np.linalg.solve(gram, z.T @ (y - y.mean()))[:, None]
            self.b = np.array([y.mean()])
        progress(1.0, "")

    def raw(self, x):
        return (x - self.mean) / self.scale @ self.w + self.b

    def graph(self):
        builder = GraphBuilder()
        builder.standardise(self.mean, self.scale)
        builder.dense(self.w, self.b)
        if self.classes:
            builder.add("Softmax", axis=1)
        return builder
