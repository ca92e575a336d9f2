"""Survey lines: reading them, or making labelled synthetic ones over dipoles of known place."""

import zlib
from dataclasses import dataclass, field

import numpy as np
from queztl_skill.spectral import direction
from queztl_skill.table import read_table
from queztl_skill.task import InputError

MU0_4PI_NT = 100.0  # mu0 / 4 pi, in nT metre / ampere
MAIN_FIELD_NT = 48_000.0


@dataclass
class Survey:
    """Points in metres, field in nT; `line` numbers lines, `tie` marks the crossing ones, `time` is in seconds."""

    x: np.ndarray
    y: np.ndarray
    field: np.ndarray
    line: np.ndarray
    tie: np.ndarray
    time: np.ndarray | None = None
    base: tuple | None = None
    synthetic: bool = False
    sources: list = field(default_factory=list)


def read_survey(path, base_path):
    """Survey lines from a table; without a line column, lines are told by sharp turns."""
    table = read_table(path, ["x|easting", "y|northing", "field|mag|tmi|nt"], ["line", "time", "tie"])
    x, y, values = table["x"], table["y"], table["field"]
    if len(x) < 100:
        raise InputError(f"{path.name} has {len(x)} points; a survey needs at least 100")
    line = table["line"].astype(np.int64) if "line" in table else _lines_by_turn(x, y)
    tie = table["tie"] > 0 if "tie" in table else np.zeros(len(x), bool)
    base = None
    if base_path is not None:
        if "time" not in table:
            raise InputError(f"{base_path.name} needs a column time in {path.name}")
        found = read_table(base_path, ["time", "field|nt|mag"])
        order = np.argsort(found["time"], kind="stable")
        base = (found["time"][order], found["field"][order])
    return Survey(x, y, values, line, tie, table.get("time"), base)


def _lines_by_turn(x, y):
    heading = np.arctan2(np.diff(y, append=y[-1]), np.diff(x, append=x[-1]))
    turn = np.abs(np.angle(np.exp(1j * np.diff(heading, prepend=heading[0])))) > np.pi / 3
    turn[-1] = False
    return np.cumsum(turn)


def dipole_field(x, y, source, inclination, declination):
    """Total-field anomaly, nT, of a dipole magnetised along the main field (Blakely, eq. 8.18 projected).

    `source` is (x, y, depth below the sensor, moment in ampere square metres).
    """
    east, north, depth, moment = source
    f = direction(inclination, declination)
    r = np.stack([x - east, y - north, np.full_like(x, -depth, dtype=float)])
    distance = np.sqrt((r**2).sum(axis=0))
    along = np.tensordot(f, r, 1) / distance
    return MU0_4PI_NT * moment * (3 * along**2 - 1) / distance**3


def synthetic_survey(name, points, inclination, declination):
    """Lines at 100 m, ties at 1 km, over dipoles; with drift, a regional slope, line offsets and noise of 0.5 nT."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    spacing, along, ties = 100.0, 12.5, 1000.0
    # Points on lines and ties of a square of side L: about L^2/(spacing*along) + L^2/(ties*along).
    side = max(1000.0, np.sqrt(points * along / (1 / spacing + 1 / ties)))
    rows, columns = int(side // spacing) + 1, int(side // ties) + 1
    a = np.arange(0, side, along)
    parts = []
    for number in range(rows):
        run = a if number % 2 == 0 else a[::-1]
        parts.append((run, np.full_like(run, number * spacing), number, False))
    for number in range(columns):
        run = a if number % 2 == 0 else a[::-1]
        parts.append((np.full_like(run, number * ties), run, rows + number, True))
    x = np.concatenate([part[0] for part in parts])
    y = np.concatenate([part[1] for part in parts])
    line = np.concatenate([np.full(len(part[0]), part[2]) for part in parts])
    tie = np.concatenate([np.full(len(part[0]), part[3]) for part in parts])
    time = np.arange(len(x)) * 0.25
    count = int(np.clip(side / 700, 2, 9))
    places = _apart(random, count, side)
    sources = [(east, north, random.uniform(90, 220), 0.0) for east, north in places]
    sources = [(e, n, z, random.uniform(250, 700) * z**3 / (2 * MU0_4PI_NT)) for e, n, z, _ in sources]
    values = MAIN_FIELD_NT + 0.004 * x - 0.006 * y
    for source in sources:
        values = values + dipole_field(x, y, source, inclination, declination)
    base_time = np.arange(0, time[-1] + 60, 30.0)
    drift = lambda t: 12 * np.sin(2 * np.pi * t / 14_400) + 5 * np.sin(2 * np.pi * t / 3_000)
    offsets = random.normal(0, 3, line.max() + 1)
    values = values + drift(time) + offsets[line] + random.normal(0, 0.5, len(x))
    base = (base_time, MAIN_FIELD_NT + drift(base_time) + random.normal(0, 0.1, len(base_time)))
    # Sideways wander of a metre or two, as flown lines have.
    x, y = x + random.normal(0, 1, len(x)), y + random.normal(0, 1, len(y))
    return Survey(x, y, values, line, tie, time, base, True, sources)


def _apart(random, count, side):
    places = []
    for _ in range(10_000):
        place = random.uniform(0.12 * side, 0.88 * side, 2)
        if all(np.hypot(*(place - other)) > 600 for other in places):
            places.append(place)
        if len(places) == count:
            break
    return places
