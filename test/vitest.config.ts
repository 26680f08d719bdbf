import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

// Hundreds of commands and servers are started: each loads in half the time what one has compiled.
const compileCache = fileURLToPath(new URL("../node_modules/.cache/compile", import.meta.url));

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from a default export.
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Real processes, sockets and disks take their time on a busy machine; nothing waits for it.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    expect: { poll: { timeout: 20_000 } },
    // By default one core is left alone, which is half of a machine with two.
    maxWorkers: "100%",
    env: { NODE_COMPILE_CACHE: compileCache },
  },
});
