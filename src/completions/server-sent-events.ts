import { EndpointFailure } from "./failure.ts";

/** A field's name and value; a line that begins with a colon is a comment. */
const dataLine = /^data(?:: ?(.*))?$/s;

/**
 * The data of server-sent events (WHATWG HTML, 9.2.6) as they arrive; other fields are left out.
 *
 * Events may be cut anywhere between two chunks. One that the body ends in counts as well: not every
 * server ends the last one with a blank line.
 *
 * Errors: EndpointFailure for a line longer than `maxLength` UTF-16 units.
 */
export async function* dataOf(
  body: AsyncIterable<Uint8Array>,
  maxLength: number,
): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let rest = "";
  let data: string[] = [];
  const take = function* (line: string) {
    if (line === "") {
      if (data.length > 0) yield data.join("\n");
      data = [];
      return;
    }
    const match = dataLine.exec(line);
    if (match !== null) data.push(match[1] ?? "");
  };
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    // A carriage return at the end may be the first half of a line's end.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    if (rest.length > maxLength) {
      throw new EndpointFailure(`its answer has a line of more than ${maxLength} characters`);
    }
    for (const line of lines) yield* take(line);
  }
  for (const line of [...rest.split(/\r/), ""]) yield* take(line);
}
