import { z } from "zod";
import { someText } from "./text.ts";

/** Why a thing is in the state it is in. */
export const problem = z
  .object({
    code: z
      .string()
      .max(64)
      .regex(/^QZ_[A-Z0-9_]+$/)
      .describe("The stable code of the error"),
    message: someText(4000).describe("What is wrong and what to do about it"),
  })
  .meta({ id: "Problem", description: "An error that a thing, not a call, has met" });
