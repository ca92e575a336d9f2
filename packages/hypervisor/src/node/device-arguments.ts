import { hypervisorError } from "../errors.ts";

/** A disk of `--disk FILE[,option]…`. */
export interface DiskArgument {
  readonly path: string;
  readonly readOnly: boolean;
  /** What the file holds; never guessed. Default "raw". */
  readonly format?: "raw" | "qcow2";
  /** Where what the guest writes goes, so that the file stays as it is; `PATH.map` says what is there. */
  readonly overlay?: string;
}

/** A port of the host that leads to one of the guest. */
export interface ForwardArgument {
  readonly protocol?: "tcp" | "udp";
  readonly hostPort: number;
  readonly guestPort: number;
}

/** A user-mode network of `--net user[,option]…`. */
export interface NetworkArgument {
  readonly forwards: readonly ForwardArgument[];
  /** The card's address; default 52:54:00:12:34:56. */
  readonly mac?: string;
  /** Rules as `AccessOptions` of @queztl/virtio has them; default: public addresses. */
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
}

/** A switch of several machines of `--net switch,…`: one listens, the others connect. */
export interface SwitchArgument {
  /** Path of a Unix socket. */
  readonly switch: { readonly listen: string } | { readonly connect: string };
  /** The card's address; default: one that differs each time. */
  readonly mac?: string;
}

const DISK = "give FILE[,format=raw|qcow2][,overlay=FILE][,readonly]";
const USER =
  "user[,hostfwd=tcp|udp:HOSTPORT:GUESTPORT][,allow=RULE][,deny=RULE][,mac=MAC], the options as often as needed";
const SWITCH = "switch,listen=SOCKET|connect=SOCKET[,mac=MAC]";
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i;

/** @throws QZ_HYPERVISOR_OPTIONS */
export function parseDisk(text: string): DiskArgument {
  const [path = "", ...options] = text.split(",");
  if (path === "") throw impossible("--disk", text, DISK);
  let disk: DiskArgument = { path, readOnly: false };
  for (const option of options) {
    const { name, value } = keyed(option);
    if (option === "readonly") disk = { ...disk, readOnly: true };
    else if (name === "format" && value === "raw") continue;
    else if (name === "format" && value === "qcow2") disk = { ...disk, format: "qcow2" };
    else if (name === "overlay" && value !== "") disk = { ...disk, overlay: value };
    else throw impossible("--disk", text, DISK);
  }
  if (disk.readOnly && disk.overlay !== undefined)
    throw impossible("--disk", text, "an overlay is there to be written to: leave readonly out");
  return disk;
}

/** Undefined for "none". @throws QZ_HYPERVISOR_OPTIONS */
export function parseNetwork(text: string): NetworkArgument | SwitchArgument | undefined {
  const [kind, ...options] = text.split(",");
  if (kind === "none" && options.length === 0) return undefined;
  if (kind === "user") return parseUser(text, options);
  if (kind === "switch") return parseSwitch(text, options);
  throw impossible("--net", text, `give none, ${USER}, or ${SWITCH}`);
}

function parseUser(text: string, options: readonly string[]): NetworkArgument {
  const expected = `give ${USER}`;
  const forwards: ForwardArgument[] = [];
  const allow: string[] = [];
  const deny: string[] = [];
  let mac: string | undefined;
  for (const option of options) {
    const { name, value } = keyed(option);
    const [, protocol, host, guest] = /^(tcp|udp):(\d{1,5}):(\d{1,5})$/.exec(value) ?? [];
    if (name === "hostfwd" && host !== undefined && guest !== undefined) {
      const ports = { hostPort: port("a host port", host), guestPort: port("a guest port", guest) };
      forwards.push(protocol === "udp" ? { protocol, ...ports } : ports);
    } else if (name === "allow" && value !== "") allow.push(value);
    else if (name === "deny" && value !== "") deny.push(value);
    else if (name === "mac" && MAC.test(value)) mac = value;
    else throw impossible("--net", text, expected);
  }
  return {
    forwards,
    ...(allow.length > 0 && { allow }),
    ...(deny.length > 0 && { deny }),
    ...(mac !== undefined && { mac }),
  };
}

function parseSwitch(text: string, options: readonly string[]): SwitchArgument {
  let place: SwitchArgument["switch"] | undefined;
  let mac: string | undefined;
  for (const option of options) {
    const { name, value } = keyed(option);
    if (value !== "" && name === "listen" && place === undefined) place = { listen: value };
    else if (value !== "" && name === "connect" && place === undefined) place = { connect: value };
    else if (name === "mac" && MAC.test(value)) mac = value;
    else throw impossible("--net", text, `give ${SWITCH}`);
  }
  if (place === undefined) throw impossible("--net", text, `give ${SWITCH}`);
  return { switch: place, ...(mac !== undefined && { mac }) };
}

/** NAME=VALUE. */
function keyed(option: string): { readonly name: string; readonly value: string } {
  const at = option.indexOf("=");
  return at < 0
    ? { name: option, value: "" }
    : { name: option.slice(0, at), value: option.slice(at + 1) };
}

function port(option: string, value: string): number {
  const number = Number(value);
  if (number >= 1 && number <= 65535) return number;
  throw impossible(option, value, "give a whole number from 1 to 65535");
}

/** A flag whose value cannot be. */
export function impossible(option: string, value: string, expected: string): Error {
  return hypervisorError("QZ_HYPERVISOR_OPTIONS", { option, value, expected });
}
