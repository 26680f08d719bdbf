#!/usr/bin/env node
import { enableCompileCache } from "node:module";
import { join } from "node:path";

// What the engine compiles is kept for the next start: with the code, because a folder for temporary files is
// everybody's. Where that cannot be written it is not kept.
enableCompileCache(join(import.meta.dirname, "../node_modules/.cache/sessiond"));

const { processHost } = await import("./cli/host.ts");
const { run } = await import("./cli/program.ts");
const host = processHost();
const exitCode = await run({ argv: process.argv.slice(2), host });
await host.flushed();
host.exit(exitCode);
