#!/usr/bin/env node
import { enableCompileCache } from "node:module";
import { join } from "node:path";

// What the engine compiles is kept for the next start, which takes half the time with it. It is kept with the
// code, so that nobody can change it who cannot change the code; where that cannot be written, it is not.
enableCompileCache(join(import.meta.dirname, "../node_modules/.cache/sessiond"));

const { processHost } = await import("./cli/host.ts");
const { run } = await import("./cli/program.ts");
const host = processHost();
const exitCode = await run({ argv: process.argv.slice(2), host });
await host.flushed();
host.exit(exitCode);
