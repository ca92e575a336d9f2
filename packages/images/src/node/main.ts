#!/usr/bin/env node
import { Readable } from "node:stream";
import { isQueztlError } from "@queztl/errors";
import { HELP, parseCommandLine } from "./command-line.ts";
import { importImage } from "./import-image.ts";
import { listImages, openImage, removeImage } from "./open-image.ts";
import type { ImageSummary } from "./open-image.ts";
import type { ImageProgress } from "./progress.ts";

/** Each step once, with what it is about. */
function progressLines(): (progress: ImageProgress) => void {
  let last = "";
  return ({ step, package: name }) => {
    const line = name === undefined ? step : `${step} ${name}`;
    if (line !== last) process.stderr.write(`${line}\n`);
    last = line;
  };
}

const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`;

function show({ name, kind, origin, bytes, diskBytes, builtAt }: ImageSummary): string {
  const disk = kind === "disk" ? `disk of ${mebibytes(diskBytes)}` : "no disk";
  const day = builtAt.slice(0, 10);
  return [name.padEnd(20), origin.padEnd(7), mebibytes(bytes).padStart(9), day, disk].join("  ");
}

async function main(args: readonly string[], signal: AbortSignal): Promise<void> {
  const asked = parseCommandLine(args);
  const print = (line: string): boolean => process.stdout.write(`${line}\n`);
  switch (asked.command) {
    case "help":
      process.stdout.write(HELP);
      return;
    case "build":
      for (const name of asked.names) {
        const { versions, home } = asked;
        const onProgress = progressLines();
        const image = await openImage(name, {
          versions,
          signal,
          onProgress,
          ...(home && { home }),
        });
        const { release, kernel, initramfs, disk } = image;
        print(`${name}: Linux ${release}`);
        for (const file of [kernel, initramfs, disk])
          if (file) print(`  ${file.sha256}  ${file.path}`);
      }
      return;
    case "import": {
      const { from, ...options } = asked.options;
      const source =
        "tar" in from && from.tar === "-"
          ? { tar: Readable.toWeb(process.stdin) as ReadableStream<Uint8Array> }
          : from;
      const onProgress = progressLines();
      print(show(await importImage({ ...options, from: source, signal, onProgress })));
      return;
    }
    case "list": {
      const images = await listImages(asked);
      if (asked.json) print(JSON.stringify(images, undefined, 2));
      else for (const image of images) print(show(image));
      return;
    }
    case "remove":
      for (const name of asked.names) await removeImage(name, { ...asked, signal });
      return;
  }
}

const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
try {
  await main(process.argv.slice(2), stop.signal);
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  const code = isQueztlError(error) ? ` (${error.code})` : "";
  process.stderr.write(`queztl-images: ${message}${code}\n`);
  process.exitCode = isQueztlError(error, "QZ_IMAGES_USAGE") ? 2 : 1;
}
