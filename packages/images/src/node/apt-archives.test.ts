import { expect, test } from "vitest";
import { rootsOf } from "./apt-archives.ts";

test("what apt would fetch → the archives' roots, each once", () => {
  const uris = [
    "'http://deb.debian.org/debian/dists/bookworm/InRelease' deb.debian.org_debian_InRelease 0 ",
    "'http://deb.debian.org/debian/dists/bookworm-updates/InRelease' deb.debian.org_x_InRelease 0 ",
    "'https://security.debian.org/debian-security/dists/bookworm-security/InRelease' y 0 ",
    "W: something else",
    "",
  ];
  expect(rootsOf(uris.join("\n"))).toEqual([
    "http://deb.debian.org/debian",
    "https://security.debian.org/debian-security",
  ]);
  expect(rootsOf("")).toEqual([]);
});
