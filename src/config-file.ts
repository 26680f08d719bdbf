import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { StartError } from "./errors.ts";

/** A configuration file as it was read. */
export interface ConfigFile {
  /** As it was named, for messages. */
  readonly name: string;
  /** Its keys and values, not yet checked. */
  readonly content: Readonly<Record<string, unknown>>;
}

const usualNames = ["sessiond.yaml", "sessiond.json"];

/**
 * Reads the named file, or else `sessiond.yaml` or `sessiond.json` in `folder` if there is one.
 *
 * Errors: StartError when a named file is missing, a file cannot be read or has unknown keys, or
 * both usual files exist.
 */
export async function readConfigFile(args: {
  name: string | undefined;
  folder: string;
  keys: readonly string[];
}): Promise<ConfigFile | undefined> {
  const found: ConfigFile[] = [];
  for (const name of args.name === undefined ? usualNames : [args.name]) {
    const text = await readText(resolve(args.folder, name), name);
    if (text !== undefined) found.push({ name, content: await parseFile(text, name) });
  }
  const [file, other] = found;
  if (file === undefined && args.name !== undefined) {
    throw new StartError(`file ${args.name} does not exist; name another with --config`);
  }
  if (other !== undefined) {
    throw new StartError(
      `there are a ${file?.name} and a ${other.name}; remove one, or name one with --config`,
    );
  }
  const unknown = Object.keys(file?.content ?? {}).find((key) => !args.keys.includes(key));
  if (unknown !== undefined) {
    throw new StartError(
      `file ${file?.name} has the unknown key "${unknown}"; known are ${args.keys.join(", ")}`,
    );
  }
  return file;
}

/** The text of a file, undefined when there is none. */
async function readText(path: string, name: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "ENOENT") return undefined;
    throw new StartError(
      `file ${name} cannot be read (${code}); it must be a readable file`,
      error,
    );
  }
}

async function parseFile(text: string, name: string): Promise<Readonly<Record<string, unknown>>> {
  // Only here: a start without a file does not pay for the parser.
  const { default: yaml } = await import("yaml");
  const content = toContent(() => yaml.parse(text, { prettyErrors: true }), name);
  if (content === null || content === undefined) return {};
  if (typeof content !== "object" || Array.isArray(content)) {
    throw new StartError(`file ${name} must hold settings, each as "name: value"`);
  }
  return content as Record<string, unknown>;
}

function toContent(parse: () => unknown, name: string): unknown {
  try {
    return parse();
  } catch (error) {
    const [why] = String(error instanceof Error ? error.message : error).split("\n");
    throw new StartError(`file ${name} must be YAML or JSON: ${why?.replace(/[:.]$/, "")}`, error);
  }
}
