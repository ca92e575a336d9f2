"""Against published normal gravity, bodies with formulas, and broken input."""

import json
import unittest
from pathlib import Path

import numpy as np
from queztl_skill.grid import Grid
from queztl_skill.task import EXIT_DATA
from queztl_skill.test_support import run_program

from reduction import free_air, normal_gravity, prism, slab, sphere, terrain

HERE = Path(__file__).parent


class Formulas(unittest.TestCase):
    def test_normal_gravity_is_grs80s(self):
        # Moritz (1980): 9.7803267715 at the equator, 9.8321863685 at the poles, 9.806199203 at 45 degrees.
        for latitude, published in [(0, 978_032.67715), (90, 983_218.63685), (45, 980_619.9203)]:
            self.assertLess(abs(normal_gravity(latitude) - published), 5e-4)

    def test_free_air_is_the_ellipsoids_gradient(self):
        # 0.3086 mGal a metre is the textbook's mean.
        self.assertAlmostEqual(float(free_air(45, 1.0)), -0.3086, delta=1e-4)

    def test_slab_is_the_limit_of_a_wide_prism(self):
        wide = 5e7
        pull = prism((-wide, wide), (-wide, wide), (1e-6, 100.0), 2670)
        self.assertLess(abs(float(pull) / slab(100, 2670) - 1), 1e-4)

    def test_slab_is_the_textbooks(self):
        # 0.1119 mGal a metre for 2670 kg/m3 (Telford et al.).
        self.assertAlmostEqual(float(slab(1.0, 2670)), 0.1119, places=3)

    def test_prism_far_away_is_a_point(self):
        pull = prism((990, 1010), (-10, 10), (490, 510), 1000)
        mass = 20**3 * 1000
        point = sphere(1000.0, 0.0, 500.0, mass)
        self.assertLess(abs(float(pull) / point - 1), 1e-3)

    def test_prism_is_the_sum_of_its_parts(self):
        whole = prism((-30, 70), (-20, 50), (10, 90), 2000)
        parts = sum(
            prism(x, y, z, 2000) for x in ((-30, 0), (0, 70)) for y in ((-20, 5), (5, 50)) for z in ((10, 40), (40, 90))
        )
        self.assertAlmostEqual(float(whole), float(parts), places=9)


class Terrain(unittest.TestCase):
    def ring(self, inner, outer, rise, step=20.0):
        """A plain with a ring-shaped mesa around the origin, and the correction by formula."""
        edge = np.arange(-outer - 100, outer + 100 + step, step)
        x, y = np.meshgrid(edge, edge)
        r = np.hypot(x, y)
        dem = Grid(edge[0], edge[0], step, np.where((r >= inner) & (r < outer), rise, 0.0))
        exact = 2 * np.pi * 6.6743e-11 * 2670 * (outer - inner + np.hypot(inner, rise) - np.hypot(outer, rise)) * 1e5
        return dem, exact

    def test_ring_of_hills_and_of_valleys_is_hammers_formula(self):
        for rise in (200.0, -200.0):
            dem, exact = self.ring(500, 2000, rise)
            found = terrain(np.zeros(1), np.zeros(1), np.zeros(1), dem, 2670)[0]
            self.assertLess(abs(found / exact - 1), 0.02, rise)

    def test_flat_ground_needs_none(self):
        dem, _ = self.ring(500, 2000, 0.0)
        self.assertEqual(terrain(np.zeros(1), np.zeros(1), np.zeros(1), dem, 2670)[0], 0)


class Program(unittest.TestCase):
    def test_synthetic_sphere_is_found(self):
        ended, files = run_program(HERE, {"survey_id": "GRAV-1", "stations": 225})
        self.assertEqual(ended.returncode, 0, ended.stderr)
        result = json.loads(files["result.json"])
        known, found = result["known_source"], result["strongest"]
        self.assertLess(np.hypot(known["x"] - found["x"], known["y"] - found["y"]), 100)
        self.assertLess(abs(found["depth_m"] / known["depth_m"] - 1), 0.15)
        self.assertLess(abs(found["excess_mass_kg"] / known["mass_kg"] - 1), 0.25)
        self.assertIn(b"SYNTHETIC", files["report.html"])

    def test_stations_from_a_file_without_terrain(self):
        random = np.random.default_rng(5)
        x, y = random.uniform(0, 5000, (2, 200))
        height = np.full(200, 120.0)
        gravity = normal_gravity(np.full(200, 30.0)) + free_air(30, height) + slab(height, 2670) + sphere(x - 2500, y - 2400, 800, 3e11)
        text = "x,y,height,gravity\n" + "".join(f"{a},{b},{h},{g:.4f}\n" for a, b, h, g in zip(x, y, height, gravity, strict=True))
        ended, files = run_program(HERE, {"latitude": 30}, {"s.csv": text})
        self.assertEqual(ended.returncode, 0, ended.stderr)
        found = json.loads(files["result.json"])["strongest"]
        self.assertLess(np.hypot(found["x"] - 2500, found["y"] - 2400), 60)
        self.assertLess(abs(found["depth_m"] - 800), 60)

    def test_broken_files_are_refused_in_words(self):
        good = "x,y,height,gravity\n" + "".join(f"{i % 6 * 100},{i // 6 * 100},10,980000\n" for i in range(36))
        for data, files, words in [
            ({}, {"s.csv": good}, "needs it"),
            ({"latitude": 10}, {"s.csv": "x,y,height,gravity\n1,2,3,4\n"}, "at least 20"),
            ({"latitude": 10}, {"s.csv": good.replace("980000", "nan", 1)}, "not a finite number"),
            ({"latitude": 10}, {"s.csv": good, "terrain.csv": "x,y,height\n0,0,1\n1,0,2\n0,1,2\n"}, "regular grid"),
            ({"latitude": 10}, {"s.csv": "x,y,height,gravity\n" + "1,1,1,1\n" * 30}, "lie on each other"),
        ]:
            ended, left = run_program(HERE, data, files)
            self.assertEqual(ended.returncode, EXIT_DATA, f"{words}: {ended.stderr}")
            self.assertIn(words, ended.stdout)
            self.assertEqual(left, {})


if __name__ == "__main__":
    unittest.main()
