"""A magnetic survey from lines to maps and a table of anomalies."""

import numpy as np
from anomalies import euler, peaks
from levelling import level, remove_drift
from queztl_skill import task as skill
from queztl_skill.grid import minimum_curvature
from queztl_skill.pictures import draw_map
from queztl_skill.regional import regional
from queztl_skill.report import Report
from queztl_skill.spectral import Spectrum, reduce_to_pole
from queztl_skill.table import write_table
from scipy.spatial import cKDTree
from survey import read_survey, synthetic_survey


def main(task):
    data = task.data
    survey, inclination, declination = load(task)
    name = data.get("survey_id", "survey")
    task.progress(0.1, "read", f"{len(survey.x)} points on {len(np.unique(survey.line))} lines")

    values, drift = remove_drift(survey)
    spacing = line_spacing(survey)
    values, (before, after) = level(survey, values, spacing / 4)
    field = values - regional(survey.x, survey.y, values, data.get("regional_order", 1))
    task.progress(0.2, "level", f"mis-ties {before:.2f} -> {after:.2f} nT")

    step = data.get("step", max(round(spacing / 4, 1), 1.0))
    grid = minimum_curvature(survey.x, survey.y, field, step)
    task.progress(0.5, "grid", f"{grid.values.shape[1]} x {grid.values.shape[0]} nodes, {step:g} m apart")

    spectrum = Spectrum(grid)
    dx, dy, dz = derivatives = spectrum.derivatives()
    pole = reduce_to_pole(spectrum, inclination, declination)
    signal = grid.like(np.sqrt(dx.values**2 + dy.values**2 + dz.values**2))
    pole_dx, pole_dy, pole_dz = Spectrum(pole).derivatives()
    tilt = grid.like(np.degrees(np.arctan2(pole_dz.values, np.hypot(pole_dx.values, pole_dy.values))))
    task.progress(0.65, "transform", "pole, analytic signal, tilt")

    found = pick(grid, derivatives, signal, pole, data, spacing)
    task.progress(0.75, "pick", f"{len(found)} anomalies")
    write(task, name, survey, grid, pole, signal, tilt, found)
    task.result = {
        "survey_id": name,
        "synthetic": survey.synthetic,
        "points": len(survey.x),
        "lines": len(np.unique(survey.line)),
        "grid": {"rows": grid.values.shape[0], "columns": grid.values.shape[1], "step_m": step},
        "field": {"inclination": inclination, "declination": declination},
        "drift_nt": round(drift, 3),
        "mistie_rms_nt": {"before": round(before, 3), "after": round(after, 3)},
        "residual_nt": {"min": round(float(field.min()), 2), "max": round(float(field.max()), 2)},
        "anomalies": found,
        "known_sources": compare(survey, found),
    }
    report(task, name, survey)


def load(task):
    files = [path for path in (*task.files("*.csv"), *task.files("*.xyz")) if not path.name.lower().startswith("base")]
    data = task.data
    if not files:
        inclination, declination = data.get("inclination", 62.0), data.get("declination", 4.0)
        points = data.get("points", 20_000)
        return synthetic_survey(data.get("survey_id", "survey"), points, inclination, declination), inclination, declination
    if len(files) > 1:
        raise skill.InputError(f"one survey at a time: {', '.join(path.name for path in files)}")
    missing = [key for key in ("inclination", "declination") if key not in data]
    if missing:
        raise skill.InputError(f"the data needs {' and '.join(missing)} of the main field, in degrees, to reduce {files[0].name} to the pole")
    return read_survey(files[0], task.file("base*.csv")), data["inclination"], data["declination"]


