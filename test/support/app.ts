import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromBinary,
  fromJson,
  type JsonValue,
  type MessageShape,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { errorFromJson } from "@connectrpc/connect/protocol-connect";
import { type Client, Metadata, type ServiceError } from "@grpc/grpc-js";
import { BadRequestSchema, ErrorInfoSchema } from "@sessiond/contract/rpc";
import { type Clients, createClients } from "../../sdk/client/src/clients.ts";
import { createGrpcTransport } from "../../sdk/client/src/index.ts";
import { createChannel } from "../../sdk/client/src/transport/channel.ts";
import { toConnectError } from "../../sdk/client/src/transport/status.ts";
import { type App, type AppOptions, startApp } from "../../src/app.ts";
import type { Config } from "../../src/config.ts";
import { type Logger, silentLogger } from "../../src/telemetry/logger.ts";

export type Engine = "memory" | "lmdb";
/** The two front doors: gRPC by grpc-js, and JSON by plain `fetch`. */
export type Door = "gRPC" | "JSON";
export const doors: readonly Door[] = ["gRPC", "JSON"];
export const engines: readonly Engine[] = ["memory", "lmdb"];

/** What a refused call says. */
export interface Refusal {
  readonly ok: false;
  /** Name of the code, for example "InvalidArgument". */
  readonly code: keyof typeof Code;
  readonly message: string;
  /** Of the ErrorInfo; undefined when the error carries none. */
  readonly reason: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  /** Paths of the BadRequest. */
  readonly fields: readonly string[];
}

/** A body that is sent as it stands, whether it is JSON or not. */
export class Verbatim {
  readonly content: string | Uint8Array;
  constructor(content: string | Uint8Array) {
    this.content = content;
  }
}

export type Answer<T> = { readonly ok: true; readonly value: T } | Refusal;

/** A server in this process, and ways to talk to it. Ends with its scope. */
export interface TestApp extends AsyncDisposable {
  /** `127.0.0.1:<port>`; another one after a restart. */
  readonly address: string;
  /** Where its probe port is, if the configuration has one; another one after a restart. */
  readonly probe: string | undefined;
  /** Typed clients over gRPC; they throw ConnectError. Good until a restart. */
  readonly clients: Clients;
  /** Sends a message through a door. */
  call<I extends DescMessage, O extends DescMessage>(
    door: Door,
    method: DescMethodUnary<I, O>,
    request: MessageShape<I>,
  ): Promise<Answer<MessageShape<O>>>;
  /** Sends bytes, whatever they are, as the request of a gRPC call. */
  grpc<O extends DescMessage>(
    method: DescMethodUnary<DescMessage, O>,
    bytes: Uint8Array,
  ): Promise<Answer<MessageShape<O>>>;
  /** Sends JSON, or any text, as the request of a call over HTTP/1.1. */
  json<O extends DescMessage>(
    method: DescMethodUnary<DescMessage, O>,
    body: JsonValue | Verbatim,
  ): Promise<Answer<MessageShape<O>>>;
  /** Stops the server and starts it again over the same data. A memory store begins empty. */
  restart(): Promise<void>;
}

export function pathOf(method: DescMethodUnary | DescMethodStreaming): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** Starts a server on a free port of the loopback interface, its data in a folder of its own. */
export async function openTestApp(
  options: {
    store?: Engine;
    overrides?: AppOptions["overrides"];
    config?: Partial<Config>;
    /** Default: writes nothing. */
    log?: Logger;
  } = {},
): Promise<TestApp> {
  const { store = "memory", overrides = {}, log = silentLogger() } = options;
  const data = await mkdtemp(join(tmpdir(), "sessiond-test-"));
  const config: Config = {
    listen: { host: "127.0.0.1", port: 0 },
    unix: undefined,
    probeListen: undefined,
    data,
    store,
    logLevel: "silent",
    allowHosts: [],
    allowOrigins: [],
    preloadTokenizer: false,
    archive: undefined,
    maxMapSize: undefined,
    sinkStdout: false,
    dangerouslyAllowRemote: false,
    ...options.config,
  };
  const start = async () => connect(await startApp({ config, log, overrides }));
  let running = await start();

  return {
    get address() {
      return running.address;
    },
    get probe() {
      return running.probe;
    },
    get clients() {
      return running.clients;
    },
    call: (door, method, request) =>
      door === "gRPC"
        ? sendBytes(running.channel, method, toBinary(method.input, request))
        : sendJson(running.address, method, toJson(method.input, request)),
    grpc: (method, bytes) => sendBytes(running.channel, method, bytes),
    json: (method, body) => sendJson(running.address, method, body),
    async restart() {
      await running.stop();
      running = await start();
    },
    async [Symbol.asyncDispose]() {
      await running.stop();
      await rm(data, { recursive: true, force: true });
    },
  };
}

function connect(app: App) {
  const address = app.addresses.listen;
  if (address === undefined) throw new Error("the server listens nowhere");
  const transport = createGrpcTransport({ address });
  const channel = createChannel(address);
  return {
    address,
    probe: app.addresses.probe,
    channel,
    clients: createClients(transport),
    async stop() {
      transport.close();
      channel.close();
      await app.stop();
    },
  };
}

function sendBytes<O extends DescMessage>(
  channel: Client,
  method: DescMethodUnary<DescMessage, O>,
  bytes: Uint8Array,
): Promise<Answer<MessageShape<O>>> {
  return new Promise((resolve) => {
    channel.makeUnaryRequest(
      pathOf(method),
      (request: Uint8Array) => Buffer.from(request),
      (response: Buffer) => fromBinary(method.output, response),
      bytes,
      new Metadata(),
      (error: ServiceError | null, value?: MessageShape<O>) => {
        if (value !== undefined) resolve({ ok: true, value });
        else if (error !== null) resolve(refusalOf(toConnectError(error, "the test's server")));
      },
    );
  });
}

async function sendJson<O extends DescMessage>(
  address: string,
  method: DescMethodUnary<DescMessage, O>,
  body: JsonValue | Verbatim,
): Promise<Answer<MessageShape<O>>> {
  const response = await fetch(`http://${address}${pathOf(method)}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: body instanceof Verbatim ? Buffer.from(body.content) : JSON.stringify(body),
  });
  const json = (await response.json()) as JsonValue;
  return response.ok
    ? { ok: true, value: fromJson(method.output, json) }
    : refusalOf(errorFromJson(json, undefined, new ConnectError("no error in the answer")));
}

export function refusalOf(error: ConnectError): Refusal {
  const info = error.findDetails(ErrorInfoSchema)[0];
  const violations = error.findDetails(BadRequestSchema)[0]?.fieldViolations ?? [];
  return {
    ok: false,
    code: Code[error.code] as keyof typeof Code,
    message: error.rawMessage,
    reason: info?.reason,
    metadata: info?.metadata ?? {},
    fields: violations.map(({ field }) => field),
  };
}
