import { defineErrors } from "@queztl/errors";
import { defineBench, importPeer, timed } from "./src/index.ts";

const fault = defineErrors({
  QZ_BENCH_FULL: { status: "exhausted", message: "{what} is full; remove {count} files" },
});

type FastifyCreateError = (
  code: string,
  message: string,
) => new (...details: unknown[]) => Error & { code: string };
let FastifyFull: ReturnType<FastifyCreateError>;

export default defineBench({
  summary: "what it costs to make one coded error with two details, stack trace included",
  cases: [
    {
      name: "one error",
      unit: "ns",
      better: "lower",
      ours: {
        name: "@queztl/errors",
        measure: timed(() => fault("QZ_BENCH_FULL", { what: "the disk", count: 3 })),
      },
      peers: [
        {
          name: "@fastify/error",
          needs: { npm: ["@fastify/error@4.2.1"] },
          async setup() {
            const { createError } = await importPeer("@fastify/error");
            FastifyFull = (createError as FastifyCreateError)(
              "QZ_BENCH_FULL",
              "%s is full; remove %s files",
            );
          },
          measure: timed(() => new FastifyFull("the disk", 3)),
        },
        {
          name: "plain Error",
          measure: timed(() => {
            const details = { what: "the disk", count: 3 };
            const message = `${details.what} is full; remove ${details.count} files`;
            return Object.assign(new Error(message), { code: "QZ_BENCH_FULL", details });
          }),
        },
      ],
    },
  ],
});
