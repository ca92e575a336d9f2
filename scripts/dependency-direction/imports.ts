import { Visitor, parseSync } from "oxc-parser";

/** One place where a file names another module. */
export interface Import {
  readonly specifier: string;
  /** 1-based. */
  readonly line: number;
  /** Erased when compiled: `import type`, `export type … from`, `import("…").T`. */
  readonly typeOnly: boolean;
}

/**
 * Every module a TypeScript file names: static imports and re-exports, `import()` with a literal,
 * `import("…")` types and `new URL("./x.ts", import.meta.url)` (how workers are started).
 */
export function importsOf(path: string, source: string): Import[] {
  const { program, module, errors } = parseSync(path, source);
  const first = errors[0];
  if (first !== undefined) throw new Error(`${path}: cannot be parsed: ${first.message}`);
  const found: Import[] = [];
  const add = (specifier: string, offset: number, typeOnly: boolean) =>
    found.push({ specifier, line: lineAt(source, offset), typeOnly });

  for (const { moduleRequest, entries, start } of module.staticImports) {
    // `import "x"` has no entries and is a value import.
    add(moduleRequest.value, start, entries.length > 0 && entries.every((entry) => entry.isType));
  }
  for (const { entries, start } of module.staticExports) {
    const requests = entries.filter((entry) => entry.moduleRequest !== null);
    const request = requests[0]?.moduleRequest;
    if (request)
      add(
        request.value,
        start,
        requests.every((entry) => entry.isType),
      );
  }
  new Visitor({
    ImportExpression({ source: argument, start }) {
      if (argument.type === "Literal" && typeof argument.value === "string") {
        add(argument.value, start, false);
      }
    },
    TSImportType({ source: argument, start }) {
      add(argument.value, start, true);
    },
    NewExpression({ callee, arguments: [target, base], start }) {
      const isUrl = callee.type === "Identifier" && callee.name === "URL";
      if (!isUrl || target?.type !== "Literal" || typeof target.value !== "string") return;
      if (base?.type === "MemberExpression" && target.value.endsWith(".ts")) {
        add(target.value, start, false);
      }
    },
  }).visit(program);
  return found;
}

function lineAt(source: string, offset: number): number {
  return source.slice(0, offset).split("\n").length;
}
