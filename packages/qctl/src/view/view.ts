import type { Paint } from "./paint.ts";

/** What is written on: how wide, whether in colour, and whether everything is wanted. */
export interface Page {
  /** Columns; Infinity where the output is no terminal. */
  readonly width: number;
  readonly paint: Paint;
  readonly wide: boolean;
  readonly now: Date;
}

/** How one kind of answer is shown. `json` and `yaml` are the answer itself and need no view. */
export interface View<Data> {
  /** For people, without a line end at its end; `-o wide` comes with `page.wide`. */
  readonly text: (data: Data, page: Page) => string;
  /** For scripts: one id or name a line. */
  readonly names: (data: Data) => readonly string[];
}

/** The output formats that every command has. */
export const OUTPUT_FORMATS = ["text", "json", "yaml", "wide", "name"] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** An answer in a format, with a line end at its end unless it is empty. */
export async function rendered<Data>(
  view: View<Data>,
  data: Data,
  format: OutputFormat,
  page: Page,
): Promise<string> {
  switch (format) {
    case "json":
      return `${JSON.stringify(data, null, 2)}\n`;
    case "yaml": {
      const { stringify } = await import("yaml");
      return stringify(data);
    }
    case "name":
      return ended(view.names(data).join("\n"));
    case "text":
    case "wide":
      return ended(view.text(data, { ...page, wide: format === "wide" }));
  }
}

const ended = (text: string): string => (text === "" || text.endsWith("\n") ? text : `${text}\n`);
