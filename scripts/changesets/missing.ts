import { execFileSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type WorkspacePackage, hasContent, publicPackages } from "../workspace.ts";

/**
 * The public packages at `root` whose next release nobody announced: changed since their last
 * release, or never released, and named by no changeset that waits in `.changeset/`.
 *
 * The last release of a package is the commit that last wrote its CHANGELOG.md, which only
 * `changeset version` does; so neither tags nor the registry are needed.
 */
export function packagesWithoutChangeset(root: string): string[] {
  const changesets = globSync(".changeset/*.md", { cwd: root }).map((path) =>
    readFileSync(join(root, path), "utf8"),
  );
  return publicPackages(root)
    .filter(hasContent)
    .filter((each) => changedSinceRelease(root, each))
    .map(({ manifest }) => manifest.name)
    .filter((name) => !changesets.some((text) => announces(text, name)));
}

/** Whether a changeset's front matter names a package. */
function announces(changeset: string, name: string): boolean {
  const matter = /^---\r?\n(.*?)^---/ms.exec(changeset)?.[1] ?? "";
  return matter.split("\n").some((line) => /^(['"]?)(.+?)\1\s*:/.exec(line)?.[2] === name);
}

function changedSinceRelease(root: string, { directory, folder }: WorkspacePackage): boolean {
  if (!existsSync(join(directory, "CHANGELOG.md"))) return true;
  const release = git(root, "log", "-1", "--format=%H", "--", `${folder}/CHANGELOG.md`).trim();
  if (release === "") return false; // Versioned a moment ago, and not committed yet.
  const shipped = [`${folder}/src`, `${folder}/package.json`];
  const unshipped = [":(exclude,glob)**/*.test.ts", ":(exclude,glob)**/testing/**"];
  return git(root, "diff", "--name-only", release, "--", ...shipped, ...unshipped) !== "";
}

/**
 * What the changesets of this checkout are compared with: the base branch, or the release that was
 * made since, which has used its changesets up. Undefined where there is nothing to compare: no base
 * branch, or a release that is made just now and not committed.
 */
export function comparisonBase(root: string): string | undefined {
  const changelogs = ":(glob)**/CHANGELOG.md";
  if (git(root, "status", "--porcelain", "--", changelogs) !== "") return undefined;
  const branch = ["origin/main", "main"].find((name) =>
    succeeds(root, "rev-parse", "--verify", name),
  );
  if (branch === undefined) return undefined;
  const release = git(root, "log", "-1", "--format=%H", `${branch}..HEAD`, "--", changelogs).trim();
  return release === "" ? branch : release;
}

function succeeds(root: string, ...command: string[]): boolean {
  try {
    git(root, ...command);
    return true;
  } catch {
    return false;
  }
}

/** Runs git in `root`; returns what it printed. Throws where git fails. */
export function git(root: string, ...command: string[]): string {
  return execFileSync("git", command, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
}
