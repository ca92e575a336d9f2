"""Against analytic fields of dipoles, an independent spline, and broken input."""

import json
import tempfile
import tracemalloc
import unittest
from pathlib import Path

import numpy as np
from queztl_skill.grid import Grid, minimum_curvature
from queztl_skill.regional import regional
from queztl_skill.spectral import Spectrum, reduce_to_pole
from queztl_skill.table import read_table
from queztl_skill.task import EXIT_DATA, InputError
from queztl_skill.test_support import run_program
from scipy.interpolate import RBFInterpolator

from anomalies import euler, peaks
from levelling import level
from survey import Survey, dipole_field, synthetic_survey

HERE = Path(__file__).parent
STEP = 20.0
SOURCE = (1010.0, 960.0, 150.0, 5e7)


def grid_of(function, size=101):
    x, y = np.meshgrid(STEP * np.arange(size), STEP * np.arange(size))
    return Grid(0.0, 0.0, STEP, function(x, y))


def inside(grid, edge=15):
    return grid.values[edge:-edge, edge:-edge]


class Gridding(unittest.TestCase):
    def test_plane_comes_back_exactly(self):
        random = np.random.default_rng(1)
        x, y = random.uniform(0, 1000, (2, 800))
        grid = minimum_curvature(x, y, 3 + 0.02 * x - 0.05 * y, 20)
        expected = 3 + 0.02 * grid.x - 0.05 * grid.y[:, None]
        self.assertLess(np.abs(grid.values - expected).max(), 1e-6)

    def test_agrees_with_a_thin_plate_spline(self):
        random = np.random.default_rng(2)
        x, y = random.uniform(0, 2000, (2, 1500))
        values = dipole_field(x, y, SOURCE, 60, 5)
        grid = minimum_curvature(x, y, values, 25)
        u, v = np.meshgrid(grid.x[8:-8], grid.y[8:-8])
        spline = RBFInterpolator(np.c_[x, y], values, kernel="thin_plate_spline", neighbors=60)
        expected = spline(np.c_[u.ravel(), v.ravel()]).reshape(u.shape)
        error = np.sqrt(((grid.values[8:-8, 8:-8] - expected) ** 2).mean())
        self.assertLess(error, 0.02 * np.ptp(values))


class Transforms(unittest.TestCase):
    def test_pole_is_the_field_under_a_vertical_main_field(self):
        for inclination, declination in [(60, 5), (-45, 20), (35, -10)]:
            grid = grid_of(lambda x, y: dipole_field(x, y, SOURCE, inclination, declination))
            pole = reduce_to_pole(Spectrum(grid), inclination, declination)
            expected = grid_of(lambda x, y: dipole_field(x, y, SOURCE, 90, 0))
            error = np.abs(inside(pole) - inside(expected)).max() / expected.values.max()
            self.assertLess(error, 0.04, f"inclination {inclination}")

    def test_analytic_signal_from_derivatives_of_the_formula(self):
        grid = grid_of(lambda x, y: dipole_field(x, y, SOURCE, 60, 5))
        computed = np.sqrt(sum(inside(d) ** 2 for d in Spectrum(grid).derivatives()))
        e = 0.05
        shifted = lambda dx, dy, dz: grid_of(
            lambda x, y: dipole_field(x + dx, y + dy, (SOURCE[0], SOURCE[1], SOURCE[2] - dz, SOURCE[3]), 60, 5)
        )
        parts = [(inside(shifted(*(e * a))) - inside(shifted(*(-e * a)))) / (2 * e) for a in np.eye(3)]
        expected = np.sqrt(sum(part**2 for part in parts))
        self.assertLess(np.abs(computed - expected).max() / expected.max(), 0.02)


class Anomalies(unittest.TestCase):
    def test_euler_finds_a_dipole(self):
        grid = grid_of(lambda x, y: dipole_field(x, y, SOURCE, 60, 5))
        derivatives = Spectrum(grid).derivatives()
        signal = grid.like(np.sqrt(sum(d.values**2 for d in derivatives)))
        [(row, column)] = peaks(signal, 1, 200)
        x, y, depth, _ = euler(grid, derivatives, row, column, 8, 3)
        self.assertLess(np.hypot(x - SOURCE[0], y - SOURCE[1]), 3)
        self.assertLess(abs(depth - SOURCE[2]), 3)


