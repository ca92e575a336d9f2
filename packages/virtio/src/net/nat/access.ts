import { virtioError } from "../../errors.ts";
import { inRange, parseRange } from "./ipv4.ts";
import type { AddressRange } from "./ipv4.ts";

/** Addresses that are not of the public internet: refused unless the allow-list opens them. */
const NOT_PUBLIC: readonly AddressRange[] = [
  "0.0.0.0/8", // this network
  "10.0.0.0/8", // private (RFC 1918)
  "100.64.0.0/10", // carriers' shared addresses, and one cloud's metadata service
  "127.0.0.0/8", // loopback
  "168.63.129.16/32", // a cloud's host agent
  "169.254.0.0/16", // link-local, and most clouds' metadata service
  "172.16.0.0/12", // private
  "192.0.0.0/24", // protocol assignments
  "192.0.2.0/24", // documentation
  "192.88.99.0/24", // 6to4 relays
  "192.168.0.0/16", // private
  "198.18.0.0/15", // benchmarks
  "198.51.100.0/24", // documentation
  "203.0.113.0/24", // documentation
  "224.0.0.0/4", // multicast
  "240.0.0.0/4", // reserved, and broadcast
].map(parseRange);

interface Rule {
  readonly range: AddressRange;
  readonly firstPort: number;
  readonly lastPort: number;
}

/** Which hosts a guest may reach. Rules read `93.184.0.0/16`, `10.1.2.3:443` or `10.0.0.0/8:8000-8100`. */
export interface AccessOptions {
  /** Opens addresses, also ones that are refused by default. */
  readonly allow?: readonly string[];
  /** Closes addresses; stronger than `allow`. */
  readonly deny?: readonly string[];
  /** What is in no rule: public addresses (default) or nothing. */
  readonly otherwise?: "public" | "nothing";
}

/** Decides about destinations. */
export class AccessList {
  readonly #allow: readonly Rule[];
  readonly #deny: readonly Rule[];
  readonly #public: boolean;

  /** @throws QZ_VIRTIO_OPTIONS for a rule that does not read. */
  constructor(options: AccessOptions = {}) {
    this.#allow = (options.allow ?? []).map(parseRule);
    this.#deny = (options.deny ?? []).map(parseRule);
    this.#public = options.otherwise !== "nothing";
  }

  permits(address: number, port: number): boolean {
    const matches = (rule: Rule): boolean =>
      inRange(address, rule.range) && port >= rule.firstPort && port <= rule.lastPort;
    if (this.#deny.some(matches)) return false;
    if (this.#allow.some(matches)) return true;
    return this.#public && !NOT_PUBLIC.some((range) => inRange(address, range));
  }
}

function parseRule(text: string): Rule {
  const [range = "", ports = "0-65535", ...more] = text.split(":");
  const [first = "", last = first, ...others] = ports.split("-");
  const [firstPort, lastPort] = [Number(first), Number(last)];
  const reads =
    more.length === 0 &&
    others.length === 0 &&
    [first, last].every((port) => /^\d{1,5}$/.test(port) && Number(port) <= 65535) &&
    firstPort <= lastPort;
  if (!reads) {
    throw virtioError("QZ_VIRTIO_OPTIONS", {
      option: "an access rule",
      value: text,
      reason: "give addresses as 10.0.0.0/8, and ports after a colon as 80 or 8000-8100",
    });
  }
  return { range: parseRange(range), firstPort, lastPort };
}
