"""A scene, a heightmap or a cloud of points to a closed mesh."""

import json

import numpy as np
from heightmap import read_heights, solid_of_heights
from mesh import compact, decimate, measures, normals
from points import distance_function, estimate_normals
from preview import draw_preview
from queztl_skill import task as skill
from queztl_skill.report import Report
from queztl_skill.table import read_table
from solids import EXAMPLES, solid
from tetrahedra import surface
from writers import write_glb, write_stl

LATTICE_BATCH = 1 << 18


def main(task):
    vertices, triangles, source = make(task)
    if len(triangles) == 0:
        raise skill.InputError("there is no surface: the scene is empty, or thinner than a cell; raise the resolution")
    vertices, triangles = compact(vertices, triangles)
    made = len(triangles)
    target = task.data.get("triangles")
    if target is not None and target < made:
        told = lambda part, left: task.progress(0.5 + 0.25 * part, "decimate", f"{left} triangles, {target} wanted")
        vertices, triangles = decimate(vertices, triangles, target, told)
    found = measures(vertices, triangles)
    directions = normals(vertices, triangles)
    task.progress(0.8, "measure", f"{len(triangles)} triangles, volume {found['volume']:.6g}")
    write_glb(task.path("mesh.glb"), vertices, directions, triangles, source)
    write_stl(task.path("mesh.stl"), vertices, triangles)
    draw_preview(task.path("preview.png"), vertices, directions, triangles)
    task.result = {
        "source": source,
        "synthetic": source.startswith("example"),
        "vertices": len(vertices),
        "triangles": len(triangles),
        "triangles_before_decimation": made,
        **found,
        "bounds": {"low": vertices.min(axis=0).tolist(), "high": vertices.max(axis=0).tolist()},
    }
    report(task)


def make(task):
    """Vertices, triangles and what they were made of."""
    data = task.data
    files = task.files("*.*")
    if len(files) + ("scene" in data) > 1:
        raise skill.InputError("one thing at a time: give one file or one scene")
    resolution = data.get("resolution", 64)
    if files:
        [path] = files
        kind = path.suffix.lower()
        if kind == ".png":
            size = float(data.get("size", 1.0))
            heights = read_heights(path)
            task.progress(0.2, "read", f"{heights.shape[1]} x {heights.shape[0]} heights")
            return *solid_of_heights(heights, size, float(data.get("height", size / 10))), f"heightmap {path.name}"
        if kind in (".xyz", ".csv"):
            return *of_points(task, path, resolution), f"points {path.name}"
        try:
            scene = json.loads(path.read_text())
        except (ValueError, RecursionError) as error:
            raise skill.InputError(f"{path.name} is not JSON: {error}") from None
        return *of_function(task, *solid(scene), resolution), f"scene {path.name}"
    if "scene" in data:
        return *of_function(task, *solid(data["scene"]), resolution), "scene"
    name = data.get("example", "bracket")
    return *of_function(task, *solid(EXAMPLES[name]), resolution), f"example {name}"


def of_points(task, path, resolution):
    table = read_table(path, ["x", "y", "z"], ["nx", "ny", "nz"])
    # A place that is there twice has no distance to its neighbour, and may have two normals: the first one counts.
    points, first = np.unique(np.c_[table["x"], table["y"], table["z"]], axis=0, return_index=True)
    if len(points) < 50:
        raise skill.InputError(f"{path.name} has {len(points)} different points; a surface needs at least 50")
    if np.ptp(points, axis=0).min() == 0:
        raise skill.InputError(f"the points of {path.name} lie in a plane")
    task.progress(0.1, "read", f"{len(points)} points")
    if "nz" in table and "nx" in table and "ny" in table:
        directions = np.c_[table["nx"], table["ny"], table["nz"]][first]
        length = np.linalg.norm(directions, axis=1, keepdims=True)
        if not (length > 0).all():
            raise skill.InputError(f"{path.name} has normals without length")
        directions = directions / length
    else:
        directions = estimate_normals(points)
    task.progress(0.25, "normals", "one a point")
    function, spacing = distance_function(points, directions)
    return of_function(task, function, np.array([points.min(axis=0), points.max(axis=0)]), resolution, spacing)


def of_function(task, function, bounds, resolution, least_step=0.0):
    step = max((bounds[1] - bounds[0]).max() / resolution, least_step)
    origin = bounds[0] - 1.5 * step
    shape = np.ceil((bounds[1] - bounds[0]) / step + 3).astype(int) + 1
    values = np.empty(shape.prod())
    for start in range(0, len(values), LATTICE_BATCH):
        end = min(start + LATTICE_BATCH, len(values))
        index = np.stack(np.unravel_index(np.arange(start, end), shape), axis=1)
        values[start:end] = function(origin + step * index)
        task.progress(0.3 + 0.1 * end / len(values), "sample", f"{end} of {len(values)} nodes")
    vertices, triangles = surface(values.reshape(shape), origin, step, function)
    task.progress(0.5, "march", f"{len(triangles)} triangles")
    return vertices, triangles


def report(task):
    result = task.result
    page = Report("A mesh")
    if result["synthetic"]:
        page.note("Made from a built-in EXAMPLE scene: the task gave none.")
    page.table(
        ["", ""],
        [
            ["made of", result["source"]],
            ["vertices", result["vertices"]],
            ["triangles", result["triangles"]],
            ["before decimation", result["triangles_before_decimation"]],
            ["watertight", "yes" if result["watertight"] else "NO"],
            ["Euler characteristic", result["euler_characteristic"]],
            ["volume", f"{result['volume']:.6g}"],
            ["area", f"{result['area']:.6g}"],
        ],
    )
    page.picture(task.path("preview.png"), "The mesh from above the front corner")
    page.write(task.path("report.html"))


if __name__ == "__main__":
    with skill.running() as current:
        main(current)
