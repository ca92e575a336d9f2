import type { Operation } from "../operations/operation.ts";
import { operationList } from "../operations/operations.ts";

/** The operation that a request asks for. */
export interface MatchedRoute {
  readonly name: string;
  readonly operation: Operation;
  /** Fields of the input that the path gives, still percent-encoded. */
  readonly fields: readonly (readonly [field: string, value: string])[];
}

interface Route {
  readonly method: string;
  readonly segments: readonly string[];
  readonly name: string;
  readonly operation: Operation;
}

const routes: readonly Route[] = operationList.map(({ name, operation }) => ({
  method: operation.rest.method,
  segments: operation.rest.path.split("/"),
  name,
  operation,
}));

const fieldOf = (segment: string) => /^\{(\w+)\}$/.exec(segment)?.[1];

/** The fields of the input that a path holds, in their order. */
export const pathFields = (path: string): string[] =>
  path.split("/").flatMap((segment) => fieldOf(segment) ?? []);

/** All that answers a path, by method; empty where nothing does. A fixed segment beats a field. */
export function matchPath(pathname: string): ReadonlyMap<string, MatchedRoute> {
  const segments = pathname.split("/");
  const found = new Map<string, MatchedRoute>();
  for (const { method, segments: pattern, name, operation } of routes) {
    if (pattern.length !== segments.length) continue;
    const fields: (readonly [string, string])[] = [];
    const matches = pattern.every((expected, index) => {
      const given = segments[index] ?? "";
      const field = fieldOf(expected);
      if (field === undefined) return given === expected;
      fields.push([field, given]);
      return given !== "";
    });
    const rival = found.get(method);
    if (!matches || (rival !== undefined && rival.fields.length <= fields.length)) continue;
    found.set(method, { name, operation, fields });
  }
  return found;
}
