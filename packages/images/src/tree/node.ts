/** A file's bytes, which may lie anywhere: in memory, in a spool file, in an archive. */
export interface FileContent {
  /** Bytes in all; `read` must give exactly as many. */
  readonly size: number;
  /** The bytes in order. A chunk is only valid until the next one is asked for. */
  read(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** What every kind of file has. */
export interface FileAttributes {
  /** Permission bits, up to 0o7777. */
  mode: number;
  uid: number;
  gid: number;
  /** Seconds since 1970-01-01 UTC; a fraction is kept to the nanosecond as far as a number holds it. */
  mtime: number;
  /** Extended attributes by their full name: "security.capability". */
  xattrs: ReadonlyMap<string, Uint8Array>;
}

export interface DirectoryNode extends FileAttributes {
  readonly type: "directory";
  readonly children: Map<string, TreeNode>;
}

export interface RegularNode extends FileAttributes {
  readonly type: "file";
  readonly content: FileContent;
}

export interface SymlinkNode extends FileAttributes {
  readonly type: "symlink";
  readonly target: string;
}

export interface DeviceNode extends FileAttributes {
  readonly type: "character-device" | "block-device";
  readonly major: number;
  readonly minor: number;
}

export interface SpecialNode extends FileAttributes {
  readonly type: "fifo" | "socket";
}

/** A file of a tree. A hard link is the same object under a second name. */
export type TreeNode = DirectoryNode | RegularNode | SymlinkNode | DeviceNode | SpecialNode;

/** A file to add: what is left out gets a default. */
export type TreeInput = Partial<FileAttributes> &
  (
    | { readonly type: "directory" }
    | {
        /** Default "file". */
        readonly type?: "file";
        /** Text is stored as UTF-8; default empty. */
        readonly content?: FileContent | Uint8Array | string;
      }
    | { readonly type: "symlink"; readonly target: string }
    | {
        readonly type: "character-device" | "block-device";
        readonly major: number;
        readonly minor: number;
      }
    | { readonly type: "fifo" | "socket" }
  );

/** Bytes in memory as a file's content. */
export function bytesContent(bytes: Uint8Array): FileContent {
  return { size: bytes.length, read: () => [bytes] };
}

const NO_XATTRS: ReadonlyMap<string, Uint8Array> = new Map();
const utf8 = new TextEncoder();

/** The node that an input describes. */
export function makeNode(input: TreeInput): TreeNode {
  const { type = "file", uid = 0, gid = 0, mtime = 0, xattrs = NO_XATTRS } = input;
  const { mode = type === "directory" ? 0o755 : type === "symlink" ? 0o777 : 0o644 } = input;
  const attributes = { mode, uid, gid, mtime, xattrs };
  switch (input.type) {
    case "directory":
      return { type: input.type, ...attributes, children: new Map() };
    case "symlink":
      return { type: input.type, ...attributes, target: input.target };
    case "character-device":
    case "block-device":
      return { type: input.type, ...attributes, major: input.major, minor: input.minor };
    case "fifo":
    case "socket":
      return { type: input.type, ...attributes };
    default: {
      const { content = "" } = input;
      const bytes = typeof content === "string" ? utf8.encode(content) : content;
      return {
        type: "file",
        ...attributes,
        content: bytes instanceof Uint8Array ? bytesContent(bytes) : bytes,
      };
    }
  }
}
