/**
 * A command that waits in a template, with all that takes time done before: who makes a VM of that attaches to it by
 * its name. It writes "ready" and a line feed to its standard error when the template may be saved.
 */
export interface PreparedCommand {
  readonly name: string;
  readonly argv: readonly string[];
}

/** A disk image made of Debian packages. */
export interface DebianRecipe {
  /** Packages that are wanted beside the essential ones; what they depend on follows. */
  readonly packages: readonly string[];
  /** Dependencies that are left out. */
  readonly without: readonly string[];
  /** Bytes free on the disk for the guest's own files. */
  readonly freeBytes: number;
  /** Commands whose traces a template should already hold: caches filled, libraries read. */
  readonly warmUp: readonly (readonly string[])[];
  readonly prepared: readonly PreparedCommand[];
}

/** What every Debian image has: apt, the usual tools, and what makes a disk larger. */
const USERLAND = [
  // Named so that they, and not larger ones, are what others depend on.
  "mawk",
  "usr-is-merged",
  "apt",
  "debian-archive-keyring",
  "e2fsprogs",
  "iproute2",
  "mount",
  "netbase",
  "procps",
] as const;

/**
 * Runs the program it reads, with NumPy and SciPy imported. Their generators were seeded at the import, alike in all
 * VMs of a template.
 */
const PREPARED_PYTHON = `import os, random, sys
import numpy, scipy.linalg, scipy.optimize, scipy.stats
os.write(2, b"ready\\n")
program = sys.stdin.buffer.read()
random.seed()
numpy.random.seed()
sys.argv = ["-"]
exec(compile(program, "<stdin>", "exec"), {"__name__": "__main__"})
`;

/** The names of the disk images that are made of Debian packages. */
export type DebianImageName = "debian" | "python";

/** How they are made. */
export const debianRecipes: Readonly<Record<DebianImageName, DebianRecipe>> = {
  debian: { packages: USERLAND, without: [], freeBytes: 512 << 20, warmUp: [], prepared: [] },
  python: {
    // OpenBLAS is many times faster than the reference BLAS that would come otherwise.
    packages: [
      ...USERLAND,
      "python3",
      "libopenblas0-pthread",
      "python3-numpy",
      "python3-scipy",
      // Pictures and models in files that other programs read.
      "python3-pil",
      "python3-onnx",
    ],
    // Compiles Python to C++ when SciPy itself is built; it would bring a C++ compiler along. Pillow does
    // not need the list of mail programs, which would bring all of Perl.
    without: ["python3-pythran", "mime-support"],
    freeBytes: 512 << 20,
    warmUp: [["python3", "-c", "import numpy, scipy.linalg, scipy.optimize, scipy.stats"]],
    prepared: [{ name: "python", argv: ["python3", "-c", PREPARED_PYTHON] }],
  },
};
