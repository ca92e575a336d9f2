import { z } from "zod";

/** Processors; whole ones. */
export const cpu = z.int().min(1).max(1024);
/** Memory in MiB, up to 16 TiB. */
export const memoryMib = z.int().min(16).max(16_777_216);
/** Disk in MiB, up to 64 TiB. */
export const diskMib = z.int().min(0).max(67_108_864);
/** GPUs; whole ones. */
export const gpu = z.int().min(0).max(64);
/** Seconds that something may take, up to 30 days. */
export const seconds = z.number().min(0).max(2_592_000);
/** A TCP or UDP port. */
export const port = z.int().min(1).max(65_535);
/** A size or a place in bytes, up to 1 PiB. */
export const bytes = z.int().min(0).max(1_125_899_906_842_624);
/** How many. */
export const count = z.int().min(0);
/** A finite measure that is not negative. */
export const amount = z.number().min(0);
/** A part of a whole, 0 to 1. */
export const share = z.number().min(0).max(1);
