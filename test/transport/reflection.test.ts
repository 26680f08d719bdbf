import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { APPEND_PATH, createToy, INFO_PATH, openToy } from "./toy.ts";

const buf = fileURLToPath(new URL("../../node_modules/.bin/buf", import.meta.url));

/** A foreign client that knows no proto files. */
async function curl(...args: string[]): Promise<string> {
  const grpc = ["curl", "--http2-prior-knowledge", "--protocol", "grpc"];
  const { stdout } = await promisify(execFile)(buf, [...grpc, ...args], { cwd: "/" });
  return stdout;
}

it("a client without proto files lists the calls", async () => {
  await using toy = await openToy(createToy());
  expect((await curl("--list-methods", `http://127.0.0.1:${toy.port}`)).trim().split("\n")).toEqual(
    [
      "sessiond.v1.EventService/AmendToolCall",
      "sessiond.v1.EventService/AppendEvents",
      "sessiond.v1.EventService/AppendStream",
      "sessiond.v1.EventService/ListEvents",
      "sessiond.v1.EventService/ListSteps",
      "sessiond.v1.EventService/WatchEvents",
      "sessiond.v1.ServerService/Backup",
      "sessiond.v1.ServerService/GetServerInfo",
      "sessiond.v1.ServerService/SetLogLevel",
      "sessiond.v1.ServerService/Stat",
      "sessiond.v1.ServerService/Verify",
    ],
  );
});

it.each(["grpc-v1", "grpc-v1alpha"])(
  "a client without proto files calls, by %s",
  async (version) => {
    await using toy = await openToy(createToy());
    const address = `http://127.0.0.1:${toy.port}`;
    const how = ["--reflect-protocol", version];
    expect(JSON.parse(await curl(...how, `${address}${INFO_PATH}`))).toEqual({
      server: { version: "toy", defaultEncoding: "é" },
    });
    const events = '{"session_id":"echo","events":[{"metadata":{"a":[1,null]}},{"raw":{}}]}';
    expect(JSON.parse(await curl(...how, "-d", events, `${address}${APPEND_PATH}`))).toEqual({
      headRevision: 2,
      sessionUid: "uu",
    });
  },
);
