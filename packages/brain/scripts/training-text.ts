import { readFileSync, readdirSync } from "node:fs";

/** One training example: a phrase with what data keys and files came along. */
export interface Example {
  readonly domain: string;
  readonly topic: string;
  readonly description: string;
  readonly keys: readonly string[];
  readonly files: readonly string[];
  /** A term of a glossary rather than a sentence. */
  readonly term: boolean;
}

const folder = new URL("../data/training/", import.meta.url);

/**
 * Reads data/training: a file per domain; `# topic` opens a topic; a line is a description, then
 * optionally `:: data keys` and `@ file names`; glossary topics hold terms parted by semicolons.
 */
export function readTraining(): Example[] {
  const examples: Example[] = [];
  for (const file of readdirSync(folder).sort()) {
    const domain = file.replace(/\.txt$/, "");
    let topic = "";
    for (const line of readFileSync(new URL(file, folder), "utf8").split("\n")) {
      if (line.trim() === "") continue;
      if (line.startsWith("# ")) {
        topic = `${domain}/${line.slice(2)}`;
        continue;
      }
      const parts = /^(.*?)(?: :: (.*?))?(?: @ (.*))?$/.exec(line);
      const text = parts?.[1] ?? "";
      const keys = parts?.[2]?.split(" ") ?? [];
      const files = parts?.[3]?.split(" ") ?? [];
      const glossary = /glossary|plain words/.test(topic) && text.includes(";");
      for (const description of glossary ? text.split(";") : [text]) {
        examples.push({
          domain,
          topic,
          description: description.trim(),
          keys,
          files,
          term: glossary,
        });
      }
    }
  }
  return examples;
}
