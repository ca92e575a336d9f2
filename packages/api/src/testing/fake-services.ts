import { createHash } from "node:crypto";
import type { z } from "zod";
import type { Principal } from "../access/principal.ts";
import type { fileOutput } from "../schemas/file.ts";
import type { imageOutput } from "../schemas/image.ts";
import type { nodeOutput } from "../schemas/node.ts";
import type { tokenOutput } from "../schemas/token.ts";
import type { ServiceOf, Services } from "../services.ts";
import { FakeEvents } from "./fake-events.ts";
import { fakeTasks } from "./fake-tasks.ts";
import { fakeVms } from "./fake-vms.ts";
import { conflict, notFound, NOW, Shelf } from "./shelf.ts";

/** The secret of the fake's first token, which may do everything. */
export const ADMIN_TOKEN = "qz_the-fakes-first-token";

/** All services in memory: as little as keeps the contract's cases true. */
export function createFakeServices(): Services {
  const events = new FakeEvents();
  const { task, explain } = fakeTasks(events);
  const file = fakeFiles();
  const { token, authenticate } = fakeTokens(events);
  return {
    authenticate,
    vm: fakeVms(events),
    task,
    brain: fakeBrain(file, explain),
    node: fakeNodes(),
    image: fakeImages(),
    file,
    stats: fakeStats(),
    config: fakeConfig(),
    events: events.service,
    token,
  };
}

function fakeTokens(events: FakeEvents): Pick<Services, "token" | "authenticate"> {
  const tokens = new Shelf<z.input<typeof tokenOutput>>("token");
  const secrets = new Map<string, string>();
  const make = (name: string, scopes: z.input<typeof tokenOutput>["scopes"], secret?: string) => {
    const id = tokens.nextId();
    const token = tokens.add({
      id,
      name,
      scopes,
      createdAt: NOW,
      expiresAt: null,
      lastUsedAt: null,
      revokedAt: null,
    });
    const made = secret ?? `qz_secret-of-the-token-${id}`;
    secrets.set(made, id);
    events.emit("token", "created", id);
    return { token, secret: made };
  };
  make("first", ["admin"], ADMIN_TOKEN);
  return {
    async authenticate(secret): Promise<Principal | undefined> {
      const id = secrets.get(secret);
      const token = id === undefined ? undefined : tokens.get(id);
      if (token === undefined || token.revokedAt !== null) return undefined;
      return { tokenId: token.id, name: token.name, scopes: token.scopes };
    },
    token: {
      create: async ({ name, scopes }) => make(name, scopes),
      list: async ({ revoked, ...page }) =>
        tokens.page(page, ({ revokedAt }) => revoked || revokedAt === null),
      async revoke({ token }) {
        const found = tokens.get(token);
        found.revokedAt = NOW;
        events.emit("token", "revoked", found.id);
        return found;
      },
    },
  };
}

function fakeFiles(): ServiceOf<"file"> {
  const files = new Shelf<z.input<typeof fileOutput>>("file");
  const bytes = new Map<string, string>();
  return {
    async create({ name, bytes: size }) {
      const id = files.nextId();
      bytes.set(id, "");
      const times = { createdAt: NOW, expiresAt: NOW };
      return files.add({ id, name, bytes: size, received: 0, sha256: null, ...times });
    },
    async write({ file, offset, data }) {
      const found = files.get(file);
      if (offset !== found.received) throw conflict(`${file} goes on at ${found.received}`);
      const whole = (bytes.get(found.id) ?? "") + atob(data);
      bytes.set(found.id, whole);
      found.received = whole.length;
      if (whole.length === found.bytes) {
        found.sha256 = createHash("sha256").update(whole, "latin1").digest("hex");
      }
      return found;
    },
    get: async ({ file }) => files.get(file),
    async read({ file, offset, length }) {
      const { id, bytes: size } = files.get(file);
      const part = (bytes.get(id) ?? "").slice(offset, offset + length);
      return { data: btoa(part), offset, bytes: size };
    },
    remove: async ({ file }) => files.remove(file),
  };
}

