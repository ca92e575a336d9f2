"""Against volumes, areas and topology known from geometry, and broken input."""

import json
import struct
import tempfile
import unittest
from pathlib import Path

import numpy as np
from PIL import Image
from queztl_skill.task import EXIT_DATA, InputError
from queztl_skill.test_support import run_program

from heightmap import solid_of_heights
from main import of_function
from mesh import decimate, measures, normals
from points import distance_function, estimate_normals
from solids import EXAMPLES, solid
from writers import write_stl

HERE = Path(__file__).parent


class Quiet:
    def progress(self, *_):
        pass


def made(scene, resolution=32):
    return of_function(Quiet(), *solid(scene), resolution)


class Solids(unittest.TestCase):
    # Euler characteristic 2 - 2 * (number of handles); volumes and areas by formula.
    KNOWN = [
        ({"shape": "sphere", "radius": 1}, 2, 4 / 3 * np.pi, 4 * np.pi),
        ({"shape": "torus", "major": 1, "minor": 0.4}, 0, 2 * np.pi**2 * 0.16, 4 * np.pi**2 * 0.4),
        ({"shape": "capsule", "radius": 0.5, "height": 1}, 2, np.pi * 0.25 * 1 + 4 / 3 * np.pi * 0.125, np.pi + np.pi),
        ({"shape": "cylinder", "radius": 0.5, "height": 1}, 2, np.pi * 0.25, np.pi * 0.5 + np.pi),
        ({"shape": "box", "size": [1, 2, 1.5]}, 2, 3, 2 * (2 + 3 + 1.5)),
        (
            {"op": "difference", "of": [{"shape": "box", "size": [1, 1, 0.4]}, {"shape": "cylinder", "radius": 0.2, "height": 1}]},
            0,
            0.4 - np.pi * 0.04 * 0.4,
            None,
        ),
    ]

    def test_closed_with_the_right_holes_volume_and_area(self):
        for scene, characteristic, volume, area in self.KNOWN:
            found = measures(*made(scene, 48))
            name = json.dumps(scene)
            self.assertTrue(found["watertight"], name)
            self.assertEqual(found["euler_characteristic"], characteristic, name)
            self.assertLess(abs(found["volume"] / volume - 1), 0.03, name)
            if area:
                self.assertLess(abs(found["area"] / area - 1), 0.05, name)

    def test_finer_is_nearer(self):
        off = [abs(measures(*made({"shape": "sphere", "radius": 1}, n))["volume"] / (4 / 3 * np.pi) - 1) for n in (12, 24, 48)]
        self.assertGreater(off[0], 3 * off[1])
        self.assertGreater(off[1], 3 * off[2])

    def test_examples_are_closed(self):
        for name, scene in EXAMPLES.items():
            self.assertTrue(measures(*made(scene))["watertight"], name)

    def test_surface_at_the_edge_of_its_box_is_closed(self):
        scene = {"op": "intersection", "of": [{"shape": "gyroid", "period": 1, "thickness": 0.2}, {"shape": "box", "size": [2, 2, 2]}]}
        self.assertTrue(measures(*made(scene))["watertight"])

    def test_wrong_scenes_are_named(self):
        deep = {"shape": "sphere", "radius": 1}
        for _ in range(40):
            deep = {"op": "union", "of": [deep]}
        for scene, words in [
            ({"shape": "teapot"}, "scene.shape is 'teapot'"),
            ({"shape": "sphere"}, "scene.radius"),
            ({"shape": "sphere", "radius": float("nan")}, "scene.radius"),
            ({"shape": "sphere", "radius": True}, "scene.radius"),
            ({"op": "union", "of": [{"shape": "box", "size": [1, 2]}]}, r"scene.of\[0\].size"),
            ({"op": "cut", "of": [{"shape": "sphere", "radius": 1}]}, "scene.op"),
            (deep, "32 deep"),
            ([], "not an object"),
        ]:
            with self.assertRaisesRegex(InputError, words):
                solid(scene)


