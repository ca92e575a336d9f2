"""How good predictions are."""

import numpy as np


def classification(probability, y):
    """Accuracy, macro F1, log loss, and the confusion matrix (rows are the truth)."""
    classes = probability.shape[1]
    guess = probability.argmax(axis=1)
    confusion = np.bincount(y * classes + guess, minlength=classes * classes).reshape(classes, classes)
    hit = np.diag(confusion)
    f1 = 2 * hit / np.maximum(confusion.sum(axis=0) + confusion.sum(axis=1), 1)
    loss = -np.log(np.maximum(probability[np.arange(len(y)), y], 1e-12)).mean()
    return {
        "accuracy": float(hit.sum() / len(y)),
        "macro_f1": float(f1.mean()),
        "log_loss": float(loss),
        "confusion": confusion.tolist(),
    }


def regression(value, y):
    """Root mean square error, mean absolute error, and the part of the variance explained."""
    rest = y - value
    spread = ((y - y.mean()) ** 2).mean()
    return {
        "rmse": float(np.sqrt((rest**2).mean())),
        "mae": float(np.abs(rest).mean()),
        "r2": float(1 - (rest**2).mean() / spread) if spread > 0 else 0.0,
    }
