export { buildImage } from "./build-image.ts";
export type { BuildImageOptions, GuestImage, ImageFile, ImageProgress } from "./build-image.ts";
export { queztlHome } from "./home.ts";
export { DEBIAN_MIRRORS } from "./mirror.ts";
export type { PackageSource } from "./package-source.ts";
