const MiB = 1024 * 1024;

/** Megabytes that are hard to count, cut, search or read, by what they consist of. */
export const megabytes = {
  "one letter": megabyte("a"),
  "letters of both cases": megabyte("aB"),
  "chinese without punctuation": megabyte("我想下个月去日本旅行"),
  "chinese with punctuation": megabyte("我想下个月去日本旅行，请帮忙。"),
  base64: Buffer.from(
    Uint8Array.from({ length: (MiB * 3) / 4 }, (_, i) => (i * i * 31) >> 3),
  ).toString("base64"),
  emoji: megabyte("😀"),
  "emoji families": megabyte("👩‍👩‍👧‍👦"),
  spaces: megabyte(" "),
  "line breaks": megabyte("\n"),
  "exclamation marks": megabyte("!"),
  digits: megabyte("1234567"),
  "runs just below the limit": megabyte(`${"我".repeat(1_000)} `),
  english: megabyte("I want to visit Japan next month, please. "),
} satisfies Record<string, string>;

function megabyte(unit: string): string {
  return unit.repeat(Math.ceil(MiB / Buffer.byteLength(unit)));
}
