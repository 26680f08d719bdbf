import { glob, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { requestKey } from "../../../src/store/keys.ts";
import { LmdbStore } from "../../../src/store/lmdb/lmdb-store.ts";
import { temporaryFolders } from "../../store/lmdb/folders.ts";
import { openTestDomain } from "../../support/domain.ts";
import { patch, sessionId } from "./support.ts";

const newFolder = temporaryFolders();

async function filesOf(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const file of glob("**/*", { cwd: folder })) {
    const path = join(folder, file);
    if ((await stat(path)).isFile()) files.push(path);
  }
  return files;
}

test("temp: values of a patch that can be repeated are nowhere on the disk", async () => {
  const path = newFolder();
  const values = { kept: "KEPT774411", "temp:otp": "SECRETOTP774411" };
  await using domain = await openTestDomain({ store: await LmdbStore.open({ path }) });
  await domain.create({ session: { sessionId } });
  const first = await patch(domain, values, { requestId: "r" });
  const bytes = Buffer.concat(
    await Promise.all((await filesOf(path)).map((file) => readFile(file))),
  );
  expect(bytes.includes(values.kept)).toBe(true);
  expect(bytes.includes(values["temp:otp"])).toBe(false);
  expect(await patch(domain, values, { requestId: "r" })).toEqual(first);
});

test("what is remembered of a patch does not grow with the state", async () => {
  await using domain = await openTestDomain();
  await domain.create({ session: { sessionId } });
  await patch(domain, { large: "x".repeat(60_000) });
  const { state } = await patch(domain, { n: 1 }, { requestId: "r" });
  expect(state).toMatchObject({ n: 1, large: expect.any(String) });
  const key = requestKey({ namespace: "default", sessionId, requestId: "r" });
  const record = await domain.store.getRequest(key);
  expect(record?.response.length).toBeLessThan(100);
});
