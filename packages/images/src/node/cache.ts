import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { imagesError } from "../errors.ts";

/** SHA-256 in hexadecimal. */
export function sha256(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Writes a file so that it is there wholly or not at all, even if the process dies meanwhile. */
export async function writeAtomically(path: string, bytes: Uint8Array | string): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${randomUUID()}.partial`);
  await inHome(folder, async () => {
    await mkdir(folder, { recursive: true });
    try {
      await writeFile(temporary, bytes, { flush: true });
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  });
}

/** The bytes of a file with this SHA-256, or undefined when it is not there or was altered. */
export async function readVerified(
  path: string,
  expected: string,
): Promise<Uint8Array | undefined> {
  try {
    const bytes = await readFile(path);
    return sha256(bytes) === expected ? bytes : undefined;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw homeError(path, error);
  }
}

/** Runs work on files of the cache; what the system refuses becomes QZ_IMAGES_HOME. */
export async function inHome<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw homeError(path, error);
  }
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function homeError(path: string, cause: unknown) {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return imagesError("QZ_IMAGES_HOME", { path, reason }, { cause });
}
