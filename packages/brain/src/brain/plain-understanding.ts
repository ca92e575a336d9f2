import { embedIdentifier, identifierWords } from "../recall/index.ts";
import type { Task, Understanding } from "./task.ts";

/** What can be said of a task without a model of language: its family from its first words. */
export function plainUnderstanding(task: Task): Understanding {
  const head = task.description.slice(0, 512);
  const words = identifierWords(head).slice(0, 6);
  return {
    domain: "general",
    confidence: 0.2,
    family: task.family ?? (words.join(".") || "unnamed"),
    features: {},
    embedding: embedIdentifier(head),
    reasons: [],
  };
}
