import type { QueztlClient } from "@queztl/api/client";
import type { Candidate } from "./complete.ts";

const MOST = 200;
const limit = MOST;

/** The server's things of a kind, as candidates. */
export async function thingsOf(
  client: QueztlClient,
  thing: string,
  before: readonly string[],
): Promise<Candidate[]> {
  switch (thing) {
    case "vm": {
      const { items } = await client.vm.list.query({ limit });
      return items.map(({ name, state }) => ({ value: name, description: state }));
    }
    case "task": {
      const { items } = await client.task.list.query({ limit });
      return items.map(({ id, state, description }) => ({
        value: id,
        description: `${state}: ${description}`,
      }));
    }
    case "node": {
      const { items } = await client.node.list.query({ limit });
      return items.map(({ name, state }) => ({ value: name, description: state }));
    }
    case "image": {
      const { items } = await client.image.list.query({ limit });
      return items.map(({ name, state }) => ({ value: name, description: state }));
    }
    case "snapshot": {
      const { items } = await client.vm.snapshots.query({ vm: before[0] ?? "", limit });
      return items.map(({ name, createdAt }) => ({ value: name, description: createdAt }));
    }
    case "setting": {
      const { items } = await client.config.get.query({});
      return items.map(({ key, description }) => ({ value: key, description }));
    }
    case "token": {
      const { items } = await client.token.list.query({ limit });
      return items.map(({ id, name }) => ({ value: id, description: name }));
    }
    default:
      return [];
  }
}
