"""Mesh files: binary glTF 2.0 and binary STL."""

import json
import struct

import numpy as np


def write_glb(path, vertices, normals, triangles, name):
    """One mesh, one primitive with positions, normals and 32-bit indices; y is up, as glTF has it."""
    turn = lambda v: np.ascontiguousarray(np.c_[v[:, 0], v[:, 2], -v[:, 1]], "<f4")
    position, normal, index = turn(vertices), turn(normals), np.ascontiguousarray(triangles, "<u4")
    parts = [position.tobytes(), normal.tobytes(), index.tobytes()]
    offsets = np.cumsum([0, *map(len, parts)])
    views = [
        {"buffer": 0, "byteOffset": int(offsets[i]), "byteLength": len(part), "target": 34963 if i == 2 else 34962}
        for i, part in enumerate(parts)
    ]
    count = len(vertices)
    document = {
        "asset": {"version": "2.0", "generator": "queztl shape-to-mesh"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": name}],
        "materials": [{"pbrMetallicRoughness": {"baseColorFactor": [0.62, 0.72, 0.82, 1], "metallicFactor": 0.1, "roughnessFactor": 0.6}}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "NORMAL": 1}, "indices": 2, "material": 0}]}],
        "buffers": [{"byteLength": int(offsets[-1])}],
        "bufferViews": views,
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": count, "type": "VEC3",
             "min": position.min(axis=0).tolist(), "max": position.max(axis=0).tolist()},
            {"bufferView": 1, "componentType": 5126, "count": count, "type": "VEC3"},
            {"bufferView": 2, "componentType": 5125, "count": int(index.size), "type": "SCALAR"},
        ],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    body = b"".join(parts)
    body += b"\0" * (-len(body) % 4)
    with open(path, "wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(body)))
        file.write(struct.pack("<I4s", len(text), b"JSON") + text)
        file.write(struct.pack("<I4s", len(body), b"BIN\0") + body)


def write_stl(path, vertices, triangles):
    corners = vertices[triangles].astype("<f4")
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(cross, axis=1, keepdims=True)
    record = np.zeros(len(triangles), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("bytes", "<u2")])
    record["normal"] = cross / np.where(length > 0, length, 1)
    record["corners"] = corners
    with open(path, "wb") as file:
        file.write(b"queztl shape-to-mesh".ljust(80, b" ") + struct.pack("<I", len(triangles)))
        file.write(record.tobytes())
