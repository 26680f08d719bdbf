import { type Random, randomOf } from "../robustness/random.ts";
import type { Conversation, Message, Question } from "./conversation.ts";
import { type FactKind, factKinds, fullName } from "./facts.ts";
import { madeUpName, paragraph, people, smallTalk } from "./vocabulary.ts";

/** How a generated conversation is made; chosen so that it has several hundred turns and 30,000 tokens or more. */
const shape = { turns: 300, subjects: 20, statementsPerKind: 16, factsPerKind: 4 };

interface Statement {
  readonly text: string;
  readonly questions: readonly Omit<Question, "evidence">[];
}

/**
 * A long conversation in which facts were planted, each to be asked for twice, literally and in other
 * words. Distractors say the same kind of thing about somebody else, or another thing about the same. Statements stand alone, inside
 * long messages, and inside tool results. The same seed gives the same conversation.
 */
export function generateConversation(seed: number): Conversation {
  const random = randomOf(seed);
  const subjects = {
    thing: Array.from({ length: shape.subjects }, () => madeUpName(random)),
    person: Array.from({ length: shape.subjects }, () => fullName(random)),
  };
  const planted = factKinds.flatMap((kind) => {
    const some = shuffled(subjects[kind.about], random).slice(0, shape.statementsPerKind);
    return statementsOf(kind, some, random);
  });
  const statements = shuffled(planted, random);
  const names = [...subjects.thing, ...subjects.person];
  const turns = Array.from({ length: shape.turns }, (_, turn) => turn);
  const statementOf = new Map(shuffled(turns, random).map((turn, i) => [turn, statements[i]]));
  const messages: Message[] = [];
  const questions: Question[] = [];
  for (let number = 0; number < shape.turns; number++) {
    const statement = statementOf.get(number);
    const evidence = addTurn(messages, { number, statement: statement?.text, random, names });
    for (const question of statement?.questions ?? []) {
      questions.push({ ...question, evidence: [evidence] });
    }
  }
  return { id: `generated-${seed}`, messages, questions };
}

/** The first of the subjects are asked about, the others are distractors. */
function statementsOf(kind: FactKind, subjects: readonly string[], random: Random): Statement[] {
  return subjects.map((subject, number) => {
    const answer = kind.answer(random);
    const text = random.pick(kind.said)(subject, answer);
    if (number >= shape.factsPerKind) return { text, questions: [] };
    return {
      text,
      questions: [
        { question: kind.literal(subject), kind: "literal", answer },
        { question: kind.paraphrased(subject), kind: "paraphrased", answer },
      ],
    };
  });
}

interface Turn {
  readonly number: number;
  readonly statement: string | undefined;
  readonly random: Random;
  /** Of those that facts are about. */
  readonly names: readonly string[];
}

/** Adds a turn of one of three forms that holds the statement; returns the place of the message it is in. */
function addTurn(messages: Message[], turn: Turn): number {
  const { random, names } = turn;
  const statement = turn.statement ?? smallTalk(random, names);
  if (random.chance(0.5)) {
    messages.push({ role: "user", content: `${statement} ${smallTalk(random, names)}` });
    messages.push({ role: "assistant", content: paragraph(random, names, random.between(1, 3)) });
    return messages.length - 2;
  }
  if (random.chance(0.5)) {
    const before = paragraph(random, names, random.between(2, 8));
    const after = paragraph(random, names, random.between(2, 8));
    messages.push({ role: "user", content: smallTalk(random, names) });
    messages.push({ role: "assistant", content: `${before} ${statement} ${after}` });
    return messages.length - 1;
  }
  const id = `call_${turn.number}`;
  const query = { about: madeUpName(random), from: random.pick(people) };
  const call = {
    name: random.pick(["read_notes", "search_mail", "get_page"]),
    arguments: JSON.stringify(query),
  };
  const lines = Array.from({ length: random.between(2, 10) }, () => smallTalk(random, names));
  lines.splice(random.between(0, lines.length), 0, statement);
  messages.push({ role: "user", content: smallTalk(random, names) });
  messages.push({ role: "assistant", content: null, tool_calls: [{ id, function: call }] });
  messages.push({ role: "tool", tool_call_id: id, content: lines.join("\n") });
  messages.push({ role: "assistant", content: smallTalk(random, names) });
  return messages.length - 2;
}

function shuffled<Value>(values: readonly Value[], random: Random): Value[] {
  return values
    .map((value) => ({ value, place: random.between(0, 2 ** 30) }))
    .sort((a, b) => a.place - b.place)
    .map(({ value }) => value);
}
