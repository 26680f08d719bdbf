import { createToy, openToy, Wire, post, INFO_PATH, APPEND_PATH } from "./toy.ts";
const toy = createToy();
const t = performance.now();
const { server, port } = await openToy(toy, {probeListen: {host: "127.0.0.1", port: 0}, unix: "/tmp/toy.sock"});
console.log("open ms", performance.now() - t, server.addresses);
for (const body of ["{}", '{"foo":1}', "{", '{"x":"'+"y".repeat(70000)+'"}']) {
const w = new Wire(port).send(post(INFO_PATH, body, {connection:"close"})); await w.closed; console.log(w.received); }
for (const id of ["conflict","defect"]) {
const w = new Wire(port).send(post(APPEND_PATH, JSON.stringify({sessionId:id}), {connection:"close"})); await w.closed; console.log(w.received); }
const { execFile } = await import("node:child_process");
const run = (...a: string[]) => new Promise<void>(r => execFile("npx", ["buf", "curl", ...a], (e, o, er) => { console.log(a.join(" "), "->", o, er); r(); }));
await run("--http2-prior-knowledge", "--protocol", "grpc", `http://127.0.0.1:${port}${INFO_PATH}`);
await run("--http2-prior-knowledge", "--protocol", "grpc", "-d", '{"session_id":"conflict"}', `http://127.0.0.1:${port}${APPEND_PATH}`);
await run("--http2-prior-knowledge", "--protocol", "grpc", "--list-methods", `http://127.0.0.1:${port}`);
await run("--http2-prior-knowledge", "--protocol", "grpcweb", "--schema", "proto", "-d", '{"session_id":"conflict"}', `http://127.0.0.1:${port}${APPEND_PATH}`);
await run("--protocol", "grpcweb", "--schema", "proto", "-d", '{"session_id":"conflict"}', `http://127.0.0.1:${port}${APPEND_PATH}`);
await run("--http2-prior-knowledge","--protocol", "connect", "--schema", "proto", "-d", '{"session_id":"conflict"}', `http://127.0.0.1:${port}${APPEND_PATH}`);
await run("--protocol", "connect", "--schema", "proto", "-d", '{"session_id":"echo"}', `http://127.0.0.1:${port}${APPEND_PATH}`);
await server.drain(100);
console.log(toy.logged);
