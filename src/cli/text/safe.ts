/*
 * What could steer a terminal or mislead its reader: C0 and C1 controls with ESC and DEL, line and
 * paragraph separators, and the marks that turn the direction of writing.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is what this is for.
const unsafe = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

const short: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/**
 * Makes text of unknown origin harmless on a terminal: one line, control characters written out as
 * `\n` or `\u001b`.
 */
export function safe(text: string): string {
  return text.toWellFormed().replace(unsafe, writtenOut);
}

/** As `safe`, but lines stay lines; those after the first begin with `indent`. */
export function safeLines(text: string, indent: string): string {
  return text
    .split(/\r?\n/)
    .map((line) => safe(line))
    .join(`\n${indent}`);
}

function writtenOut(character: string): string {
  return short[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
