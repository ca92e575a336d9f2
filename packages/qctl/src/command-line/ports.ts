import { isIP } from "node:net";
import type { InputOf } from "@queztl/api";
import { qctlErrors } from "../errors.ts";

type PortForward = NonNullable<InputOf<"vm.create">["ports"]>[number];

/**
 * A port to forward as people type it: `80` (a free port of the host leads to the guest's 80),
 * `8080:80`, `0.0.0.0:8080:80`, `[::1]:8080:80`, each with `/udp` or `/tcp` at its end. Throws
 * `QZ_QCTL_INPUT_INVALID`.
 */
export function parsePort(text: string): PortForward {
  const found =
    /^(?:(?:\[([0-9a-f:.]+)\]|(\d+(?:\.\d+){3})):)?(?:(\d{1,5}):)?(\d{1,5})(?:\/(tcp|udp))?$/i.exec(
      text,
    );
  const [, v6, v4, host, guest, protocol = "tcp"] = found ?? [];
  const address = v6 ?? v4;
  const isRight =
    isPort(guest) &&
    (host === undefined || isPort(host)) &&
    (address === undefined || isIP(address) === (v6 === undefined ? 4 : 6));
  if (!isRight) {
    throw qctlErrors("QZ_QCTL_INPUT_INVALID", {
      field: `the port ${text}`,
      expected: "[[ADDRESS:]HOST:]GUEST[/udp], such as 8080:80",
    });
  }
  return {
    guest: Number(guest),
    protocol: protocol.toLowerCase() === "udp" ? "udp" : "tcp",
    ...(host === undefined ? {} : { host: Number(host) }),
    ...(address === undefined ? {} : { address }),
  };
}

const isPort = (text: string | undefined): boolean =>
  text !== undefined && Number(text) >= 1 && Number(text) <= 65_535;