class Levelling(unittest.TestCase):
    def test_offsets_of_lines_are_taken_off(self):
        survey = synthetic_survey("level", 20_000, 60, 5)
        random = np.random.default_rng(3)
        truth = np.sin(survey.x / 700) * 20
        offsets = random.normal(0, 5, survey.line.max() + 1)[survey.line]
        levelled, (before, after) = level(survey, truth + offsets, 25)
        rest = levelled - truth
        self.assertGreater(before, 4)
        self.assertLess(after, 1)
        self.assertLess(np.std([rest[survey.line == n].mean() for n in np.unique(survey.line)]), 0.6)

    def test_regional_is_not_pulled_by_an_anomaly(self):
        x, y = (a.ravel() for a in np.meshgrid(np.arange(0, 3000, 30.0), np.arange(0, 3000, 30.0)))
        slope = 0.01 * x - 0.02 * y + 7
        anomaly = dipole_field(x, y, SOURCE, 60, 5)
        found = regional(x, y, slope + anomaly, 1)
        terms = np.c_[np.ones_like(x), x, y]
        plain = terms @ np.linalg.lstsq(terms, slope + anomaly, rcond=None)[0]
        off = np.abs(found - slope).max()
        self.assertLess(off, 0.002 * anomaly.max())
        self.assertLess(off, 0.5 * np.abs(plain - slope).max())


class Input(unittest.TestCase):
    def test_a_small_table_takes_little_memory(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "a.csv")
            path.write_text("x,y,field\n" + "1,2,3\n" * 1000)
            tracemalloc.start()
            read_table(path, ["x", "y", "field|mag"])
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        self.assertLess(peak, 2_000_000)

    def test_cells_that_are_no_numbers_are_named(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "a.csv")
            for text, words in [
                ("x,y,field\n1,2,nan\n", "row 1"),
                ("x,y,field\n1,2,3\n1,oops,3\n", "line 3: y is 'oops'"),
                ("x,y,field\n1,2\n", "line 2 has no field"),
                ("x,y\n1,2\n", "no column field or mag"),
                ("x,y,field\n1,2,1e999\n", "not a finite number"),
                ("x,y,field\n1,2,3\n1,-1e300,3\n", "row 2 has a y of -1e[+]300"),
            ]:
                path.write_text(text)
                with self.assertRaisesRegex(InputError, words):
                    read_table(path, ["x", "y", "field|mag"])


class Program(unittest.TestCase):
    def test_synthetic_survey_finds_its_sources(self):
        ended, files = run_program(HERE, {"survey_id": "MAG-001", "points": 6000})
        self.assertEqual(ended.returncode, 0, ended.stderr)
        result = json.loads(files["result.json"])
        self.assertTrue(result["synthetic"])
        listed = {one["name"] for one in json.loads(files["manifest.json"])["files"]}
        self.assertEqual(listed, set(files) - {"manifest.json"})
        self.assertIn(b"SYNTHETIC", files["report.html"])
        for source in result["known_sources"]:
            self.assertLess(source["found_off_m"], 50)
            self.assertLess(abs(source["found_depth_m"] - source["depth_m"]), 0.25 * source["depth_m"])

    def test_file_of_a_survey(self):
        made = synthetic_survey("file", 6000, 55, 3)
        rows = zip(made.x, made.y, made.field, made.line, made.tie, made.time, strict=True)
        text = "x,y,mag,line,tie,time\n" + "".join(f"{a:.2f},{b:.2f},{c:.3f},{d},{int(e)},{f}\n" for a, b, c, d, e, f in rows)
        base = "time,field\n" + "".join(f"{t},{v:.3f}\n" for t, v in zip(*made.base, strict=True))
        ended, files = run_program(HERE, {"inclination": 55, "declination": 3}, {"lines.csv": text, "base.csv": base})
        self.assertEqual(ended.returncode, 0, ended.stderr)
        result = json.loads(files["result.json"])
        self.assertFalse(result["synthetic"])
        strongest = max(made.sources, key=lambda source: source[3] / source[2] ** 3)
        off = min(np.hypot(one["x"] - strongest[0], one["y"] - strongest[1]) for one in result["anomalies"])
        self.assertLess(off, 50)

    def test_broken_files_are_refused_in_words(self):
        one_line = "x,y,mag\n" + "".join(f"{i},0,48000\n" for i in range(200))
        for data, text, words in [
            ({}, one_line, "inclination and declination"),
            ({"inclination": 60, "declination": 2}, one_line, "one line"),
            ({"inclination": 60, "declination": 2}, "x,y,mag\n1,2,3\n", "at least 100"),
            ({"inclination": 60, "declination": 2, "step": 0.001}, _square(), "take a larger one"),
        ]:
            ended, files = run_program(HERE, data, {"lines.csv": text})
            self.assertEqual(ended.returncode, EXIT_DATA, ended.stderr)
            self.assertIn(words, ended.stdout)
            self.assertEqual(files, {})


def _square():
    return "x,y,mag,line\n" + "".join(f"{x},{y},48000,{y}\n" for y in range(0, 1000, 50) for x in range(0, 1000, 20))


if __name__ == "__main__":
    unittest.main()
