/** Where things lie in the guest of a task. */
export const GUEST = {
  /** The Python package that built-in skills share; on `PYTHONPATH`. */
  library: "/queztl/lib",
  /** The skill's folder: the program's working directory. */
  skill: "/queztl/skill",
  /** `data.json`, the task's data, and `files/`, its files. */
  input: "/queztl/in",
  /** A task with a command of its own runs here, among its files. */
  files: "/queztl/in/files",
  /** What lies here at the end is the result. */
  output: "/queztl/out",
} as const;

/** The environment that a skill's program gets. */
export const GUEST_ENVIRONMENT: Readonly<Record<string, string>> = {
  QUEZTL_IN: GUEST.input,
  QUEZTL_OUT: GUEST.output,
  PYTHONPATH: GUEST.library,
  PYTHONUNBUFFERED: "1",
};

/** The file in the output folder that holds the task's answer: any JSON value. */
export const RESULT_FILE = "result.json";

/** The file in the output folder that lists the others with their SHA-256; optional. */
export const CHECKSUM_FILE = "manifest.json";
