import { describe, expect, test } from "vitest";
import { chaos } from "./testing/chaos.ts";
import { postgresPrograms, startPrivatePostgres } from "./testing/private-postgres.ts";

// `node --conditions=@queztl/source scripts/chaos.ts` does the same with 1,000 tasks and ten kills.
const bounded = { tasks: 30, kills: 1 };

test(
  "the server is killed while it works, embedded database → none lost, none doubled",
  {
    timeout: 300_000,
  },
  async () => {
    const { states, lost, doubled, problems } = await chaos(bounded);
    expect({ problems, succeeded: states["succeeded"], lost, doubled }).toEqual({
      problems: [],
      succeeded: 30,
      lost: 0,
      doubled: 0,
    });
  },
);

describe.skipIf(postgresPrograms() === undefined)("Postgres", () => {
  test(
    "the server and Postgres are killed while they work → none lost, none doubled",
    {
      timeout: 300_000,
    },
    async () => {
      const server = await startPrivatePostgres();
      try {
        const postgres = { server, url: server.url, restarts: 1 };
        const { states, lost, doubled, problems } = await chaos({ ...bounded, postgres });
        expect({ problems, succeeded: states["succeeded"], lost, doubled }).toEqual({
          problems: [],
          succeeded: 30,
          lost: 0,
          doubled: 0,
        });
      } finally {
        await server.stop();
      }
    },
  );
});
