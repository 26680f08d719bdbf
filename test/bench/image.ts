import { buildImage, canBuildImages } from "../image/image-builder.ts";
import { layersOf } from "./support/image-layers.ts";
import type { Bench } from "./support/report.ts";

/**
 * Size of the image, layer by layer, as a registry keeps it (gzip) and as a disk does.
 *
 * Built as the image's tests build it: the base is Debian with Node and npm in one layer, which
 * stands in for the public `node:24-slim`. The layers above it are those that anybody gets.
 */
export const imageBench: Bench = async (report) => {
  if (!canBuildImages()) {
    process.stderr.write("image: not measured, it needs root, buildah, debootstrap and unshare\n");
    return;
  }
  process.stderr.write("building the image, a few minutes\n");
  // Else buildah makes one layer of all that stands above the base.
  Object.assign(process.env, { BUILDAH_LAYERS: "true" });
  await using image = await buildImage();
  const layers = await layersOf(image);
  const total = {
    made: "all",
    compressedBytes: sum(layers.map(({ compressedBytes }) => compressedBytes)),
    bytes: sum(layers.map(({ bytes }) => bytes)),
  };
  report.table(
    "the image by layer, MB",
    [...layers, total].map(({ made, bytes, compressedBytes }) => ({
      layer: made,
      compressed: megabytes(compressedBytes),
      "on disk": megabytes(bytes),
    })),
  );
};

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(2);
}
