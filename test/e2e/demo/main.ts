import { runDemo } from "./demo.ts";

const say = (line: string) => process.stdout.write(`${line}\n`);
const n = (value: number) => value.toLocaleString("en-US");

const report = await runDemo(say);
const ok =
  report.sessionsEqual === report.runs &&
  report.watchFaults === 0 &&
  report.watched === report.events &&
  report.sessionsWithOtherTokens === 0;

say(`
input       ${n(report.runs)} runs of ${report.source}, ${n(report.messages)} messages
stored      ${n(report.events)} events; ${n(report.eventsAtKill)} were acknowledged when the server was killed
read back   ${n(report.sessionsEqual)} of ${n(report.runs)} sessions equal their input
watched     ${n(report.watched)} events over the restart, ${n(report.watchFaults)} missing, repeated or out of order
tokens      ${n(report.tokensCounted)} counted by the server, ${n(report.tokensRecounted)} by a recount
took        ${(report.elapsedMs / 1000).toFixed(1)} s
${ok ? "all as promised" : "NOT as promised"}`);
process.exitCode = ok ? 0 : 1;
