/** The lines of bundles, for who reads or writes them without a server. */

export { BundleError } from "./bundle-error.ts";
export {
  type BundleLine,
  type BundleManifest,
  type BundleSummary,
  bundleFormat,
  bundleVersion,
  manifestLine,
  parseBundleLine,
  partLines,
  summaryLine,
} from "./lines.ts";
