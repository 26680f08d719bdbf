import { type Command, Option } from "commander";
import type { Flags } from "../config.ts";
import { type Setting, settings } from "../config-settings.ts";

/** Adds an option for each setting of a server, and the one for the file of settings. */
export function addSettings(command: Command): void {
  command.option(
    "--config <file>",
    "YAML or JSON file of settings (default ./sessiond.yaml or ./sessiond.json; env SESSIOND_CONFIG)",
  );
  for (const setting of Object.values(settings)) command.addOption(toOption(setting));
}

/** Only what was typed: commander's own defaults must not beat the environment or the file. */
export function givenFlags(command: Command): Flags {
  const given = (name: string) =>
    command.getOptionValueSource(name) === "cli" ? command.getOptionValue(name) : undefined;
  const values = Object.entries(settings).map(([key, { flag }]) => [
    key,
    given(new Option(flag).attributeName()),
  ]);
  return { ...Object.fromEntries(values), config: given("config") };
}

function toOption(setting: Setting<unknown>): Option {
  const { flag, help, env, repeats } = setting;
  const fallback = typeof setting.default === "string" && setting.default !== "";
  const notes = fallback ? `default ${setting.default}; env ${env}` : `env ${env}`;
  const option = new Option(flag, `${help} (${notes})`);
  if (repeats) option.argParser((value, before: string[] = []) => [...before, value]);
  return option;
}
