import type { Command, Option } from "commander";

/** What a word may become: fixed words, ids of sessions, names of consumers, or something unknown. */
export type Candidates = {
  /** Stands before each of them in the word: `--format=`. */
  readonly before?: string;
} & (
  | { readonly kind: "words"; readonly words: readonly string[] }
  | { readonly kind: "sessions"; readonly are?: "active" | "ended" }
  | { readonly kind: "consumers" }
  | { readonly kind: "none" }
);

/** Commands that do something with some sessions only. */
const wanted: Readonly<Record<string, "active" | "ended">> = {
  end: "active",
  cancel: "active",
  rewind: "active",
  reopen: "ended",
};

/**
 * Works out what the last of the words of a command line may become. It may be empty: the cursor
 * stands behind a space.
 */
export function candidatesFor(program: Command, words: readonly string[]): Candidates {
  const current = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  const name = before.find((word) => !word.startsWith("-"));
  const helper = program.createHelp();
  const command = program.commands.find((candidate) => candidate.name() === name);
  if (command === undefined) {
    const names = helper.visibleCommands(program).map((candidate) => candidate.name());
    return { kind: "words", words: current.startsWith("-") ? ["--help", "--version"] : names };
  }
  const options = helper.visibleOptions(command);
  const taking = options.find((option) => takesValue(option) && isFlag(option, before.at(-1)));
  const isAnother = taking?.optional === true && current.startsWith("-");
  if (!isAnother && taking !== undefined) return valuesOf(taking);
  const [, flag] = /^(--[^=]+)=/.exec(current) ?? [];
  if (flag !== undefined) {
    const option = options.find((candidate) => takesValue(candidate) && isFlag(candidate, flag));
    return option === undefined ? { kind: "none" } : { before: `${flag}=`, ...valuesOf(option) };
  }
  if (current.startsWith("-")) {
    return { kind: "words", words: options.flatMap(({ long }) => long ?? []) };
  }
  const given = command.registeredArguments;
  const place = positionals(before, options) - 1;
  const last = given.at(-1);
  const argument = given[place] ?? (last?.variadic ? last : undefined);
  if (argument === undefined) return { kind: "none" };
  if (argument.argChoices !== undefined) return { kind: "words", words: argument.argChoices };
  if (argument.name() === "consumer") return { kind: "consumers" };
  if (!sessionArguments.has(argument.name())) return { kind: "none" };
  const are = wanted[command.name()];
  return { kind: "sessions", ...(are && { are }) };
}

/** Arguments that are the id of a session. */
const sessionArguments: ReadonlySet<string> = new Set(["session", "other"]);

/** Options whose value is the id of a session. */
const sessionOptions: ReadonlySet<string> = new Set(["--session", "--resume"]);

function valuesOf(option: Option): Candidates {
  if (option.argChoices !== undefined) return { kind: "words", words: option.argChoices };
  if (option.long === "--consumer") return { kind: "consumers" };
  return sessionOptions.has(option.long ?? "") ? { kind: "sessions" } : { kind: "none" };
}

function takesValue(option: Option): boolean {
  return option.required || option.optional;
}

function isFlag({ short, long }: Option, word: string | undefined): boolean {
  return word !== undefined && (word === short || word === long);
}

/** Words that are neither options nor their values; the command's name is one. */
function positionals(words: readonly string[], options: readonly Option[]): number {
  return words.filter((word, index) => {
    const previous = words[index - 1];
    const isValue = options.some((option) => takesValue(option) && isFlag(option, previous));
    return !word.startsWith("-") && !isValue;
  }).length;
}

/** The value a line gives an option, as `--name value` or `--name=value`. */
export function optionValue(words: readonly string[], name: string): string | undefined {
  const joined = words.findLast((word) => word.startsWith(`${name}=`));
  if (joined !== undefined) return joined.slice(name.length + 1);
  const at = words.lastIndexOf(name);
  return at === -1 ? undefined : words[at + 1];
}
