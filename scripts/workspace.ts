import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** The fields of a package.json that the repository's own checks read. */
export interface Manifest {
  readonly name: string;
  readonly version?: string;
  readonly private?: boolean;
  readonly license?: string;
  readonly bin?: Readonly<Record<string, string>> | string;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** A package of this monorepo. */
export interface WorkspacePackage {
  /** Where it lives, relative to the root and with forward slashes: `packages/memory`. */
  readonly folder: string;
  readonly directory: string;
  readonly manifest: Manifest;
  readonly isPublic: boolean;
}

/** The repository's root directory. */
export const root = join(import.meta.dirname, "..");

// The same folders as `packages:` in pnpm-workspace.yaml.
const parents = ["packages", "apps", "examples"];
const singles = ["benchmarks"];

/** Every package of the workspace at `from`, ordered by folder. */
export function workspacePackages(from: string = root): WorkspacePackage[] {
  const children = parents
    .filter((parent) => existsSync(join(from, parent)))
    .flatMap((parent) => readdirSync(join(from, parent)).map((child) => `${parent}/${child}`));
  return [...children, ...singles]
    .filter((folder) => existsSync(join(from, folder, "package.json")))
    .sort()
    .map((folder) => readPackage(from, folder));
}

/** The packages that are published. */
export function publicPackages(from: string = root): WorkspacePackage[] {
  return workspacePackages(from).filter((workspacePackage) => workspacePackage.isPublic);
}

/**
 * Whether a package has any code yet: a folder laid down for later, whose `src/index.ts` exports
 * nothing, has nothing to document, release or check.
 */
export function hasContent({ directory }: WorkspacePackage): boolean {
  const index = join(directory, "src/index.ts");
  return !existsSync(index) || readFileSync(index, "utf8").trim() !== "export {};";
}

function readPackage(from: string, folder: string): WorkspacePackage {
  const directory = join(from, folder);
  const manifest = JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as Manifest;
  return { folder, directory, manifest, isPublic: manifest.private !== true };
}
