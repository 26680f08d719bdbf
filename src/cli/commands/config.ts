import type { Command } from "commander";
import { type Flags, loadConfig, type Source } from "../../config.ts";
import { settings } from "../../config-settings.ts";
import type { CommandLine } from "../command-line.ts";
import { jsonWriter, outputFormat, outputOption } from "../output-format.ts";
import { addSettings, givenFlags } from "../settings-options.ts";
import { paintFor } from "../text/colours.ts";
import { safe } from "../text/safe.ts";
import { writeTable } from "../text/table.ts";

const help = `
It takes the same flags as serve and starts nothing, so it shows what serve would do.

Examples:
  sessiond config
  sessiond config --listen 8000 --config deploy/sessiond.yaml
  sessiond config -o jsonl | jq 'select(.from != "default")'`;

export function addConfig(program: Command, line: CommandLine): void {
  const command = program
    .command("config")
    .description("show each setting of a server, and where its value came from")
    .addOption(outputOption("table"))
    .addHelpText("after", help);
  addSettings(command);
  command.action(() => config(line, givenFlags(command), command.opts()));
}

async function config({ host }: CommandLine, flags: Flags, options: { output?: string }) {
  const { sources, tableSources } = await loadConfig({ flags, env: host.env, cwd: host.cwd });
  const format = outputFormat(options.output, "table", host.stdout);
  const entries = Object.entries<Source>({ ...sources, ...tableSources }).map(
    ([name, { value, from }]) => ({
      name,
      value: shown(value),
      from,
    }),
  );
  if (format !== "table") {
    const writer = jsonWriter(host.stdout, format);
    for (const entry of entries) await writer.write(entry);
    writer.end();
    return;
  }
  const paint = paintFor(host.stdout);
  const rows = entries.map(({ name, value, from }) => [
    name,
    safe(value),
    paint(from === "default" ? "gray" : "green", safe(from)),
    paint("gray", settings[name as keyof typeof settings]?.env ?? ""),
  ]);
  await writeTable(host.stdout, { head: ["SETTING", "VALUE", "FROM", "VARIABLE"], rows });
}

/** A value as a user would write it. */
function shown(value: unknown): string {
  if (value === undefined) return "";
  if (Array.isArray(value)) return value.join(",");
  if (typeof value === "object" && value !== null && "host" in value && "port" in value) {
    const host = String(value.host);
    return `${host.includes(":") ? `[${host}]` : host}:${value.port}`;
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
