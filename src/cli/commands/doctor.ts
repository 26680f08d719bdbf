import type { Command } from "commander";
import { type Config, type Flags, loadConfig } from "../../config.ts";
import type { CommandLine } from "../command-line.ts";
import type { Finding } from "../doctor/finding.ts";
import { checkFolder } from "../doctor/folder.ts";
import { checkClock, checkNode, checkTokenizer } from "../doctor/machine.ts";
import {
  checkPort,
  checkRoundTrip,
  doctorNamespace,
  noServer,
  serverVersion,
} from "../doctor/running-server.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Host } from "../host.ts";
import { jsonWriter, outputFormat, outputOption } from "../output-format.ts";
import { addSettings, givenFlags } from "../settings-options.ts";
import { type Paint, paintFor } from "../text/colours.ts";
import { safe } from "../text/safe.ts";

interface Options {
  readonly output?: string;
  readonly address?: string;
}

const help = `
It takes the same flags as serve, to look at what serve would use. Ends with ${exitCodes.incomplete} when
something has to be fixed.

Examples:
  sessiond doctor
  sessiond doctor --data /var/lib/sessiond --listen 8000
  sessiond doctor -o jsonl | jq 'select(.status != "ok")'`;

const marks = { ok: "✓", warn: "!", fail: "✗", skip: "-" } satisfies Record<
  Finding["status"],
  string
>;
const colours = { ok: "green", warn: "yellow", fail: "red", skip: "gray" } satisfies Record<
  Finding["status"],
  Parameters<Paint>[0]
>;

export function addDoctor(program: Command, line: CommandLine): void {
  const command = program
    .command("doctor")
    .description("look for what is not well on this machine, and say how to fix it")
    .option("--address <address>", "server for the round trip (default: where serve would listen)")
    .addOption(outputOption("text"))
    .addHelpText("after", help);
  addSettings(command);
  command.action(async () => {
    const { host } = line;
    const print = printer(host, command.opts());
    let isWell = true;
    for await (const finding of findings(host, givenFlags(command), command.opts())) {
      isWell &&= finding.status !== "fail";
      await print.add(finding);
    }
    print.end();
    line.endsWith(isWell ? exitCodes.done : exitCodes.incomplete);
  });
}

async function* findings(host: Host, flags: Flags, { address }: Options): AsyncGenerator<Finding> {
  const { config } = await loadConfig({ flags, env: host.env, cwd: host.cwd });
  yield checkNode();
  if (config.store === "lmdb") yield* await checkFolder(config.data);
  yield checkClock();
  yield await checkTokenizer();

  const { SESSIOND_ADDRESS } = host.env;
  const { Sessiond } = await import("@sessiond/client");
  await using sessiond = new Sessiond({
    address: address ?? (SESSIOND_ADDRESS || placeOf(config)),
    namespace: doctorNamespace,
    timeoutMs: 10_000,
  });
  const version = await serverVersion(sessiond);
  const isOurs = sessiond.address === placeOf({ ...config, unix: undefined });
  yield await checkPort(config.listen, isOurs ? version : undefined);
  if (version === undefined) yield noServer(sessiond.address);
  else yield* await checkRoundTrip(sessiond);
}

function placeOf({ listen, unix }: Config): string {
  if (unix !== undefined) return `unix:${unix}`;
  const host = listen.host.includes(":") ? `[${listen.host}]` : listen.host;
  return `${host}:${listen.port}`;
}

function printer({ stdout }: Host, { output }: Options) {
  const format = outputFormat(output, "text", stdout);
  if (format !== "text") {
    const writer = jsonWriter(stdout, format);
    return { add: (finding: Finding) => writer.write({ ...finding }), end: () => writer.end() };
  }
  const paint = paintFor(stdout);
  return {
    add: async ({ name, status, found, fix }: Finding) => {
      const mark = paint(colours[status], marks[status]);
      stdout.write(`${mark} ${name.padEnd(13)} ${safe(found)}\n`);
      if (fix !== undefined) stdout.write(`  ${" ".repeat(13)} ${paint("bold", "fix:")} ${fix}\n`);
    },
    end() {},
  };
}
