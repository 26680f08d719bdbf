import { type CelFunc, CelScalar, celFunc, celMethod } from "@bufbuild/cel";

const { INT, STRING } = CelScalar;

/**
 * Functions on texts as the library has them, but faster: rules call them for every event, and its
 * own put texts together character by character (0.5 ms for 16 KiB).
 */
export const textFunctions: readonly CelFunc[] = [
  celMethod("lowerAscii", STRING, [], STRING, function () {
    return changeCase({ text: this, from: 0x41, to: 0x61 });
  }),
  celMethod("upperAscii", STRING, [], STRING, function () {
    return changeCase({ text: this, from: 0x61, to: 0x41 });
  }),
  celMethod("size", STRING, [], INT, function () {
    return countCharacters(this);
  }),
  celFunc("size", [STRING], INT, countCharacters),
];

/** Moves the 26 letters from `from` to where `to` is; everything else stays. */
function changeCase(args: { text: string; from: number; to: number }): string {
  const { text, from, to } = args;
  const units = new Uint16Array(text.length);
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    units[index] = unit >= from && unit < from + 26 ? unit - from + to : unit;
  }
  return Buffer.from(units.buffer).toString("utf16le");
}

/** Characters rather than UTF-16 units: the second half of a pair does not count. */
function countCharacters(text: string): bigint {
  let count = 0;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    const previous = index === 0 ? 0 : text.charCodeAt(index - 1);
    const isSecondHalf = unit >> 10 === 0x37 && previous >> 10 === 0x36;
    if (!isSecondHalf) count += 1;
  }
  return BigInt(count);
}
