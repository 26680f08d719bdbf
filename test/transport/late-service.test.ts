import { createRequire } from "node:module";
import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceError,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import type { Defect } from "../../src/transport/errors.ts";
import { holdBack, LateService, type ServiceAdder } from "../../src/transport/late-service.ts";
import { createToy, gate, openToy } from "./toy.ts";

const upper = (bytes: Buffer) => bytes.toString().toUpperCase();
const bytesOf = (text: unknown) => Buffer.from(String(text));
const definitionOf = (path: string, stream: boolean) => ({
  path,
  requestStream: stream,
  responseStream: stream,
  requestSerialize: bytesOf,
  requestDeserialize: upper,
  responseSerialize: bytesOf,
  responseDeserialize: upper,
});

/** Adds a call that answers once, and one that answers to each message; both in capitals. */
function addLoud(adder: ServiceAdder): void {
  adder.addService(
    { Once: definitionOf("/loud.Loud/Once", false), Each: definitionOf("/loud.Loud/Each", true) },
    {
      Once: (call: { request: string }, callback: sendUnaryData<string>) =>
        callback(null, call.request),
      Each: (call: ServerDuplexStream<string, string>) => call.pipe(call),
    },
  );
}

/** A server with the loud service, and a client of it. */
async function openLoud(load: (adder: ServiceAdder) => Promise<void>) {
  const defects: Defect[] = [];
  const service = new LateService({
    calls: { "/loud.Loud/Once": "unary", "/loud.Loud/Each": "bidi" },
    load,
  });
  const report = (defect: Defect) => void defects.push(defect);
  const server = new Server({ interceptors: [holdBack([service], report)] });
  service.addTo(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const same = (bytes: Buffer) => bytes;
  return {
    service,
    defects,
    once: (text: string) =>
      new Promise<string>((resolve, reject) => {
        const done = (error: ServiceError | null, answer?: Buffer) =>
          error ? reject(error) : resolve(String(answer));
        client.makeUnaryRequest("/loud.Loud/Once", same, same, Buffer.from(text), done);
      }),
    each: () => client.makeBidiStreamRequest("/loud.Loud/Each", same, same),
    [Symbol.dispose]() {
      client.close();
      server.forceShutdown();
    },
  };
}

describe("a service whose library is loaded at its first call", () => {
  it("answers calls that came before the library was there, and loads it once", async () => {
    const begun = gate();
    const ready = gate();
    let loads = 0;
    using loud = await openLoud(async (adder) => {
      loads++;
      begun.resolve();
      await ready.promise;
      addLoud(adder);
    });
    expect(loads).toBe(0);
    const answers = [loud.once("one"), loud.once("two")];
    const stream = loud.each();
    stream.write(Buffer.from("three"));
    stream.end(Buffer.from("four"));
    await begun.promise;
    const again = loud.service.load();
    ready.resolve();
    await again;
    expect(await Promise.all(answers)).toEqual(["ONE", "TWO"]);
    expect((await stream.toArray()).map(String)).toEqual(["THREE", "FOUR"]);
    expect(await loud.once("five")).toBe("FIVE");
    expect(loads).toBe(1);
  });

  it("fails a call when the library cannot be loaded, and tries again at the next", async () => {
    const cause = new Error("no such file");
    const failures = [cause];
    using loud = await openLoud(async (adder) => {
      const failure = failures.pop();
      if (failure) throw failure;
      addLoud(adder);
    });
    await expect(loud.once("one")).rejects.toMatchObject({
      code: status.INTERNAL,
      details: expect.not.stringContaining("no such file"),
    });
    expect(loud.defects).toMatchObject([{ cause }]);
    expect(await loud.once("two")).toBe("TWO");
  });

  it("outlives a caller that gives up while the library is loaded", async () => {
    const begun = gate();
    const ready = gate();
    using loud = await openLoud(async (adder) => {
      begun.resolve();
      await ready.promise;
      addLoud(adder);
    });
    const stream = loud.each();
    const ended = new Promise((resolve) => stream.once("error", resolve));
    stream.end(Buffer.from("one"));
    await begun.promise;
    stream.cancel();
    expect(await ended).toMatchObject({ code: status.CANCELLED });
    ready.resolve();
    expect(await loud.once("two")).toBe("TWO");
    expect(loud.defects).toEqual([]);
  });

  it("serves nothing when the library's calls are not those that were announced", async () => {
    using loud = await openLoud(async (adder) => {
      addLoud({
        addService: ({ Once = definitionOf("", false) }, calls) => {
          adder.addService({ Once }, calls);
        },
      });
    });
    await expect(loud.once("one")).rejects.toMatchObject({ code: status.INTERNAL });
    expect(String(loud.defects[0]?.cause)).toContain("/loud.Loud/Each");
  });
});

// Loading them would be a fifth of the time from start to ready.
it("a server that was started has not loaded the libraries of health and reflection", async () => {
  const loaded = () =>
    Object.keys(createRequire(import.meta.url).cache).filter((file) =>
      /node_modules\/(grpc-health-check|@grpc\/reflection|protobufjs)\//.test(file),
    );
  await using toy = await openToy(createToy(), { probeListen: { host: "127.0.0.1", port: 0 } });
  expect(loaded()).toEqual([]);
  const client = new Client(`127.0.0.1:${toy.port}`, credentials.createInsecure());
  const same = (bytes: Buffer) => bytes;
  const answer = new Promise<Buffer | undefined>((resolve, reject) => {
    const done = (error: ServiceError | null, bytes?: Buffer) =>
      error ? reject(error) : resolve(bytes);
    client.makeUnaryRequest("/grpc.health.v1.Health/Check", same, same, Buffer.alloc(0), done);
  });
  expect(await answer).toEqual(Buffer.from([8, 1]));
  client.close();
  expect(loaded()).not.toEqual([]);
});
