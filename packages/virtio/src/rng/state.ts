/** The saved state of an entropy device: it keeps nothing. */
export interface RngState {
  readonly version: 1;
}
