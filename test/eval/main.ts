import { createReadStream } from "node:fs";
import { access } from "node:fs/promises";
import { createInterface } from "node:readline";
import { parseConversation } from "./conversation.ts";
import { Evaluation } from "./evaluate.ts";
import { generateConversation } from "./generate.ts";
import { type Options, parseOptions, usage } from "./options.ts";
import { report } from "./report.ts";

function options(): Options {
  try {
    return parseOptions(process.argv.slice(2));
  } catch (error) {
    return fail(2, `${(error as Error).message}\n${usage}`);
  }
}

function fail(code: number, message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(code);
}

const chosen = options();
if ("generate" in chosen) {
  process.stdout.write(`${JSON.stringify(generateConversation(chosen.generate))}\n`);
} else {
  await using evaluation = await Evaluation.open(chosen);
  // The tokenizer's worker does not keep the process alive, and nothing else does here.
  const alive = setInterval(() => {}, 1_000);
  let number = 0;
  await access(chosen.file).catch((error: Error) => fail(1, error.message));
  for await (const line of createInterface({ input: createReadStream(chosen.file) })) {
    number += 1;
    if (line.trim() === "") continue;
    try {
      const conversation = parseConversation(line);
      process.stderr.write(
        `line ${number}: ${conversation.id}, ${conversation.messages.length} messages, ${conversation.questions.length} questions\n`,
      );
      await evaluation.add(conversation);
    } catch (error) {
      process.stderr.write(`${chosen.file}:${number}: ${(error as Error).message}\n`);
      process.exitCode = 1;
    }
  }
  clearInterval(alive);
  report(evaluation.shares.all(), process.stdout.isTTY);
}
