#!/usr/bin/env node
import { processHost } from "./cli/host.ts";
import { run } from "./cli/program.ts";

const host = processHost();
host.exit(await run({ argv: process.argv.slice(2), host }));
