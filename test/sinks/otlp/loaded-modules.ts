/*
 * Starts a server that has no sink and prints what was loaded for it, so that a process that loaded nothing
 * before can be looked at.
 */
import { registerHooks } from "node:module";

const loaded = new Set<string>();
registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context);
    loaded.add(resolved.url);
    return resolved;
  },
});
const { startInMemory } = await import("../../../src/testing.ts");
await using _server = await startInMemory();
process.stdout.write(JSON.stringify([...loaded]));