class Decimation(unittest.TestCase):
    def test_topology_stays_and_volume_nearly(self):
        for scene in ({"shape": "sphere", "radius": 1}, EXAMPLES["torus"], EXAMPLES["bracket"]):
            vertices, triangles = made(scene, 28)
            before = measures(vertices, triangles)
            fewer = decimate(vertices, triangles, len(triangles) // 8)
            after = measures(*fewer)
            self.assertLessEqual(len(fewer[1]), len(triangles) // 8 + 2)
            self.assertTrue(after["watertight"])
            self.assertEqual(after["euler_characteristic"], before["euler_characteristic"])
            self.assertLess(abs(after["volume"] / before["volume"] - 1), 0.02)

    def test_a_box_keeps_its_corners(self):
        fewer, _ = decimate(*made({"shape": "box", "size": [1, 1, 1]}, 24), 100)
        for corner in np.array(np.meshgrid(*[[-0.5, 0.5]] * 3)).reshape(3, -1).T:
            self.assertLess(np.linalg.norm(fewer - corner, axis=1).min(), 0.06)


class Heights(unittest.TestCase):
    def test_a_ramp_has_the_volume_of_a_wedge(self):
        heights = np.tile(np.linspace(0, 1, 33), (17, 1))
        found = measures(*solid_of_heights(heights, 2.0, 0.5))
        self.assertTrue(found["watertight"])
        self.assertEqual(found["euler_characteristic"], 2)
        self.assertAlmostEqual(found["volume"], 2 * 1 * (0.25 + 0.025), places=9)


class Points(unittest.TestCase):
    def test_points_of_a_torus_become_a_torus(self):
        random = np.random.default_rng(4)
        u, v = random.uniform(0, 2 * np.pi, (2, 6000))
        cloud = np.c_[(1 + 0.4 * np.cos(v)) * np.cos(u), (1 + 0.4 * np.cos(v)) * np.sin(u), 0.4 * np.sin(v)]
        directions = estimate_normals(cloud)
        truth = np.c_[np.cos(v) * np.cos(u), np.cos(v) * np.sin(u), np.sin(v)]
        self.assertGreater((np.einsum("ij,ij->i", directions, truth) > 0.9).mean(), 0.99)
        function, spacing = distance_function(cloud, directions)
        mesh = of_function(Quiet(), function, np.array([cloud.min(axis=0), cloud.max(axis=0)]), 32, spacing)
        found = measures(*mesh)
        self.assertTrue(found["watertight"])
        self.assertEqual(found["euler_characteristic"], 0)
        self.assertLess(abs(found["volume"] / (2 * np.pi**2 * 0.16) - 1), 0.05)


class Files(unittest.TestCase):
    def test_stl_holds_the_same_volume(self):
        vertices, triangles = made({"shape": "sphere", "radius": 1}, 20)
        with tempfile.NamedTemporaryFile() as file:
            write_stl(file.name, vertices, triangles)
            data = Path(file.name).read_bytes()
        count = struct.unpack_from("<I", data, 80)[0]
        self.assertEqual((count, len(data)), (len(triangles), 84 + 50 * count))
        corners = np.frombuffer(data, np.dtype([("n", "<f4", 3), ("c", "<f4", (3, 3)), ("b", "<u2")]), offset=84)["c"].astype(float)
        volume = np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
        self.assertAlmostEqual(volume, measures(vertices, triangles)["volume"], places=4)

    def test_normals_of_a_sphere_point_outwards(self):
        vertices, triangles = made({"shape": "sphere", "radius": 1}, 24)
        directions = normals(vertices, triangles)
        self.assertGreater(np.einsum("ij,ij->i", directions, vertices / np.linalg.norm(vertices, axis=1, keepdims=True)).min(), 0.97)


class Program(unittest.TestCase):
    def test_scene_to_files(self):
        ended, files = run_program(HERE, {"scene": {"shape": "sphere", "radius": 2}, "resolution": 16, "triangles": 300})
        self.assertEqual(ended.returncode, 0, ended.stderr)
        result = json.loads(files["result.json"])
        self.assertFalse(result["synthetic"])
        self.assertLessEqual(result["triangles"], 302)
        self.assertEqual(set(files), {"result.json", "mesh.glb", "mesh.stl", "preview.png", "report.html", "manifest.json"})

    def test_example_is_labelled(self):
        ended, files = run_program(HERE, {"example": "torus", "resolution": 12})
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertTrue(json.loads(files["result.json"])["synthetic"])
        self.assertIn(b"EXAMPLE", files["report.html"])

    def test_broken_input_is_refused_in_words(self):
        bomb = struct.pack(">II", 60_000, 60_000)
        png = _png()
        for data, files, words in [
            ({}, {"a.json": b"{"}, "not JSON"),
            ({}, {"a.json": b"[" * 100_000}, "not JSON"),
            ({}, {"a.png": png[:40]}, "not a picture"),
            ({}, {"a.png": png[:16] + bomb + png[24:]}, "not a picture"),
            ({}, {"a.xyz": b"x y z\n1 2 3\n"}, "at least 50"),
            ({}, {"a.csv": b"x,y,z,nx,ny,nz\n" + b"1,1,1,0,0,1\n" * 100}, "1 different points"),
            ({}, {"a.xyz": b"x y z\n" + b"".join(b"%d %d 0\n" % (i % 10, i // 10) for i in range(100))}, "in a plane"),
            ({"scene": {"shape": "sphere", "radius": 1}}, {"a.png": png}, "one thing"),
            ({"scene": {"shape": ["sphere"]}}, {}, "scene.shape is ['sphere']"),
            (
                {"scene": {"op": "intersection", "of": [{"shape": "sphere", "radius": 1}, {"shape": "sphere", "center": [9, 0, 0], "radius": 1}]}},
                {},
                "do not meet",
            ),
        ]:
            ended, files = run_program(HERE, data, files)
            self.assertEqual(ended.returncode, EXIT_DATA, ended.stderr)
            self.assertIn(words, ended.stdout)
            self.assertEqual(files, {})


def _png():
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(file.name)
        return Path(file.name).read_bytes()


if __name__ == "__main__":
    unittest.main()
