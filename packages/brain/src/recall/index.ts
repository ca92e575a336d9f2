export { vectorDimensions } from "./hashed-vector.ts";
export { embedIdentifier, identifierWords, nameMatcher, nameSimilarity } from "./identifier.ts";
export { createRecall, vectorFromBytes, vectorToBytes } from "./recall.ts";
export type {
  Recall,
  RecallEntry,
  RecallMatch,
  RecallOptions,
  RecallOutcome,
  RecallQuery,
} from "./recall.ts";
