import { imagesError } from "../errors.ts";

/** A reference to a blob (OCI Image Format Specification, "Content Descriptors"). */
export interface Descriptor {
  readonly mediaType: string;
  /** "sha256:" and 64 hexadecimal digits, or "sha512:" and 128. */
  readonly digest: string;
  readonly size: number;
  readonly architecture?: string;
  readonly os?: string;
  /** The name it has in an index: "latest". */
  readonly refName?: string;
}

/** What an index or a manifest refers to. */
export type OciDocument =
  | { readonly kind: "index"; readonly manifests: readonly Descriptor[] }
  | {
      readonly kind: "manifest";
      readonly config: Descriptor;
      readonly layers: readonly Descriptor[];
    };

/** What of an image's configuration matters for running it. */
export interface OciConfig {
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly cwd?: string;
  readonly user?: string;
}

const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;
const LAYER = /^application\/vnd\.(?:oci\.image\.layer\.v1\.tar|docker\.image\.rootfs\.diff\.tar)/;

type Json = Readonly<Record<string, unknown>>;

/** Reads an image index or manifest, of OCI or of Docker. @throws QZ_IMAGES_BAD_LAYOUT */
export function parseOciDocument(text: string, what: string): OciDocument {
  const json = parseObject(text, what);
  if (json["schemaVersion"] !== 2) throw badLayout(`${what} is of another version`);
  if (Array.isArray(json["manifests"])) {
    const manifests = json["manifests"].map((each) => descriptor(each, what));
    return { kind: "index", manifests };
  }
  if (!Array.isArray(json["layers"])) throw badLayout(`${what} has neither manifests nor layers`);
  const layers = json["layers"].map((each) => descriptor(each, what));
  for (const { mediaType } of layers) {
    if (LAYER.test(mediaType)) continue;
    throw badLayout(`${what} has a layer of the type ${JSON.stringify(mediaType)}`);
  }
  return { kind: "manifest", config: descriptor(json["config"], what), layers };
}

/** Reads an image's configuration. @throws QZ_IMAGES_BAD_LAYOUT */
export function parseOciConfig(text: string, what: string): OciConfig {
  const json = parseObject(text, what);
  const { architecture, os } = json;
  if (os !== "linux" || architecture !== "amd64") {
    throw badLayout(`it is for ${JSON.stringify(os)} on ${JSON.stringify(architecture)}`);
  }
  const config = isObject(json["config"]) ? json["config"] : {};
  const strings = (key: string) => {
    const value = config[key];
    return Array.isArray(value) && value.every((each) => typeof each === "string") ? value : [];
  };
  const string = (key: string) => {
    const value = config[key];
    return typeof value === "string" && value !== "" ? value : undefined;
  };
  const [cwd, user] = [string("WorkingDir"), string("User")];
  return {
    argv: [...strings("Entrypoint"), ...strings("Cmd")],
    env: strings("Env"),
    ...(cwd !== undefined && { cwd }),
    ...(user !== undefined && { user }),
  };
}

/**
 * The manifest of an index that is for x86-64 Linux, or has the given name.
 * @throws QZ_IMAGES_BAD_LAYOUT where there is none, or the name is needed to tell several apart.
 */
export function chooseManifest(manifests: readonly Descriptor[], name?: string): Descriptor {
  const named = name === undefined ? manifests : manifests.filter((each) => each.refName === name);
  const fitting = named.filter(
    ({ os = "linux", architecture = "amd64" }) => os === "linux" && architecture === "amd64",
  );
  const [first, second] = fitting;
  if (!first) {
    const whose = name === undefined ? "" : ` named ${JSON.stringify(name)}`;
    throw badLayout(`it has no image${whose} for x86-64 Linux`);
  }
  if (second && second.digest !== first.digest) {
    const names = fitting.map((each) => each.refName ?? each.digest).join(", ");
    throw badLayout(`it has several images: choose one of ${names}`);
  }
  return first;
}

export function badLayout(reason: string, cause?: unknown) {
  return imagesError("QZ_IMAGES_BAD_LAYOUT", { reason }, { cause });
}

function descriptor(value: unknown, what: string): Descriptor {
  if (!isObject(value)) throw badLayout(`${what} has a descriptor that is none`);
  const { mediaType, digest, size, platform, annotations } = value;
  if (typeof mediaType !== "string" || typeof digest !== "string" || !DIGEST.test(digest)) {
    throw badLayout(`${what} has a descriptor without a digest that can be checked`);
  }
  if (!(typeof size === "number" && Number.isSafeInteger(size) && size >= 0)) {
    throw badLayout(`${what} has a descriptor without a size`);
  }
  const { architecture, os } = isObject(platform) ? platform : {};
  const refName = isObject(annotations)
    ? annotations["org.opencontainers.image.ref.name"]
    : undefined;
  return {
    mediaType,
    digest,
    size,
    ...(typeof architecture === "string" && { architecture }),
    ...(typeof os === "string" && { os }),
    ...(typeof refName === "string" && { refName }),
  };
}

function parseObject(text: string, what: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw badLayout(`${what} is no JSON`, cause);
  }
  if (!isObject(value)) throw badLayout(`${what} is no JSON object`);
  return value;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