function fakeBrain(
  file: ServiceOf<"file">,
  explain: ServiceOf<"brain">["explain"],
): ServiceOf<"brain"> {
  const status = {
    experiences: 0,
    families: 0,
    decisions: 0,
    finished: 0,
    outOfMemory: 0,
    wasteGibHours: { brain: 0, request: 0, vpa: 0 },
    coverage: null,
    exploredRuns: 0,
    exploredFailedShare: 0,
    uncertain: [],
    modelVersion: 1,
  };
  return {
    status: async () => status,
    knowledge: async () => ({ items: [], nextCursor: null }),
    explain,
    optimize: async () => ({ at: NOW, actions: [] }),
    forget: async () => ({ experiences: 0 }),
    async export(_, call) {
      const { id } = await file.create({ name: "brain.json", bytes: 2 }, call);
      return file.write({ file: id, offset: 0, data: btoa("{}") }, call);
    },
    async import({ file: id }, call) {
      await file.get({ file: id }, call);
      return status;
    },
  };
}

function fakeNodes(): ServiceOf<"node"> {
  const nodes = new Shelf<z.input<typeof nodeOutput>>("node");
  return {
    async add({ name, cpu, memoryMib, gpu, diskMib = 1024, labels }) {
      if (nodes.find(name) !== undefined) throw conflict(`the name ${name} is taken`);
      return nodes.add({
        id: nodes.nextId(),
        name,
        state: "ready",
        cordoned: false,
        engines: ["emulator"],
        capacity: { cpu, memoryMib, gpu, diskMib },
        used: { cpu: 0, memoryMib: 0, gpu: 0, diskMib: 0 },
        vms: 0,
        version: "0.0.0",
        labels,
        lastSeenAt: NOW,
        addedAt: NOW,
      });
    },
    list: async (page) => nodes.page(page),
    get: async ({ node }) => nodes.get(node),
    cordon: async ({ node, cordoned }) => Object.assign(nodes.get(node), { cordoned }),
    drain: async ({ node }) => Object.assign(nodes.get(node), { cordoned: true }),
    remove: async ({ node }) => nodes.remove(node),
  };
}

function fakeImages(): ServiceOf<"image"> {
  type Image = z.input<typeof imageOutput>;
  const images = new Shelf<Image>("image");
  const make = (name: string, state: Image["state"]) =>
    images.add({
      id: images.nextId(),
      name,
      state,
      progress: state === "ready" ? 1 : 0,
      kernel: "6.1.0",
      bytes: 1,
      templates: 0,
      default: images.all.length === 0,
      problem: null,
      createdAt: NOW,
    });
  make("debian-12", "ready");
  return {
    list: async (page) => images.page(page),
    get: async ({ image }) => images.get(image),
    build: async ({ name }) => make(name, "building"),
    import: async ({ name }) => make(name, "building"),
    remove: async ({ image }) => images.remove(image),
  };
}

function fakeStats(): ServiceOf<"stats"> {
  const vms = { creating: 0, running: 0, paused: 0, stopped: 0, crashed: 0, destroyed: 0 };
  const tasks = { queued: 0, preparing: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0 };
  const host = { cpu: 2, cpuShare: 0.5, memoryMib: 4096, memoryShare: 0.5, diskFreeMib: 1 };
  const counts = { nodes: 1, images: 1, templates: 0, experiences: 0 };
  return {
    get: async () => ({
      at: NOW,
      version: "0.0.0",
      uptimeSeconds: 1,
      database: "embedded",
      vms,
      tasks,
      ...counts,
      host,
    }),
  };
}

function fakeConfig(): ServiceOf<"config"> {
  const key = "optimize.everySeconds";
  let stored: string | number | boolean | undefined;
  const setting = (wanted: string) => {
    if (wanted !== key) throw notFound("setting", wanted);
    return {
      key,
      value: stored ?? 60,
      default: 60,
      source: stored === undefined ? ("default" as const) : ("stored" as const),
      description: "Seconds between two optimisations",
      restart: false,
    };
  };
  return {
    get: async () => ({ items: [setting(key)] }),
    async set({ key: wanted, value }) {
      setting(wanted);
      stored = value;
      return setting(wanted);
    },
    async reset({ key: wanted }) {
      setting(wanted);
      stored = undefined;
      return setting(wanted);
    },
  };
}
