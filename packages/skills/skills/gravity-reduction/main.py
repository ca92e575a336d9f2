"""Gravity readings to a Bouguer anomaly map."""

import zlib

import numpy as np
from queztl_skill import task as skill
from queztl_skill.grid import Grid, minimum_curvature
from queztl_skill.pictures import draw_map
from queztl_skill.regional import regional
from queztl_skill.report import Report
from queztl_skill.table import read_table, write_table
from reduction import free_air, normal_gravity, slab, sphere, terrain
from scipy.optimize import least_squares
from scipy.spatial import cKDTree


def main(task):
    data = task.data
    name = data.get("survey_id", "survey")
    density = data.get("density", 2670.0)
    station, dem, known = load(task)
    x, y, height, gravity, latitude = station
    task.progress(0.1, "read", f"{len(x)} stations")
    columns = {"x": x, "y": y, "height": height, "gravity": gravity}
    columns["normal"] = normal_gravity(latitude)
    columns["free_air_correction"] = free_air(latitude, height)
    columns["slab_correction"] = slab(height, density)
    columns["terrain_correction"] = terrain(x, y, height, dem, density) if dem else np.zeros(len(x))
    columns["free_air_anomaly"] = gravity - columns["normal"] - columns["free_air_correction"]
    columns["bouguer_anomaly"] = columns["free_air_anomaly"] - columns["slab_correction"] + columns["terrain_correction"]
    task.progress(0.4, "reduce", f"density {density:g} kg/m3")

    bouguer = columns["bouguer_anomaly"]
    columns["residual"] = bouguer - regional(x, y, bouguer, data.get("regional_order", 1))
    spacing = float(np.median(cKDTree(np.c_[x, y]).query(np.c_[x, y], k=2)[0][:, 1]))
    if not spacing > 0:
        raise skill.InputError("most stations lie on each other")
    step = data.get("step", spacing / 2)
    whole = minimum_curvature(x, y, bouguer, step)
    grid = minimum_curvature(x, y, columns["residual"], step)
    task.progress(0.75, "grid", f"{grid.values.shape[1]} x {grid.values.shape[0]} nodes, {step:g} m apart")
    found = strongest(x, y, columns["residual"])

    write_table(task.path("stations.csv"), columns, "%.4f")
    grid.write_ascii(task.path("bouguer.asc"))
    np.savez_compressed(task.path("grids.npz"), x=grid.x, y=grid.y, bouguer=whole.values, residual=grid.values)
    label = f"{name}{' (SYNTHETIC)' if known else ''}: "
    draw_map(task.path("bouguer.png"), whole, label + "Bouguer anomaly", "mGal")
    marks = [(found["x"], found["y"], "")] if found else []
    draw_map(task.path("residual.png"), grid, label + "residual anomaly", "mGal", "diverging", marks)
    task.progress(0.9, "draw", "2 maps")
    task.result = {
        "survey_id": name,
        "synthetic": known is not None,
        "stations": len(x),
        "density": density,
        "terrain": dem is not None,
        "bouguer_mgal": {"min": round(float(bouguer.min()), 3), "max": round(float(bouguer.max()), 3)},
        "strongest": found,
        "known_source": known,
    }
    report(task)


def load(task):
    data = task.data
    dem_path = task.file("terrain*.csv")
    files = [path for path in task.files("*.csv") if path != dem_path]
    if not files:
        return synthetic(data)
    if len(files) > 1:
        raise skill.InputError(f"one survey at a time: {', '.join(path.name for path in files)}")
    table = read_table(files[0], ["x|easting", "y|northing", "height|h|z", "gravity|g|mgal"], ["latitude|lat"])
    if len(table["x"]) < 20:
        raise skill.InputError(f"{files[0].name} has {len(table['x'])} stations; a map needs at least 20")
    if "latitude" not in table and "latitude" not in data:
        raise skill.InputError(f"{files[0].name} has no column latitude, and the data gives none: the normal gravity needs it")
    latitude = table.get("latitude", np.full(len(table["x"]), float(data.get("latitude", 0))))
    if np.abs(latitude).max() > 90:
        raise skill.InputError("latitudes lie between -90 and 90 degrees")
    station = (table["x"], table["y"], table["height"], table["gravity"], latitude)
    return station, read_terrain(dem_path) if dem_path else None, None


def read_terrain(path):
    table = read_table(path, ["x|easting", "y|northing", "height|h|z"])
    xs, ys = np.unique(table["x"]), np.unique(table["y"])
    steps = np.r_[np.diff(xs), np.diff(ys)]
    if len(xs) < 2 or len(ys) < 2 or len(xs) * len(ys) != len(table["x"]) or np.ptp(steps) > 1e-6 * steps.max():
        raise skill.InputError(f"{path.name} is not a complete regular grid with square cells")
    values = np.empty((len(ys), len(xs)))
    values[np.searchsorted(ys, table["y"]), np.searchsorted(xs, table["x"])] = table["height"]
    return Grid(float(xs[0]), float(ys[0]), float(steps[0]), values)


