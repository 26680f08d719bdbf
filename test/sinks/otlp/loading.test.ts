import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);

test("a server without an otlp sink loads nothing of OpenTelemetry", async () => {
  const script = join(import.meta.dirname, "loaded-modules.ts");
  const { stdout } = await run(process.execPath, [script], { maxBuffer: 16 * 1024 * 1024 });
  const loaded: string[] = JSON.parse(stdout);
  expect(loaded.some((url) => url.endsWith("/src/app.ts"))).toBe(true);
  expect(loaded.filter((url) => /@opentelemetry|sinks\/otlp/.test(url))).toEqual([]);
});
