import type { ConfigFile } from "./config-file.ts";
import { settings } from "./config-settings.ts";
import { StartError } from "./errors.ts";

type Key = keyof typeof settings;

/** Keys at the top of a file that hold settings, or tables of them. */
export const settingKeys: readonly string[] = [
  ...new Set(Object.entries(settings).map(([key, { inFile }]) => inFile?.[0] ?? key)),
];

/** A setting as a file names it: `listen`, `summariser.url`. */
export function nameInFile(key: Key): string {
  return settings[key].inFile?.join(".") ?? key;
}

/** What a file says about a setting; undefined when it says nothing, or null. */
export function valueIn(file: ConfigFile | undefined, key: Key): unknown {
  const [table, name] = settings[key].inFile ?? [undefined, key];
  const content = table === undefined ? file?.content : file?.content[table];
  return (content as Record<string, unknown> | null | undefined)?.[name] ?? undefined;
}

/** Errors: StartError when a table of settings in the file is none, or has unknown keys. */
export function checkTables(file: ConfigFile | undefined): void {
  const names = Object.values(settings).flatMap(({ inFile }) => (inFile ? [inFile] : []));
  for (const [table] of names) {
    const content = file?.content[table] ?? {};
    const known = names.filter(([name]) => name === table).map(([, key]) => key);
    if (typeof content !== "object" || Array.isArray(content)) {
      throw new StartError(
        `file ${file?.name} has a ${table} that is no table; it must hold ${known.join(", ")}`,
      );
    }
    const unknown = Object.keys(content).find((key) => !known.includes(key));
    if (unknown !== undefined) {
      throw new StartError(
        `file ${file?.name} has the unknown key "${table}.${unknown}"; known are ${known.join(", ")}`,
      );
    }
  }
}
