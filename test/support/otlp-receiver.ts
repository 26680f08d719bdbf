import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import protobuf from "protobufjs";

/*
 * A receiver of OTLP over HTTP that shares no code with the sink: protobufjs decodes, by field numbers of
 * opentelemetry-proto 1.x that are written down here.
 */

const { root } = protobuf.parse(`
syntax = "proto3";
message AnyValue {
  oneof value {
    string s = 1; bool b = 2; int64 i = 3; double d = 4;
    ArrayValue a = 5; KeyValueList kv = 6; bytes bytes = 7;
  }
}
message ArrayValue { repeated AnyValue values = 1; }
message KeyValueList { repeated KeyValue values = 1; }
message KeyValue { string key = 1; AnyValue value = 2; }
message Resource { repeated KeyValue attributes = 1; uint32 dropped = 2; }
message Scope { string name = 1; string version = 2; repeated KeyValue attributes = 3; }

message Traces { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; string schema_url = 3; }
message ScopeSpans { Scope scope = 1; repeated Span spans = 2; string schema_url = 3; }
message Span {
  bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4;
  string name = 5; int32 kind = 6; fixed64 start = 7; fixed64 end = 8;
  repeated KeyValue attributes = 9; repeated Link links = 13; Status status = 15; fixed32 flags = 16;
}
message Link {
  bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; repeated KeyValue attributes = 4;
  fixed32 flags = 6;
}
message Status { string message = 2; int32 code = 3; }

message Logs { repeated ResourceLogs resource_logs = 1; }
message ResourceLogs { Resource resource = 1; repeated ScopeLogs scope_logs = 2; string schema_url = 3; }
message ScopeLogs { Scope scope = 1; repeated LogRecord log_records = 2; string schema_url = 3; }
message LogRecord {
  fixed64 time = 1; fixed64 observed = 11; int32 severity_number = 2; string severity_text = 3;
  AnyValue body = 5; repeated KeyValue attributes = 6; fixed32 flags = 8;
  bytes trace_id = 9; bytes span_id = 10; string event_name = 12;
}

message Answer { PartialSuccess partial_success = 1; }
message PartialSuccess { int64 rejected = 1; string message = 2; }
`);

type Value = string | number | boolean | null | Value[] | { [key: string]: Value };
export type Attributes = Readonly<Record<string, Value>>;

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceState: string;
  /** Empty: it is a root. */
  readonly parentSpanId: string;
  readonly parentIsRemote: boolean;
  readonly name: string;
  /** 1 internal, 3 client. */
  readonly kind: number;
  /** Nanoseconds. */
  readonly start: bigint;
  readonly end: bigint;
  readonly attributes: Attributes;
  readonly links: readonly {
    readonly traceId: string;
    readonly spanId: string;
    readonly traceState: string;
    readonly attributes: Attributes;
  }[];
  readonly status: { readonly code: number; readonly message: string };
  readonly resource: Attributes;
  readonly scope: string;
  readonly schemaUrl: string;
}

export interface ReceivedLog {
  readonly time: bigint;
  readonly observed: bigint;
  readonly severity: string;
  readonly severityNumber: number;
  readonly eventName: string;
  readonly body: Value | undefined;
  readonly attributes: Attributes;
  readonly traceId: string;
  readonly spanId: string;
  readonly resource: Attributes;
}

export interface ReceivedRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** As it came over the wire. */
  readonly bytes: number;
  /** Records in it. */
  readonly records: number;
}

/** An answer other than «all taken». */
export interface OtlpAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly partial?: { readonly rejected: number; readonly message: string };
  /** Never answers. */
  readonly hangs?: boolean;
}

