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

it("so does the image, also for the start it is made with", async () => {
  const dockerfile = await textOf("Dockerfile");
  const command = ["node", ...engineFlags, "/app/dist/main.js"];
  const [, entrypoint = ""] = /^ENTRYPOINT (.+)$/m.exec(dockerfile) ?? [];
  expect(JSON.parse(entrypoint)).toEqual(command);
  expect(dockerfile).toMatch(new RegExp(`node /start-once\\.js[\\s\\\\]+${command.join(" ")}`));
});