def line_spacing(survey):
    """Metres between neighbouring lines: the median distance to the nearest point of another line."""
    lines = np.flatnonzero(~survey.tie) if (~survey.tie).any() else np.arange(len(survey.x))
    sample = lines[:: max(1, len(lines) // 400)]
    points = np.c_[survey.x, survey.y]
    distances = []
    for number in np.unique(survey.line[sample]):
        other = lines[survey.line[lines] != number]
        own = sample[survey.line[sample] == number]
        if len(other):
            distances.append(cKDTree(points[other]).query(points[own])[0])
    if not distances:
        raise skill.InputError("all points lie on one line; a grid needs several")
    spacing = float(np.median(np.concatenate(distances)))
    if not spacing > 0:
        raise skill.InputError("points of different lines lie on each other")
    return spacing


def pick(grid, derivatives, signal, pole, data, spacing):
    index = data.get("structural_index", 3.0)
    found = []
    for row, column in peaks(signal, data.get("anomalies", 12), 2.5 * spacing):
        half = np.median(signal.values) + 0.25 * signal.values[row, column]
        width = np.sqrt((signal.values[max(0, row - 40) : row + 41, max(0, column - 40) : column + 41] > half).sum())
        radius = int(np.clip(round(0.8 * width), 4, 20))
        answer = euler(grid, derivatives, row, column, radius, index)
        x, y, depth, error = answer or (grid.x[column], grid.y[row], None, None)
        if any(np.hypot(x - one["x"], y - one["y"]) < spacing for one in found):
            continue  # another window of an anomaly that is listed already
        found.append(
            {
                "x": round(float(x), 1),
                "y": round(float(y), 1),
                "depth_m": None if depth is None else round(float(depth), 1),
                "depth_error_m": None if error is None else round(error, 1),
                "analytic_signal_nt_m": round(float(signal.values[row, column]), 4),
                "pole_nt": round(float(pole.at([x], [y])[0]), 2),
            }
        )
    return found


def compare(survey, found):
    """For a synthetic survey: how far each known source is from what was found."""
    answers = []
    for x, y, depth, _ in survey.sources:
        near = min(found, key=lambda one: np.hypot(one["x"] - x, one["y"] - y), default=None)
        off = None if near is None else float(np.hypot(near["x"] - x, near["y"] - y))
        answers.append(
            {
                "x": round(float(x), 1),
                "y": round(float(y), 1),
                "depth_m": round(float(depth), 1),
                "found_off_m": None if off is None else round(off, 1),
                "found_depth_m": None if near is None else near["depth_m"],
            }
        )
    return answers


def write(task, name, survey, grid, pole, signal, tilt, found):
    columns = ["x", "y", "depth_m", "depth_error_m", "analytic_signal_nt_m", "pole_nt"]
    table = {key: [("" if one[key] is None else f"{one[key]:g}") for one in found] for key in columns}
    write_table(task.path("anomalies.csv"), table)
    grid.write_ascii(task.path("tmi.asc"))
    np.savez_compressed(
        task.path("grids.npz"), x=grid.x, y=grid.y, tmi=grid.values, pole=pole.values,
        analytic_signal=signal.values, tilt=tilt.values,
    )
    label = f"{name}{' (SYNTHETIC)' if survey.synthetic else ''}: "
    marks = [(one["x"], one["y"], str(number + 1)) for number, one in enumerate(found)]
    draw_map(task.path("tmi.png"), grid, label + "residual field", "nT", "diverging", marks)
    draw_map(task.path("pole.png"), pole, label + "reduced to the pole", "nT", "diverging", marks)
    draw_map(task.path("analytic-signal.png"), signal, label + "analytic signal", "nT/m", "even", marks)
    draw_map(task.path("tilt.png"), tilt, label + "tilt derivative", "deg", "diverging")
    task.progress(0.9, "draw", "4 maps")


def report(task, name, survey):
    result = task.result
    page = Report(f"Magnetic survey {name}")
    if survey.synthetic:
        page.note("This survey is SYNTHETIC: made from dipoles of known place, no measurement.")
    page.text(
        f"{result['points']} points on {result['lines']} lines. Diurnal drift of {result['drift_nt']} nT removed; mis-ties "
        f"{result['mistie_rms_nt']['before']} nT before levelling, {result['mistie_rms_nt']['after']} nT after. Main field: "
        f"inclination {result['field']['inclination']}, declination {result['field']['declination']} degrees."
    )
    page.heading("Anomalies")
    head = ["", "x, m", "y, m", "depth, m", "±", "analytic signal, nT/m", "at the pole, nT"]
    rows = [
        [n + 1, a["x"], a["y"], "?" if a["depth_m"] is None else a["depth_m"], a["depth_error_m"] or "",
         a["analytic_signal_nt_m"], a["pole_nt"]]
        for n, a in enumerate(result["anomalies"])
    ]
    page.table(head, rows)
    if survey.sources:
        page.heading("Against the sources it was made from")
        head = ["x, m", "y, m", "depth, m", "found off by, m", "depth found, m"]
        page.table(head, [[s["x"], s["y"], s["depth_m"], s["found_off_m"], s["found_depth_m"]] for s in result["known_sources"]])
    for file, caption in [
        ("tmi.png", "Residual field"),
        ("pole.png", "Reduced to the pole"),
        ("analytic-signal.png", "Analytic signal"),
        ("tilt.png", "Tilt derivative of the field at the pole"),
    ]:
        page.heading(caption)
        page.picture(task.path(file), caption)
    page.write(task.path("report.html"))


if __name__ == "__main__":
    with skill.running() as current:
        main(current)
