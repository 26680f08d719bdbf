import { spawn } from "node:child_process";
import { once } from "node:events";
import { Client, credentials } from "@grpc/grpc-js";
import { create, toBinary } from "@bufbuild/protobuf";
import { AppendEventsRequestSchema } from "@sessiond/contract";
const body = Buffer.from(toBinary(AppendEventsRequestSchema, create(AppendEventsRequestSchema, { sessionId: "s", events: [{ payload: { case: "message", value: { text: "hello world ".repeat(8) } } }] })));
const kinds = ["plain", "proto", "ours", "signal"];
const procs: any[] = []; const clients: Client[] = [];
for (const k of kinds) { const p = spawn(process.execPath, ["test/transport/.bench-server.ts", k], { stdio: ["ignore", "pipe", "inherit"] }); procs.push(p); const [d] = await once(p.stdout!, "data"); clients.push(new Client(`127.0.0.1:${String(d).trim()}`, credentials.createInsecure())); }
const id = (x: Buffer) => x;
function run(c: Client, ms: number) { return new Promise<number>((res, rej) => { let n = 0, live = 0; const end = performance.now() + ms; const t0 = performance.now();
  const one = () => { live++; c.makeUnaryRequest("/sessiond.v1.EventService/AppendEvents", id, id, body, (e) => { if (e) return rej(e); n++; live--; if (performance.now() < end) one(); else if (live === 0) res(n / ((performance.now() - t0) / 1000)); }); };
  for (let i = 0; i < 64; i++) one(); }); }
for (const c of clients) await run(c, 700);
import { readFileSync } from "node:fs";
const cpu = (i: number) => { const f = readFileSync(`/proc/${procs[i].pid}/stat`, "utf8").split(" "); return (Number(f[13]) + Number(f[14])) * 10000; };
const us = kinds.map(() => ({ cpu: 0, n: 0 }));
const sum = kinds.map(() => [] as number[]);
for (let r = 0; r < 5; r++) for (let i = 0; i < kinds.length; i++) { const c0 = cpu(i); const rate = await run(clients[i]!, 1000); sum[i]!.push(rate); us[i]!.cpu += cpu(i) - c0; us[i]!.n += rate; }
for (let i = 0; i < kinds.length; i++) { const s = sum[i]!.sort((a, b) => a - b); console.log(kinds[i], "server cpu us/call", (us[i]!.cpu / us[i]!.n).toFixed(1), "median", s[2]!.toFixed(0), s.map(x => x.toFixed(0)).join(" ")); }
for (const p of procs) p.kill(); process.exit(0);
