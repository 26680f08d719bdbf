import { defineConfig } from "vitest/config";

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from a default export.
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Real processes, sockets and disks take their time on a busy machine; nothing waits for it.
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
