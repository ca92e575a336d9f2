import { expect, test } from "vitest";
import { rootsOf } from "./apt-archives.ts";

test("what apt would fetch → the archives' roots, each once", () => {
  const uris = [
    "'http://mirror.example/debian/dists/bookworm/InRelease' x_InRelease 0 ",
    "'http://mirror.example/debian/dists/bookworm-updates/InRelease' x_InRelease 0 ",
    "'https://security.example/debian-security/dists/bookworm-security/InRelease' y 0 ",
    "W: something else",
    "",
  ];
  expect(rootsOf(uris.join("\n"))).toEqual([
    "http://mirror.example/debian",
    "https://security.example/debian-security",
  ]);
  expect(rootsOf("")).toEqual([]);
});
