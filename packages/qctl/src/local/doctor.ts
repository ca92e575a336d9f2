import { accessSync, constants, existsSync } from "node:fs";
import { mkdir, rm, statfs, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { freemem, totalmem } from "node:os";
import { join } from "node:path";
import type { QueztlClient } from "@queztl/api/client";
import { isQueztlError } from "@queztl/errors";
import { isExposed } from "../context/contexts.ts";
import type { Finding } from "../view/facts.ts";
import { byteSize, mebibytes } from "../view/units.ts";
import { healthOf } from "./health.ts";

const GIB = 1024 ** 3;
const PATIENCE_MS = 5000;

const ok = (check: string, found: string): Finding => ({ check, state: "ok", found, mend: null });
const warning = (check: string, found: string, mend: string): Finding => ({
  check,
  state: "warning",
  found,
  mend,
});
const failed = (check: string, found: string, mend: string): Finding => ({
  check,
  state: "failed",
  found,
  mend,
});

/** Whether this Node.js can run Queztl: 22.18, 24.11, or 26 and later. */
export function checkNode(version: string): Finding {
  const [major = 0, minor = 0] = version.replace(/^v/, "").split(".").map(Number);
  const good = (major === 22 && minor >= 18) || (major === 24 && minor >= 11) || major >= 26;
  return good
    ? ok("Node.js", version)
    : failed(
        "Node.js",
        `${version} is too old or not supported`,
        "install Node.js 24, 22.18 or later",
      );
}

/** Whether guests get the speed of the hardware. */
export function checkKvm(device = "/dev/kvm"): Finding {
  const slow = "guests run on the emulator, which is slower";
  if (process.platform !== "linux")
    return warning("KVM", `only Linux has it; ${slow}`, "nothing; it works without");
  if (!existsSync(device)) {
    const mend =
      "turn virtualization on in the firmware, then `modprobe kvm_intel` or `modprobe kvm_amd`";
    return warning("KVM", `${device} is not there; ${slow}`, mend);
  }
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
    return ok("KVM", `${device} can be opened`);
  } catch {
    return warning(
      "KVM",
      `${device} may not be opened; ${slow}`,
      "`sudo usermod -aG kvm $USER`, then log in again",
    );
  }
}

/** Whether guests have memory. */
export function checkMemory(total = totalmem(), free = freemem()): Finding {
  const found = `${byteSize(free)} of ${byteSize(total)} free`;
  return total < 2 * GIB
    ? warning("Memory", found, "guests of 256 MiB fit; larger ones want a larger computer")
    : ok("Memory", found);
}

/** Whether Queztl's folder can be written and has room. */
export async function checkHome(home: string): Promise<Finding[]> {
  const probe = join(home, `.doctor-${process.pid}`);
  try {
    await mkdir(home, { recursive: true, mode: 0o700 });
    await writeFile(probe, "");
    await rm(probe);
  } catch (failure) {
    const problem = failure instanceof Error ? failure.message : String(failure);
    return [failed("Folder", problem, `make ${home} writable, or name another one in QUEZTL_HOME`)];
  }
  const { bavail, bsize } = await statfs(home);
  const free = bavail * bsize;
  const found = `${byteSize(free)} free for ${home}`;
  const room =
    free < GIB
      ? failed("Disk", found, "make room: images and templates take 1 GiB and more")
      : free < 5 * GIB
        ? warning("Disk", found, "make room: each image with its templates takes about 1 GiB")
        : ok("Disk", found);
  return [ok("Folder", `${home} can be written`), room];
}

/** Whether tokens are safe from others on this computer. */
export function checkContexts(path: string): Finding {
  if (!existsSync(path))
    return warning("Contexts", "there are none yet", "`qctl up`, or `qctl config set NAME`");
  return isExposed(path)
    ? failed("Contexts", `${path} holds tokens and others may read it`, `chmod 600 ${path}`)
    : ok("Contexts", `${path} is readable by you only`);
}

/** Whether a server could listen at a port of this computer, or one does. */
export async function checkPort(port: number, host = "127.0.0.1"): Promise<Finding> {
  const health = await healthOf(`http://${host}:${port}`);
  if (health === "ready" || health === "starting") return ok("Port", `a server listens at ${port}`);
  const free = await new Promise<boolean>((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
  return free
    ? ok("Port", `${port} is free`)
    : failed(
        "Port",
        `another program listens at ${port}`,
        `\`qctl up --port N\` with another port`,
      );
}

/** Whether the database that DATABASE_URL names can be reached. */
export async function checkDatabaseUrl(address: string | undefined): Promise<Finding> {
  if (address === undefined || address === "") {
    return ok(
      "Database",
      "embedded; a Postgres in DATABASE_URL pays from several users or 50 tasks a second on",
    );
  }
  if (!URL.canParse(address)) {
    return failed(
      "Database",
      "DATABASE_URL is no address",
      "postgres://USER:PASSWORD@HOST:5432/NAME",
    );
  }
  const { hostname, port, protocol } = new URL(address);
  if (!/^postgres(?:ql)?:$/.test(protocol)) {
    return failed(
      "Database",
      `DATABASE_URL begins with ${protocol}`,
      "it must begin with postgres://",
    );
  }
  const place = `${hostname || "localhost"}:${port || 5432}`;
  const reached = await new Promise<string | undefined>((resolve) => {
    const socket = connect({ host: hostname || "localhost", port: Number(port || 5432) });
    socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error("no answer")));
    socket.once("connect", () => resolve((socket.destroy(), undefined)));
    socket.once("error", (failure) => resolve(failure.message));
  });
  return reached === undefined
    ? ok("Database", `${place} answers`)
    : failed(
        "Database",
        `${place}: ${reached}`,
        "start Postgres, or unset DATABASE_URL for the embedded one",
      );
}

/** Whether the server answers, accepts the token, and has an image. */
export async function checkServer(client: QueztlClient, server: string): Promise<Finding[]> {
  try {
    const stats = await client.stats.get.query({});
    const up = ok("Server", `${server}, version ${stats.version}, ${stats.database} database`);
    const disk =
      stats.host.diskFreeMib < 1024
        ? [
            failed(
              "Server's disk",
              `${mebibytes(stats.host.diskFreeMib)} free`,
              "make room on the server",
            ),
          ]
        : [];
    return [up, ...disk, await checkImages(client)];
  } catch (failure) {
    if (!isQueztlError(failure)) throw failure;
    const mend =
      failure.status === "unauthorised" || failure.status === "forbidden"
        ? "give another token: `qctl config set NAME --token -`"
        : "`qctl up` starts one here; `qctl config view` shows which one is meant";
    return [failed("Server", failure.message, mend)];
  }
}

async function checkImages(client: QueztlClient): Promise<Finding> {
  const { items } = await client.image.list.query({ limit: 500 });
  const ready = items.filter(({ state }) => state === "ready");
  const building = items.filter(({ state }) => state === "building");
  if (ready.length > 0) return ok("Images", ready.map(({ name }) => name).join(", "));
  return building.length > 0
    ? warning(
        "Images",
        `${building.map(({ name }) => name).join(", ")} is being made`,
        "wait: `qctl image list --watch`",
      )
    : warning(
        "Images",
        "none is ready yet",
        "the first VM makes one; `qctl image build NAME` does it now",
      );
}
