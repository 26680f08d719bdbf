#!/usr/bin/env node
import { processHost } from "./cli/host.ts";
import { run } from "./cli/program.ts";

const host = processHost();
const exitCode = await run({ argv: process.argv.slice(2), host });
await host.flushed();
host.exit(exitCode);
