import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runModel } from "./run.ts";

/** By hand many times as many, with `MODEL_RUNS=20` in front of the command that runs this file. */
const { MODEL_RUNS = "1" } = process.env;
const times = Number(MODEL_RUNS);
const timeout = 120_000 * times;

test("sessions in memory behave as the model does", { timeout }, () =>
  runModel("memory", { numRuns: 200 * times }),
);

test("sessions on disk behave as the model does", { timeout }, () =>
  runModel("lmdb", { numRuns: 40 * times }),
);

test("the model knows the generated types and itself, and no production code", () => {
  const folder = import.meta.dirname;
  const model = ["log.ts", "timeline.ts", "session.ts", "model.ts", "shown.ts"];
  expect(readdirSync(folder)).toEqual(expect.arrayContaining(model));
  for (const file of model) {
    const source = readFileSync(join(folder, file), "utf8");
    const imports = [...source.matchAll(/from "([^"]+)"/g)].map(([, name]) => name);
    expect(imports.length, file).toBeGreaterThan(0);
    const own = model.map((name) => `./${name}`);
    const types = ["@sessiond/contract", "@bufbuild/protobuf/wkt"];
    expect([...own, ...types], file).toEqual(expect.arrayContaining(imports));
  }
});
