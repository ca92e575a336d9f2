declare module "gltf-validator" {
  /** Checks a glTF asset against the specification. */
  export function validateBytes(bytes: Uint8Array): Promise<{
    readonly issues: {
      readonly numErrors: number;
      readonly numWarnings: number;
      readonly messages: readonly object[];
    };
    readonly info: { readonly totalTriangleCount: number };
  }>;
}
