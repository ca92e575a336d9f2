/** What is being done, for a progress display. */
export interface ImageProgress {
  readonly step:
    | "resolve"
    | "download"
    | "unpack"
    | "extract"
    | "assemble"
    | "write"
    | "verify"
    | "wait"
    | "cached";
  /** The package or layer it is about. */
  readonly package?: string;
  /** Bytes done and to do, while downloading or writing a disk. */
  readonly bytes?: number;
  readonly totalBytes?: number;
  /** Where it comes from, while downloading. */
  readonly source?: string;
}

/** Called with each step. */
export type OnProgress = (progress: ImageProgress) => void;
