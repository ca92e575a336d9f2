"""Seismic traces from SEG-Y to a processed section."""

import zlib

import numpy as np
from PIL import Image
from processing import band_pass, first_breaks, gain, spectrum, stack
from queztl_skill import task as skill
from queztl_skill.pictures import draw_lines
from queztl_skill.report import Report
from queztl_skill.table import write_table
from segy import read_segy, write_segy

SECTION_EDGE = 1200
# Of half the sampling rate: the filter's equations are singular below.
NARROWEST = 1e-4


def main(task):
    data = task.data
    name = data.get("survey_id", "line")
    values, interval, fields, source, known = load(task)
    count, samples = values.shape
    task.progress(0.15, "read", f"{count} traces of {samples} samples, {interval * 1000:g} ms apart")
    low, high = data.get("low", 8.0), data.get("high", 80.0)
    nyquist = 0.5 / interval
    if "high" not in data:
        high = min(high, 0.8 * nyquist)
    if not low < high < nyquist:
        raise skill.InputError(f"the band {low:g} to {high:g} Hz does not lie below {nyquist:g} Hz, half the sampling rate")
    if low < NARROWEST * nyquist:
        raise skill.InputError(f"nothing can be cut below {low:g} Hz: with this sampling rate at least {NARROWEST * nyquist:g} Hz")
    if samples < 32:
        raise skill.InputError(f"the traces have {samples} samples; processing needs at least 32")
    if not values.any():
        raise skill.InputError("the traces hold nothing but zeros")

    picks = first_breaks(values, interval)
    filtered = band_pass(values, interval, low, high)
    task.progress(0.35, "filter", f"{low:g} to {high:g} Hz")
    window = data.get("agc", 0.5)
    balanced = gain(filtered, interval, window) if window > 0 else filtered
    stackable = data.get("stack", True) and len(np.unique(fields["cdp"])) > 1
    if stackable:
        section, midpoints, fold = stack(balanced, fields["cdp"])
        out_fields = {key: np.zeros(len(section), int) for key in fields} | {"cdp": midpoints}
    else:
        section, midpoints, fold, out_fields = balanced, fields["cdp"], np.ones(count, int), fields
    task.progress(0.55, "stack", f"{len(section)} traces, fold up to {fold.max()}")

    frequency, before = spectrum(values, interval)
    after = spectrum(filtered, interval)[1]
    write_table(task.path("spectrum.csv"), {"hertz": frequency, "before": before, "after": after}, "%.6g")
    write_table(
        task.path("picks.csv"),
        {"trace": np.arange(1, count + 1), "record": fields["field_record"], "cdp": fields["cdp"], "offset_m": fields["offset"],
         "first_break_s": ["" if np.isnan(p) else f"{p:.6f}" for p in picks]},
        "%d",
    )
    write_segy(task.path("processed.sgy"), section, interval, out_fields, f"{name}: processed, band {low:g}-{high:g} Hz")
    label = f"{name}{' (SYNTHETIC)' if known else ''}"
    draw_section(task.path("section.png"), section)
    draw_lines(task.path("spectrum.png"), [("before", frequency, before), ("after", frequency, after)], label, "Hz", "amplitude")
    task.progress(0.9, "draw", "section and spectrum")
    half = after > after.max() / 2
    task.result = {
        "survey_id": name,
        "synthetic": known is not None,
        "source": source,
        "traces": count,
        "samples": samples,
        "interval_ms": interval * 1000,
        "band_hz": [low, high],
        "stacked": {"traces": len(section), "fold": int(fold.max())} if stackable else None,
        "peak_hz": round(float(frequency[after.argmax()]), 3),
        "bandwidth_hz": [round(float(frequency[half].min()), 3), round(float(frequency[half].max()), 3)],
        "picked": int(np.isfinite(picks).sum()),
        "first_break_s": {"min": round(float(np.nanmin(picks)), 6), "max": round(float(np.nanmax(picks)), 6)} if np.isfinite(picks).any() else None,
        "known": known,
    }
    report(task, label)


def load(task):
    files = [*task.files("*.sgy"), *task.files("*.segy")]
    if len(files) > 1:
        raise skill.InputError(f"one file at a time: {', '.join(path.name for path in files)}")
    if files:
        return *read_segy(files[0]), files[0].name, None
    return synthetic(task.data)


def synthetic(data):
    """A line over two flat reflectors, corrected for move-out: Ricker wavelets, direct wave, noise; 12 traces a midpoint."""
    random = np.random.default_rng(zlib.crc32(data.get("survey_id", "line").encode()))
    count, fold, interval, samples = data.get("traces", 240), 12, 0.002, 1000
    t = np.arange(samples) * interval
    cdp, offset = 1 + np.arange(count) // fold, 50 + 50 * (np.arange(count) % fold)
    reflectors = [0.6, 1.1]
    values = random.normal(0, 0.05, (count, samples))
    for time, strength in zip(reflectors, (1.0, 0.6), strict=True):
        values += strength * ricker(t - time, 30.0)
    # The direct wave runs at 2,000 m/s.
    direct = 0.05 + offset / 2000.0
    values += 2 * ricker(t[None, :] - direct[:, None] - 1.0 / 30, 30.0)
    values += 0.8 * np.sin(2 * np.pi * 4 * t)
    fields = {"field_record": 1 + np.arange(count) // fold, "trace_in_record": 1 + np.arange(count) % fold, "cdp": cdp, "offset": offset}
    known = {"reflectors_s": reflectors, "wavelet_hz": 30.0, "direct_velocity_m_s": 2000.0}
    return values, interval, fields, "synthetic", known


def ricker(t, frequency):
    a = (np.pi * frequency * t) ** 2
    return (1 - 2 * a) * np.exp(-a)


def draw_section(path, section):
    """Grey levels, a column a trace, time downwards."""
    values = section[:: -(-section.shape[0] // SECTION_EDGE), :: -(-section.shape[1] // SECTION_EDGE)].T
    clip = max(float(np.percentile(np.abs(values), 99)), 1e-30)
    pixels = np.clip(127.5 - 127.5 * values / clip, 0, 255).astype(np.uint8)
    scale = max(1, 600 // max(1, pixels.shape[1]))
    Image.fromarray(pixels).resize((pixels.shape[1] * scale, pixels.shape[0]), Image.NEAREST).save(path)


def report(task, label):
    result = task.result
    page = Report(f"Seismic line {label}")
    if result["synthetic"]:
        page.note("This line is SYNTHETIC: made over two known reflectors, no measurement.")
    page.table(
        ["", ""],
        [
            ["from", result["source"]],
            ["traces", result["traces"]],
            ["samples a trace", result["samples"]],
            ["interval, ms", result["interval_ms"]],
            ["band, Hz", " to ".join(f"{v:g}" for v in result["band_hz"])],
            ["stacked to", result["stacked"]["traces"] if result["stacked"] else "not stacked"],
            ["strongest frequency, Hz", result["peak_hz"]],
            ["first breaks picked", result["picked"]],
        ],
    )
    page.heading("Section")
    page.picture(task.path("section.png"), "The processed section, time downwards")
    page.heading("Spectrum")
    page.picture(task.path("spectrum.png"), "Mean amplitude before and after the filter")
    page.write(task.path("report.html"))


if __name__ == "__main__":
    with skill.running() as current:
        main(current)
