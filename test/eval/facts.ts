import type { Random } from "../robustness/random.ts";
import { madeUpName, people, towns } from "./vocabulary.ts";

/** Something that can be said about a subject, and asked for later. */
export interface FactKind {
  readonly about: "thing" | "person";
  readonly answer: (random: Random) => string;
  /** Ways to say it. */
  readonly said: readonly ((subject: string, answer: string) => string)[];
  /** Asks with the words it was said in. */
  readonly literal: (subject: string) => string;
  /** Asks with other words, as far as that goes. */
  readonly paraphrased: (subject: string) => string;
}

const months = "January March April June August September November December".split(" ");
const foods = "hazelnuts shellfish celery sesame lupins mustard kiwi buckwheat".split(" ");
const colours = "ochre teal maroon ivory indigo olive coral charcoal".split(" ");

const code = (random: Random) =>
  `${madeUpName(random).slice(0, 2).toUpperCase()}-${random.between(1000, 99_999)}`;
const date = (random: Random) => `${random.between(1, 28)} ${random.pick(months)}`;
const amount = (random: Random) => `${random.between(11, 98)}${random.between(1, 9)}0 euros`;
const path = (random: Random) =>
  `/srv/${madeUpName(random).toLowerCase()}/${madeUpName(random).toLowerCase()}.yaml`;
export const fullName = (random: Random) => `${random.pick(people)} ${madeUpName(random)}`;

export const factKinds: readonly FactKind[] = [
  {
    about: "thing",
    answer: (random) => String(random.between(2_000, 64_000)),
    said: [
      (s, a) => `The staging database of ${s} listens on port ${a}.`,
      (s, a) => `For the record, ${s}: staging database, port ${a}.`,
    ],
    literal: (s) => `Which port does the staging database of ${s} listen on?`,
    paraphrased: (s) => `What number do I need to connect to the test storage of ${s}?`,
  },
  {
    about: "thing",
    answer: code,
    said: [
      (s, a) => `The contract with ${s} is filed under reference ${a}.`,
      (s, a) => `Our contract reference for ${s} is ${a}, please use it in letters.`,
    ],
    literal: (s) => `What is the contract reference for ${s}?`,
    paraphrased: (s) => `Under what identifier do we keep the agreement signed with ${s}?`,
  },
  {
    about: "person",
    answer: (random) => random.pick(foods),
    said: [
      (s, a) => `${s} is allergic to ${a}, so nothing with that at the dinner.`,
      (s, a) => `Please remember for the catering: ${s} has an allergy to ${a}.`,
    ],
    literal: (s) => `What is ${s} allergic to?`,
    paraphrased: (s) => `Which ingredient would make ${s} ill?`,
  },
  {
    about: "thing",
    answer: date,
    said: [
      (s, a) => `The deadline for the ${s} proposal is ${a}.`,
      (s, a) => `${s} wrote that their proposal has a hard deadline, namely ${a}.`,
    ],
    literal: (s) => `When is the deadline for the ${s} proposal?`,
    paraphrased: (s) => `By what day must our offer to ${s} be handed in?`,
  },
  {
    about: "thing",
    answer: amount,
    said: [
      (s, a) => `We agreed on a budget of ${a} for the ${s} campaign.`,
      (s, a) => `The ${s} campaign has a budget of ${a}, approved this morning.`,
    ],
    literal: (s) => `What is the budget of the ${s} campaign?`,
    paraphrased: (s) => `How much money may be spent on advertising ${s}?`,
  },
  {
    about: "thing",
    answer: fullName,
    said: [
      (s, a) => `${a} is the new owner of the ${s} service, in case it pages.`,
      (s, a) => `Since the reorganisation the ${s} service belongs to ${a}.`,
    ],
    literal: (s) => `Who is the owner of the ${s} service?`,
    paraphrased: (s) => `Whom should I call about trouble with ${s}?`,
  },
  {
    about: "thing",
    answer: path,
    said: [
      (s, a) => `The settings of the ${s} worker live in ${a}.`,
      (s, a) => `I moved the settings for the ${s} worker to ${a}.`,
    ],
    literal: (s) => `Where do the settings of the ${s} worker live?`,
    paraphrased: (s) => `Which file configures the background job ${s}?`,
  },
  {
    about: "person",
    answer: (random) => random.pick(towns),
    said: [
      (s, a) => `${s} has moved to ${a} with the whole family.`,
      (s, a) => `By the way, ${s} moved away and lives in ${a} now.`,
    ],
    literal: (s) => `Where has ${s} moved to?`,
    paraphrased: (s) => `In which city is the home of ${s} these days?`,
  },
  {
    about: "thing",
    answer: (random) => `${random.between(2, 90)} seconds`,
    said: [
      (s, a) => `We raised the timeout of the ${s} client to ${a}.`,
      (s, a) => `The timeout in the ${s} client is ${a} after yesterday's change.`,
    ],
    literal: (s) => `What is the timeout of the ${s} client?`,
    paraphrased: (s) => `How long does the caller of ${s} wait before it gives up?`,
  },
  {
    about: "thing",
    answer: (random) => random.pick(colours),
    said: [
      (s, a) => `For the ${s} brochure they chose ${a} as the main colour.`,
      (s, a) => `The main colour of the ${s} brochure will be ${a}.`,
    ],
    literal: (s) => `What is the main colour of the ${s} brochure?`,
    paraphrased: (s) => `In what shade will the leaflet about ${s} be printed?`,
  },
  {
    about: "person",
    answer: (random) =>
      `${random.between(2, 29)} ${random.pick(months)} at ${random.between(8, 17)}:30`,
    said: [
      (s, a) => `The interview with ${s} is on ${a}.`,
      (s, a) => `I scheduled the interview: ${s}, ${a}, small room.`,
    ],
    literal: (s) => `When is the interview with ${s}?`,
    paraphrased: (s) => `What time do we meet the candidate ${s}?`,
  },
  {
    about: "thing",
    answer: (random) => `${random.between(1, 9)}.${random.between(0, 40)}.${random.between(0, 9)}`,
    said: [
      (s, a) => `Do not upgrade the ${s} library past version ${a}, it breaks the build.`,
      (s, a) => `The last version of the ${s} library that works for us is ${a}.`,
    ],
    literal: (s) => `What is the last version of the ${s} library that works?`,
    paraphrased: (s) => `At which release must we stay with the dependency ${s}?`,
  },
];
