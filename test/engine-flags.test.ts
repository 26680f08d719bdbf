import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { engineFlags } from "./support/server-process.ts";

const textOf = (file: string) =>
  readFile(fileURLToPath(new URL(`../${file}`, import.meta.url)), "utf8");

it("npm start tells the engine what servers in tests and benchmarks tell it", async () => {
  const { scripts } = JSON.parse(await textOf("package.json"));
  expect(scripts.start).toBe(["node", ...engineFlags, "src/main.ts", "serve"].join(" "));
});

it("so does the image", async () => {
  const [, entrypoint = ""] = /^ENTRYPOINT (.+)$/m.exec(await textOf("Dockerfile")) ?? [];
  expect(JSON.parse(entrypoint)).toEqual(["node", ...engineFlags, "/app/dist/main.js"]);
});
