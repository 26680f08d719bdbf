import { cut, widthOf } from "../text/width.ts";

/** Breaks a text at its spaces into lines of so many columns; what is longer by itself is cut. */
export function wrapped(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && widthOf(longer) > columns) {
      lines.push(line);
      line = cut(word, columns);
    } else {
      line = cut(longer, columns);
    }
  }
  return [...lines, line];
}
