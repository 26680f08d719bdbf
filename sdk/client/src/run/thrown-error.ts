/** What is kept of something thrown. */
export interface ErrorRecord {
  readonly code: string;
  readonly message: string;
}

/** UTF-16 units kept of an error; the contract takes 200 bytes and 16 KiB, 3 to 4 bytes a unit. */
const codeLength = 50;
const messageLength = 4_000;

/** The reason or code that something thrown carries, else its name; and its message. */
export function errorRecordOf(thrown: unknown): ErrorRecord {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const code = textIn(error, "reason") ?? textIn(error, "code") ?? error.name;
  return { code: code.slice(0, codeLength), message: error.message.slice(0, messageLength) };
}

function textIn(error: Error, field: string): string | undefined {
  const value: unknown = Reflect.get(error, field);
  return typeof value === "string" && value !== "" ? value : undefined;
}
