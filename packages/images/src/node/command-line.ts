import { parseArgs } from "node:util";
import { isQueztlError } from "@queztl/errors";
import { imagesError } from "../errors.ts";
import { flavours } from "../flavours.ts";
import type { Flavour } from "../flavours.ts";
import type { ImportImageOptions } from "./import-image.ts";

/** `queztl-images --help`. */
export const HELP = `queztl-images: the images that virtual machines are made of

Usage:
  queztl-images build NAME...             build base, base-generic, debian or python, where it is not there yet
  queztl-images import NAME --tar FILE    make an image of a root file system: tar, gzip, xz or zstd; - is the input
  queztl-images import NAME --oci FOLDER  make one of an image in the OCI layout
  queztl-images list [--json]             the images of this computer
  queztl-images remove NAME...            remove images; machines that run go on

Options of build:
  --versions pinned|newest  the same packages everywhere (the default), or the newest there are
Options of import:
  --image REFERENCE         which image of an OCI layout, where it has several
  --flavour cloud|generic|i386   the kernel to run it with; default cloud
  --size BYTES              the disk's size; default what the files take, and --free
  --free BYTES              room for the guest's own files; default 1G
  --warm-up COMMAND         a command, split at spaces, to run once in a template; several times for several
  --replace                 in place of an image of the same name

Bytes may end in K, M or G. Images are kept in QUEZTL_HOME, or ~/.queztl. --home FOLDER is another place.
`;

/** What a command line asks for. */
export type ImagesCommand =
  | { readonly command: "help" }
  | {
      readonly command: "build";
      readonly names: readonly string[];
      readonly versions: "pinned" | "newest";
      readonly home?: string;
    }
  | {
      readonly command: "import";
      readonly options: Omit<ImportImageOptions, "from"> & { readonly from: ImportFrom };
    }
  | { readonly command: "list"; readonly json: boolean; readonly home?: string }
  | { readonly command: "remove"; readonly names: readonly string[]; readonly home?: string };

/** Where an image is imported from; the tar archive "-" is the standard input. */
export type ImportFrom =
  { readonly tar: string } | { readonly oci: string; readonly image?: string };

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;

const OPTIONS = {
  build: { home: text, versions: text },
  import: {
    home: text,
    tar: text,
    oci: text,
    image: text,
    flavour: text,
    size: text,
    free: text,
    "warm-up": { type: "string", multiple: true },
    replace: flag,
  },
  list: { home: text, json: flag },
  remove: { home: text },
} as const;

/** Reads a command line. @throws QZ_IMAGES_USAGE */
export function parseCommandLine(args: readonly string[]): ImagesCommand {
  const [command, ...rest] = args;
  if (command === undefined || command === "help" || args.includes("--help"))
    return { command: "help" };
  try {
    switch (command) {
      case "build": {
        const { values, positionals } = parse(rest, OPTIONS.build);
        const { versions = "pinned", home } = values;
        if (versions !== "pinned" && versions !== "newest")
          throw usage(`--versions ${versions} is not possible: pinned or newest`);
        return { command, names: some(positionals), versions, ...(home && { home }) };
      }
      case "import":
        return { command, options: importOptions(rest) };
      case "list": {
        const { values, positionals } = parse(rest, OPTIONS.list);
        if (positionals.length > 0) throw usage(`list takes no names`);
        const { json = false, home } = values;
        return { command, json, ...(home && { home }) };
      }
      case "remove": {
        const { values, positionals } = parse(rest, OPTIONS.remove);
        return { command, names: some(positionals), ...(values.home && { home: values.home }) };
      }
      default:
        throw usage(`there is no command ${command}`);
    }
  } catch (cause) {
    if (isQueztlError(cause)) throw cause;
    // parseArgs says which option it does not know, in its first sentence.
    const [problem = ""] = (cause as Error).message.split(". ");
    throw usage(problem, cause);
  }
}

function importOptions(
  args: readonly string[],
): Omit<ImportImageOptions, "from"> & { from: ImportFrom } {
  const { values, positionals } = parse(args, OPTIONS.import);
  const [name, ...others] = positionals;
  if (name === undefined || others.length > 0) throw usage("import takes one name");
  const { tar, oci, image, flavour, size, free, replace, home } = values;
  if ((tar === undefined) === (oci === undefined)) throw usage("give either --tar or --oci");
  if (image !== undefined && oci === undefined) throw usage("--image goes with --oci");
  if (flavour !== undefined && !isFlavour(flavour))
    throw usage(`--flavour ${flavour} is not possible: ${Object.keys(flavours).join(" or ")}`);
  const warmUp = (values["warm-up"] ?? []).map((each) => each.split(/\s+/).filter(Boolean));
  if (warmUp.some((words) => words.length === 0)) throw usage("--warm-up needs a command");
  return {
    name,
    from: tar === undefined ? { oci: oci as string, ...(image && { image }) } : { tar },
    ...(isFlavour(flavour) && { flavour }),
    ...(size !== undefined && { size: bytesOf("--size", size) }),
    ...(free !== undefined && { freeBytes: bytesOf("--free", free) }),
    ...(warmUp.length > 0 && { warmUp }),
    ...(replace && { replace }),
    ...(home && { home }),
  };
}

function parse<Options extends NonNullable<Parameters<typeof parseArgs>[0]>["options"]>(
  args: readonly string[],
  options: Options,
) {
  return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
}

function some(names: readonly string[]): readonly string[] {
  if (names.length === 0) throw usage("give a name");
  return names;
}

function isFlavour(value: string | undefined): value is Flavour {
  return value !== undefined && Object.hasOwn(flavours, value);
}

function bytesOf(option: string, value: string): number {
  const [, digits, unit = ""] = /^([1-9]\d{0,14})([KMG]?)$/.exec(value) ?? [];
  const bytes = Number(digits) * 1024 ** ["", "K", "M", "G"].indexOf(unit);
  if (Number.isSafeInteger(bytes)) return bytes;
  throw usage(`${option} ${value} is not possible: a number, with K, M or G behind it or not`);
}

function usage(problem: string, cause?: unknown): Error {
  return imagesError("QZ_IMAGES_USAGE", { problem }, cause === undefined ? {} : { cause });
}
