import type { Plugin } from "esbuild";

/**
 * Has a bundle require two modules of Node that are slow to import.
 *
 * An import asks a module for the value of all it exports. Of `http` that is also `WebSocket`, which
 * loads the whole of Node's `fetch`, and of `crypto` the web's: together a tenth of a start.
 */
export const plainBuiltins: Plugin = {
  name: "plain-builtins",
  setup(build) {
    build.onResolve({ filter: /^(node:)?(http|crypto)$/ }, ({ kind, path }) =>
      kind === "import-statement" ? { path, namespace: "plain-builtins" } : undefined,
    );
    build.onLoad({ filter: /.*/, namespace: "plain-builtins" }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)});`,
    }));
  },
};
