import type { DebianPackage } from "../package-index.ts";

/** How a source is asked. */
export interface FetchOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes received so far, where the source knows them. */
  readonly onBytes?: (bytes: number) => void;
}

/** Somewhere Debian packages come from. What it returns is untrusted until its checksum was compared. */
export interface PackageSource {
  /** Named in errors and progress: "apt", a mirror's address. */
  readonly name: string;
  /** The newest version of a package, or undefined when the source does not know it. */
  newest(name: string, options?: FetchOptions): Promise<DebianPackage | undefined>;
  /** The whole Packages index, for working out what depends on what; left out where there is none. */
  index?(options?: FetchOptions): Promise<string>;
  /**
   * Some of several packages at once, by their SHA-256, where that is quicker than one by one; what is left
   * out is fetched singly.
   */
  fetchMany?(
    wanted: readonly DebianPackage[],
    options?: FetchOptions,
  ): Promise<ReadonlyMap<string, Uint8Array>>;
  /** The bytes of a .deb. Rejects with the reason why not. */
  fetch(wanted: DebianPackage, options?: FetchOptions): Promise<Uint8Array>;
}
