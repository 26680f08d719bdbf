import { Server, ServerCredentials } from "@grpc/grpc-js";
import { createServer } from "node:net";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AppendEventsRequestSchema, AppendEventsResponseSchema, EventService } from "@sessiond/contract";
import { TransportServer } from "../../src/transport/server.ts";
import { route } from "../../src/transport/routes.ts";
import { limits } from "../../src/limits.ts";
const log = { error: console.error, warn() {}, info() {}, debug() {} };
const which = process.argv[2];
if (which === "plain" || which === "proto") {
  const s = new Server({ "grpc.enable_channelz": 0 });
  const proto = which === "proto";
  s.addService({ e: { path: "/sessiond.v1.EventService/AppendEvents", requestStream: false, responseStream: false,
    requestSerialize: (x: Buffer) => x, requestDeserialize: proto ? (b: Buffer) => fromBinary(AppendEventsRequestSchema, b) : (b: Buffer) => b,
    responseSerialize: proto ? (m: any) => { const u = toBinary(AppendEventsResponseSchema, m); return Buffer.from(u.buffer, u.byteOffset, u.byteLength); } : (b: Buffer) => b, responseDeserialize: (b: Buffer) => b } }, {
    e: (call: any, cb: any) => cb(null, proto ? create(AppendEventsResponseSchema, { headRevision: call.request.events.length }) : call.request) });
  s.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (_e, port) => console.log(port));
} else {
  const server = new TransportServer({ listen: { host: "127.0.0.1", port: 0 }, allowHosts: [], allowOrigins: [], limits, log, healthz: () => ({ ok: true }),
    routes: [route(EventService, { appendEvents: async (r, c) => { if (which === "signal") c.signal; return create(AppendEventsResponseSchema, { headRevision: r.events.length }); } })] });
  console.log((await server.open()).listen?.port);
}