export interface OtlpReceiver extends AsyncDisposable {
  /** Base of its endpoints. */
  readonly url: string;
  readonly requests: ReceivedRequest[];
  /** What it took, in order. */
  readonly spans: ReceivedSpan[];
  readonly logs: ReceivedLog[];
  /** Decides about a request. Undefined: it is taken. */
  answer: (request: ReceivedRequest) => OtlpAnswer | undefined;
  /** Resolves when a condition holds, which is looked at after each request. */
  until(holds: () => boolean): Promise<void>;
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const waiting = new Set<() => void>();
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const sent = Buffer.concat(chunks);
    const { headers, url: path = "" } = request;
    const bytes = headers["content-encoding"] === "gzip" ? gunzipSync(sent) : sent;
    const spans = path.endsWith("/v1/traces") ? spansOf(bytes) : [];
    const logs = path.endsWith("/v1/logs") ? logsOf(bytes) : [];
    const received = { path, headers, bytes: sent.length, records: spans.length + logs.length };
    receiver.requests.push(received);
    const { status = 200, headers: more = {}, partial, hangs } = receiver.answer(received) ?? {};
    if (status === 200 && !hangs) {
      receiver.spans.push(...spans);
      receiver.logs.push(...logs);
    }
    for (const look of waiting) look();
    if (hangs) return;
    response.writeHead(status, { "content-type": "application/x-protobuf", ...more });
    response.end(
      typed("Answer")
        .encode(partial ? { partialSuccess: partial } : {})
        .finish(),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const receiver: OtlpReceiver = {
    url: `http://127.0.0.1:${port}`,
    requests: [],
    spans: [],
    logs: [],
    answer: () => undefined,
    until: (holds) =>
      new Promise((resolve) => {
        const look = () => {
          if (!holds()) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return receiver;
}

function typed(name: string): protobuf.Type {
  return root.lookupType(name);
}

// biome-ignore lint/suspicious/noExplicitAny: what protobufjs decodes has no types.
type Decoded = any;

function decode(name: string, bytes: Uint8Array): Decoded {
  const type = typed(name);
  // Numbers of 64 bits as text, bytes as hexadecimal digits.
  return type.toObject(type.decode(bytes), { longs: String, defaults: true, oneofs: true });
}

function spansOf(bytes: Uint8Array): ReceivedSpan[] {
  return decode("Traces", bytes).resourceSpans.flatMap(({ resource, scopeSpans }: Decoded) =>
    scopeSpans.flatMap(({ scope, spans, schemaUrl }: Decoded) =>
      spans.map((span: Decoded) => ({
        traceId: hex(span.traceId),
        spanId: hex(span.spanId),
        traceState: span.traceState,
        parentSpanId: hex(span.parentSpanId),
        parentIsRemote: (span.flags & 0x300) === 0x300,
        name: span.name,
        kind: span.kind,
        start: BigInt(span.start),
        end: BigInt(span.end),
        attributes: attributesOf(span.attributes),
        links: span.links.map((link: Decoded) => ({
          traceId: hex(link.traceId),
          spanId: hex(link.spanId),
          traceState: link.traceState,
          attributes: attributesOf(link.attributes),
        })),
        status: { code: span.status?.code ?? 0, message: span.status?.message ?? "" },
        resource: attributesOf(resource.attributes),
        scope: `${scope.name} ${scope.version}`,
        schemaUrl,
      })),
    ),
  );
}

function logsOf(bytes: Uint8Array): ReceivedLog[] {
  return decode("Logs", bytes).resourceLogs.flatMap(({ resource, scopeLogs }: Decoded) =>
    scopeLogs.flatMap(({ logRecords }: Decoded) =>
      logRecords.map((record: Decoded) => ({
        time: BigInt(record.time),
        observed: BigInt(record.observed),
        severity: record.severityText,
        severityNumber: record.severityNumber,
        eventName: record.eventName,
        body: record.body ? anyOf(record.body) : undefined,
        attributes: attributesOf(record.attributes),
        traceId: hex(record.traceId),
        spanId: hex(record.spanId),
        resource: attributesOf(resource.attributes),
      })),
    ),
  );
}

function attributesOf(pairs: Decoded[]): Attributes {
  return Object.fromEntries(pairs.map(({ key, value }) => [key, anyOf(value)]));
}

function anyOf(any: Decoded): Value {
  switch (any.value) {
    case "s":
      return any.s;
    case "b":
      return any.b;
    case "i":
      return Number(any.i);
    case "d":
      return any.d;
    case "a":
      return any.a.values.map(anyOf);
    case "kv":
      return attributesOf(any.kv.values) as Value;
    default:
      return null;
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
