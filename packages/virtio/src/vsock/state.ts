/** The saved state of a socket device. Connections end with a restore: their host ends are elsewhere. */
export interface VsockState {
  readonly version: 1;
}
