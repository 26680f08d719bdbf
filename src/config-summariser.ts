import { inspect } from "node:util";

/** A text that is not shown when what holds it is logged or printed. */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return "[secret]";
  }

  toJSON(): string {
    return "[secret]";
  }

  [inspect.custom](): string {
    return "[secret]";
  }
}

/** The endpoint that makes summaries for compactions with strategy HTTP. */
export interface SummariserConfig {
  /** Everything before `/chat/completions`. */
  readonly url: string;
  readonly model: string;
  /** Absolute path of the file with its key, which is read for every request. */
  readonly keyFile?: string;
  /** Its key, from the environment. Neither: the endpoint needs none. */
  readonly key?: Secret;
  /** Time for one request. Default 30 s. */
  readonly timeoutMs: number;
  /** Tokens one answer may have. Default 4,096. */
  readonly maxTokens: number;
}

/** The settings that make up a `SummariserConfig`, as they were given. */
export interface SummariserSettings {
  readonly summariserUrl: string | undefined;
  readonly summariserModel: string | undefined;
  /** Absolute. */
  readonly summariserKeyFile: string | undefined;
  /** Name of a variable. */
  readonly summariserKeyEnv: string | undefined;
  readonly summariserTimeout: number;
  readonly summariserMaxTokens: number;
}

/** The variable that is read for the key when no other and no file is named. */
export const usualKeyVariable = "SESSIOND_SUMMARISER_KEY";

/**
 * Puts the settings together; undefined without a url.
 *
 * Errors: what does not go together, as a sentence that begins with what is wrong.
 */
export function summariserConfig(
  settings: SummariserSettings,
  env: Readonly<Record<string, string | undefined>>,
): SummariserConfig | string | undefined {
  const { summariserUrl: url, summariserModel: model } = settings;
  const { summariserKeyFile: keyFile, summariserKeyEnv: keyEnv } = settings;
  if (url === undefined) {
    if ([model, keyFile, keyEnv].every((value) => value === undefined)) return undefined;
    return "the summariser has no url; set --summariser-url too";
  }
  if (model === undefined) return "the summariser has no model; set --summariser-model too";
  if (keyFile !== undefined && keyEnv !== undefined) {
    return "the summariser's key has both a file and a variable; name one of them";
  }
  const key = env[keyEnv ?? usualKeyVariable] || undefined;
  if (keyEnv !== undefined && key === undefined) {
    return `env ${keyEnv} is not set; it must hold the summariser's key`;
  }
  return {
    url,
    model,
    ...(keyFile !== undefined && { keyFile }),
    ...(keyFile === undefined && key !== undefined && { key: new Secret(key) }),
    timeoutMs: settings.summariserTimeout,
    maxTokens: settings.summariserMaxTokens,
  };
}