def synthetic(data):
    """Stations on rolling hills over a sphere of known place and mass, with 0.03 mGal of noise."""
    random = np.random.default_rng(zlib.crc32(data.get("survey_id", "survey").encode()))
    count, side = data.get("stations", 400), 8000.0
    per_edge = int(np.ceil(np.sqrt(count)))
    u, v = (a.ravel()[:count] for a in np.meshgrid(*[np.linspace(0, side, per_edge)] * 2))
    jitter = 0.2 * side / per_edge
    x, y = u + random.uniform(-jitter, jitter, count), v + random.uniform(-jitter, jitter, count)
    ground = lambda a, b: 300 + 60 * np.sin(a / 1700) * np.cos(b / 2100)
    step = 100.0
    edge = np.arange(-2000, side + 2000 + step, step)
    dem = Grid(edge[0], edge[0], step, ground(*np.meshgrid(edge, edge)))
    height = ground(x, y)
    latitude = 45 + y / 111_132.0
    place = random.uniform(0.35 * side, 0.65 * side, 2)
    depth, mass = random.uniform(900, 1400), random.uniform(3e11, 6e11)
    density = data.get("density", 2670.0)
    gravity = (
        normal_gravity(latitude) + free_air(latitude, height) + slab(height, density)
        - terrain(x, y, height, dem, density) + sphere(x - place[0], y - place[1], depth + height - 300, mass)
        + 0.0003 * x + random.normal(0, 0.03, count) - 4
    )
    known = {"x": round(float(place[0]), 1), "y": round(float(place[1]), 1), "depth_m": round(depth, 1), "mass_kg": mass}
    return (x, y, height, gravity, latitude), dem, known


def strongest(x, y, values):
    """The sphere that explains the strongest residual best: least squares from the half-width rule's start."""
    top = int(np.argmax(np.abs(values)))
    peak = values[top]
    reach = np.hypot(x - x[top], y - y[top])
    half = np.abs(values) < np.abs(peak) / 2
    depth = 1.305 * float(reach[half].min() if half.any() else reach.max())
    scale = max(float(reach.max()), 1.0)
    near = reach < 4 * max(depth, scale / 50)
    if near.sum() < 6:
        return None
    mass0 = peak * depth**2 / (6.67430e-11 * 1e5)

    def rest(p):
        z = max(abs(p[2]) * scale, 1e-3)
        return sphere(x[near] - x[top] - p[0] * scale, y[near] - y[top] - p[1] * scale, z, p[3] * mass0) + p[4] - values[near]

    found = least_squares(rest, [0, 0, depth / scale, 1, 0], x_scale="jac", max_nfev=400)
    px, py, pz, pm, _ = found.x
    mass = pm * mass0
    return {
        "x": round(float(x[top] + px * scale), 1),
        "y": round(float(y[top] + py * scale), 1),
        "depth_m": round(abs(float(pz)) * scale, 1),
        "excess_mass_kg": float(f"{mass:.4g}"),
        "peak_mgal": round(float(peak), 3),
        "misfit_rms_mgal": round(float(np.sqrt((found.fun**2).mean())), 4),
    }


def report(task):
    result = task.result
    page = Report(f"Gravity survey {result['survey_id']}")
    if result["synthetic"]:
        page.note("This survey is SYNTHETIC: made over a sphere of known place, no measurement.")
    page.text(
        f"{result['stations']} stations, density {result['density']:g} kg per cubic metre, terrain correction "
        f"{'from the heights given' if result['terrain'] else 'left out: no heights were given'}. The Bouguer anomaly runs from "
        f"{result['bouguer_mgal']['min']} to {result['bouguer_mgal']['max']} mGal."
    )
    if result["strongest"]:
        page.heading("The strongest anomaly, as a sphere")
        rows = [[key, value] for key, value in result["strongest"].items()]
        if result["known_source"]:
            rows = [[key, value, result["known_source"].get(key, result["known_source"]["mass_kg"] if key == "excess_mass_kg" else "")] for key, value in result["strongest"].items()]
        page.table(["", "found", "made from"][: len(rows[0])], rows)
    for file, caption in [("bouguer.png", "Bouguer anomaly"), ("residual.png", "Residual anomaly")]:
        page.heading(caption)
        page.picture(task.path(file), caption)
    page.write(task.path("report.html"))


if __name__ == "__main__":
    with skill.running() as current:
        main(current)
