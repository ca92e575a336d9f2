import * as schema from "../schemas/node.ts";
import { pageOf } from "../schemas/page.ts";
import { mutation, query } from "./operation.ts";

const node = "local";
const read = { scope: "node:read" } as const;
const write = { scope: "node:write" } as const;
const one = { input: schema.nodeInput, output: schema.nodeOutput, example: { node } } as const;

export const nodeOperations = {
  add: mutation({
    ...write,
    summary: "Add a node",
    input: schema.nodeAddInput,
    output: schema.nodeOutput,
    rest: { method: "POST", path: "/v1/nodes", status: 201 },
    example: { name: "rack-2", cpu: 16, memoryMib: 65_536 },
  }),
  list: query({
    ...read,
    summary: "List nodes",
    input: schema.nodeListInput,
    output: pageOf(schema.nodeOutput),
    rest: { method: "GET", path: "/v1/nodes" },
    example: {},
  }),
  get: query({
    ...read,
    ...one,
    summary: "Show a node",
    rest: { method: "GET", path: "/v1/nodes/{node}" },
  }),
  cordon: mutation({
    ...write,
    summary: "Keep new VMs from a node, or let them come again",
    input: schema.nodeCordonInput,
    output: schema.nodeOutput,
    rest: { method: "POST", path: "/v1/nodes/{node}/cordon" },
    example: { node, cordoned: true },
  }),
  drain: mutation({
    ...write,
    summary: "Cordon a node and move what runs on it elsewhere",
    input: schema.nodeDrainInput,
    output: schema.nodeOutput,
    rest: { method: "POST", path: "/v1/nodes/{node}/drain" },
    example: { node, deadlineSeconds: 60 },
  }),
  remove: mutation({
    ...write,
    ...one,
    summary: "Remove a node that has no VMs",
    rest: { method: "DELETE", path: "/v1/nodes/{node}" },
  }),
};
