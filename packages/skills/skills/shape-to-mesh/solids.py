"""Implicit solids: functions that are negative inside. Lengths are in metres."""

import numpy as np
from queztl_skill.task import InputError

DEPTH_MAX, SOLIDS_MAX = 32, 2000

EXAMPLES = {
    "torus": {"shape": "torus", "major": 1.0, "minor": 0.35},
    "gyroid": {
        "op": "intersection",
        "of": [{"shape": "sphere", "radius": 1.0}, {"shape": "gyroid", "period": 0.8, "thickness": 0.18}],
    },
    "bracket": {
        "op": "difference",
        "of": [
            {
                "op": "smooth-union",
                "radius": 0.12,
                "of": [
                    {"shape": "box", "center": [0, 0, -0.4], "size": [2, 1.2, 0.2]},
                    {"shape": "box", "center": [-0.9, 0, 0.2], "size": [0.2, 1.2, 1.2]},
                ],
            },
            {"shape": "cylinder", "center": [0.5, 0.3, -0.4], "radius": 0.16, "height": 1},
            {"shape": "cylinder", "center": [0.5, -0.3, -0.4], "radius": 0.16, "height": 1},
            {"shape": "sphere", "center": [-0.9, 0, 0.3], "radius": 0.28},
        ],
    },
}


def solid(scene):
    """A scene's function of points (n, 3) and its bounds [[low], [high]]."""
    return _build(scene, "scene", 0, [0])


def _build(scene, at, depth, count):
    count[0] += 1
    if not isinstance(scene, dict):
        raise InputError(f"{at} is not an object")
    if depth > DEPTH_MAX or count[0] > SOLIDS_MAX:
        raise InputError(f"a scene has at most {SOLIDS_MAX} solids, {DEPTH_MAX} deep")
    if "op" in scene:
        return _combine(scene, at, depth, count)
    shape = scene.get("shape")
    make = SHAPES.get(shape) if isinstance(shape, str) else None
    if make is None:
        raise InputError(f"{at}.shape is {shape!r:.60}; there are {', '.join(SHAPES)}")
    center = _vector(scene, "center", at, [0, 0, 0])
    function, reach = make(scene, at)
    return (lambda p: function(p - center)), np.array([center - reach, center + reach])


def _combine(scene, at, depth, count):
    parts = scene.get("of")
    if not isinstance(parts, list) or not parts:
        raise InputError(f"{at}.of must list solids")
    built = [_build(part, f"{at}.of[{i}]", depth + 1, count) for i, part in enumerate(parts)]
    functions, bounds = [b[0] for b in built], np.array([b[1] for b in built])
    low, high = bounds[:, 0].min(axis=0), bounds[:, 1].max(axis=0)
    op = scene["op"]
    if op == "union":
        return (lambda p: np.min([f(p) for f in functions], axis=0)), np.array([low, high])
    if op == "intersection":
        inner = np.array([bounds[:, 0].max(axis=0), bounds[:, 1].min(axis=0)])
        if (inner[0] >= inner[1]).any():
            raise InputError(f"{at}: the solids do not meet")
        return (lambda p: np.max([f(p) for f in functions], axis=0)), inner
    if op == "difference":
        first, rest = functions[0], functions[1:]
        return (lambda p: np.max([first(p), *(-f(p) for f in rest)], axis=0)), bounds[0]
    if op == "smooth-union":
        k = _number(scene, "radius", at)
        return (lambda p: _smooth(functions, p, k)), np.array([low - k, high + k])
    raise InputError(f"{at}.op is {op!r:.60}; there are union, intersection, difference, smooth-union")


def _smooth(functions, p, k):
    total = functions[0](p)
    for function in functions[1:]:
        other = function(p)
        h = np.maximum(k - np.abs(total - other), 0) / k
        total = np.minimum(total, other) - h * h * k / 4
    return total


def _sphere(scene, at):
    r = _number(scene, "radius", at)
    return (lambda p: np.linalg.norm(p, axis=1) - r), r


def _box(scene, at):
    half = _vector(scene, "size", at, None) / 2
    if not (half > 0).all():
        raise InputError(f"{at}.size must be positive")

    def function(p):
        q = np.abs(p) - half
        return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0)

    return function, half


def _cylinder(scene, at):
    r, h = _number(scene, "radius", at), _number(scene, "height", at) / 2

    def function(p):
        q = np.c_[np.hypot(p[:, 0], p[:, 1]) - r, np.abs(p[:, 2]) - h]
        return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0)

    return function, np.array([r, r, h])


def _torus(scene, at):
    major, minor = _number(scene, "major", at), _number(scene, "minor", at)
    reach = np.array([major + minor, major + minor, minor])
    return (lambda p: np.hypot(np.hypot(p[:, 0], p[:, 1]) - major, p[:, 2]) - minor), reach


def _capsule(scene, at):
    r, h = _number(scene, "radius", at), _number(scene, "height", at) / 2

    def function(p):
        q = p.copy()
        q[:, 2] -= np.clip(q[:, 2], -h, h)
        return np.linalg.norm(q, axis=1) - r

    return function, np.array([r, r, h + r])


def _gyroid(scene, at):
    """A wall along the gyroid surface; endless, so it is to be intersected."""
    k, thickness = 2 * np.pi / _number(scene, "period", at), _number(scene, "thickness", at)

    def function(p):
        s, c = np.sin(k * p), np.cos(k * p)
        value = s[:, 0] * c[:, 1] + s[:, 1] * c[:, 2] + s[:, 2] * c[:, 0]
        return (np.abs(value) / k) * 0.7 - thickness / 2

    return function, np.full(3, 1e6)


SHAPES = {
    "sphere": _sphere,
    "box": _box,
    "cylinder": _cylinder,
    "torus": _torus,
    "capsule": _capsule,
    "gyroid": _gyroid,
}


def _number(scene, key, at):
    value = scene.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1e6:
        raise InputError(f"{at}.{key} must be a number above 0 and at most a million")
    return float(value)


def _vector(scene, key, at, default):
    value = scene.get(key, default)
    good = isinstance(value, list) and len(value) == 3
    if not good or not all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) <= 1e6 for v in value):
        raise InputError(f"{at}.{key} must be three numbers")
    return np.array(value, float)
