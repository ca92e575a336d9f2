import type { CpioInput } from "@queztl/boot";
import { imagesError } from "./errors.ts";

/**
 * What the agent is made of, by Debian package: an interpreter, its libraries and two modules, which lie with
 * it in a folder of their own, so that it runs over any userland, or none.
 */
const PARTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "perl-base": {
    "usr/bin/perl": "perl",
    "usr/lib/x86_64-linux-gnu/perl-base/strict.pm": "strict.pm",
    "usr/lib/x86_64-linux-gnu/perl-base/warnings.pm": "warnings.pm",
  },
  libc6: {
    "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": "ld-linux-x86-64.so.2",
    "lib/x86_64-linux-gnu/libc.so.6": "libc.so.6",
    "lib/x86_64-linux-gnu/libm.so.6": "libm.so.6",
  },
  libcrypt1: { "lib/x86_64-linux-gnu/libcrypt.so.1.1.0": "libcrypt.so.1" },
};

/** The Debian packages with the guest agent's interpreter. */
export const AGENT_PACKAGES: readonly string[] = Object.keys(PARTS);

/** Whether a file of one of those packages is needed. */
export function isAgentPart(packageName: string, path: string): boolean {
  return PARTS[packageName]?.[path] !== undefined;
}

const FOLDER = "queztl/agent";

/** What starts the agent. Disks have their own ideas of control groups; where one has none, ours are there. */
export const AGENT_START = `#!/run/queztl/busybox sh
# Without a console there is no port for it.
[ -e /sys/class/virtio-ports ] || exit 0
[ -e /sys/fs/cgroup/cgroup.controllers ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null
agent=/run/${FOLDER}
exec $agent/ld-linux-x86-64.so.2 --library-path $agent $agent/perl -I$agent $agent/queztl-agent.pl --daemon
`;

/**
 * The files of an initramfs that make the guest agent run before the guest is ready.
 * @param script the agent itself.
 * @param packages the needed files of each of AGENT_PACKAGES, by path.
 * @throws QZ_IMAGES_BAD_PACKAGE when one is missing.
 */
export function guestAgentFiles(
  script: Uint8Array,
  packages: ReadonlyMap<string, ReadonlyMap<string, Uint8Array>>,
): CpioInput[] {
  const files: CpioInput[] = [
    { path: "queztl/start.d/agent", mode: 0o755, data: AGENT_START },
    { path: `${FOLDER}/queztl-agent.pl`, mode: 0o755, data: script },
  ];
  for (const [name, parts] of Object.entries(PARTS)) {
    for (const [path, as] of Object.entries(parts)) {
      const data = packages.get(name)?.get(path);
      if (!data)
        throw imagesError("QZ_IMAGES_BAD_PACKAGE", { what: name, reason: `it has no ${path}` });
      files.push({ path: `${FOLDER}/${as}`, mode: 0o755, data });
    }
  }
  return files;
}
