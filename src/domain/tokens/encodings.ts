import { create } from "@bufbuild/protobuf";
import { TokenAccuracy, type TokenCount, TokenCountSchema } from "@sessiond/contract";
import { NotSupportedError } from "../../errors.ts";
import { type Encoding, encodings } from "./protocol.ts";

/** Errors: NotSupportedError when no tokenizer of that name exists. */
export function toEncoding(name: string): Encoding {
  const encoding = encodings.find((known) => known === name);
  if (encoding === undefined) {
    throw new NotSupportedError(
      `there is no tokenizer for encoding "${name}"; use one of ${encodings.join(", ")}`,
      { encoding: name },
    );
  }
  return encoding;
}

/** How the tokens of a model are counted. */
export interface ModelEncoding {
  readonly encoding: Encoding;
  /**
   * What a count in `encoding` has to be multiplied with, see `scaleCount`. 1 when the model uses
   * this encoding; above 1 when its own tokenizer is not public.
   */
  readonly factor: number;
}

/*
 * The beginnings of model names; the longest that fits decides. Models with a public tokenizer
 * follow tiktoken's own table. The factors of the others are safety margins, chosen and not
 * measured: a window that is a little too small is better than one a provider rejects.
 */
const models = {
  "gpt-5": exact("o200k_base"),
  "gpt-4.5": exact("o200k_base"),
  "gpt-4.1": exact("o200k_base"),
  "gpt-4o": exact("o200k_base"),
  "chatgpt-4o": exact("o200k_base"),
  "gpt-oss": exact("o200k_base"),
  o1: exact("o200k_base"),
  o3: exact("o200k_base"),
  o4: exact("o200k_base"),
  "gpt-4": exact("cl100k_base"),
  "gpt-3.5": exact("cl100k_base"),
  "gpt-35": exact("cl100k_base"),
  "text-embedding": exact("cl100k_base"),
  "davinci-002": exact("cl100k_base"),
  "babbage-002": exact("cl100k_base"),
  "text-davinci-003": exact("p50k_base"),
  "text-davinci-002": exact("p50k_base"),
  "code-davinci": exact("p50k_base"),
  "code-cushman": exact("p50k_base"),
  "davinci-codex": exact("p50k_base"),
  "cushman-codex": exact("p50k_base"),
  "text-davinci-edit": exact("p50k_edit"),
  "code-davinci-edit": exact("p50k_edit"),
  "text-davinci": exact("r50k_base"),
  "text-curie": exact("r50k_base"),
  "text-babbage": exact("r50k_base"),
  "text-ada": exact("r50k_base"),
  "text-similarity": exact("r50k_base"),
  "text-search": exact("r50k_base"),
  "code-search": exact("r50k_base"),
  davinci: exact("r50k_base"),
  curie: exact("r50k_base"),
  babbage: exact("r50k_base"),
  ada: exact("r50k_base"),
  gpt2: exact("gpt2"),
  claude: { encoding: "o200k_base", factor: 1.4 },
} satisfies Record<string, ModelEncoding>;

const unknownModel: ModelEncoding = { encoding: "o200k_base", factor: 1.3 };

const byLength = Object.entries<ModelEncoding>(models).sort(([a], [b]) => b.length - a.length);

/**
 * Says how to count tokens for a model.
 *
 * Takes names as providers and routers write them: `gpt-4o-mini`, `openai/gpt-4o`,
 * `ft:gpt-4o:org::id`, in any case. Without a model, counts are plain o200k_base.
 */
export function encodingForModel(model: string | undefined): ModelEncoding {
  if (model === undefined || model === "") return exact("o200k_base");
  const name = model
    .toLowerCase()
    .replace(/^ft:/, "")
    .replace(/^[^:]*\//, "");
  return byLength.find(([prefix]) => beginsWith(name, prefix))?.[1] ?? unknownModel;
}

/** The count of a model without a public tokenizer: scaled, rounded up and ESTIMATED. */
export function scaleCount(count: TokenCount, factor: number): TokenCount {
  if (factor === 1 || count.count === 0) return count;
  return tokenCount({
    count: Math.ceil(count.count * factor),
    encoding: count.encoding,
    estimated: true,
  });
}

/** Makes a count in its contract form. */
export function tokenCount(args: {
  count: number;
  encoding: string;
  estimated: boolean;
}): TokenCount {
  return create(TokenCountSchema, {
    count: args.count,
    encoding: args.encoding,
    accuracy: args.estimated ? TokenAccuracy.ESTIMATED : TokenAccuracy.EXACT,
  });
}

/** A prefix ends where the name does or where a word ends: "o1" is not the beginning of "o100". */
function beginsWith(name: string, prefix: string): boolean {
  return name.startsWith(prefix) && !/^[a-z0-9]/.test(name.slice(prefix.length));
}

function exact(encoding: Encoding): ModelEncoding {
  return { encoding, factor: 1 };
}
