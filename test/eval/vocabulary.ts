import type { Random } from "../robustness/random.ts";

const words = (text: string) => text.trim().split(/\s+/);

const onsets = words("b br c ch d dr f fl g gr h j k kl l m n p pr qu r s sh st t tr v w z");
const middles = words("a e i o u ai ea io ou ar en il or un");
const ends = words("d dex k l lin m mar n nix r ra rus s sto t tan vex via x zen");

/** A name nobody has, such as "Trioldex". */
export function madeUpName(random: Random): string {
  const syllables = random.between(1, 2);
  let name = "";
  for (let i = 0; i < syllables; i++) name += random.pick(onsets) + random.pick(middles);
  name += random.pick(ends);
  return name[0]?.toUpperCase() + name.slice(1);
}

export const people = words(`
  Amara Anselm Beatriz Bogdan Camille Chidi Dagny Dario Eleni Emeka Fatima Florian Greta Hadi Hana
  Igor Ingrid Jamal Jolanta Kaito Katya Lamar Leocadia Mateo Meera Naoko Nikos Odile Oskar Paloma
  Piotr Quentin Rania Ravi Saoirse Stelios Tamsin Tomasz Ulrike Umar Vera Viktor Wanda Yusuf Zofia
`);

export const towns = words(`
  Aarhus Bergen Bilbao Brno Cork Dresden Evora Faro Galway Ghent Graz Haifa Izmir Kaunas Leiden Lodz
  Malmo Nantes Oulu Parma Porto Riga Sofia Split Tartu Turin Utrecht Varna Verona Vilnius Zadar
`);

const subjects = words(`
  budget checkout crawler dashboard dataset draft export forecast gateway importer index invoice
  kitchen landing layout ledger library mailer migration model newsletter notebook onboarding parser
  pipeline planner plugin podcast portal presentation prototype queue quote recipe renderer report
  roadmap scheduler schema search shelf sitemap spreadsheet survey template terrace timeline toolbar
  translation tutorial uploader wardrobe warehouse webhook widget workshop
`);
const qualities = words(`
  awkward brittle clear confusing cramped crowded elegant empty flaky fresh heavy lopsided modern
  narrow neat noisy odd outdated patchy plain polished quiet robust rough shaky simple sleek slow
  solid stale steady sturdy tidy uneven unfinished usable vague weird
`);
const verbs = words(`
  adjusted archived checked cleaned compared copied described drafted expanded explored extended
  finished formatted grouped inspected labelled listed merged mapped moved outlined polished
  postponed printed profiled ranked rearranged renamed reordered repainted reviewed rewrote scanned
  sketched sorted split summarised swapped tested trimmed tweaked
`);
const reasons = words(`
  accessibility accuracy capacity clarity comfort compatibility consistency durability latency memory
  navigation permissions precision readability reliability safety stability storage style throughput
  tone usability visibility
`);
const frames = [
  "I {verb} the {subject} again and it still feels {quality}.",
  "Could you look at how the {subject} handles {reason}?",
  "The {subject} from {town} turned out {quality}, mostly because of {reason}.",
  "{person} {verb} the {subject} on {day} and left a note about {reason}.",
  "Between the {subject} and the {other}, I find the second one more {quality}.",
  "We {verb} {number} entries of the {subject} and {few} of them looked {quality}.",
  "There is a {quality} corner in the {subject} that nobody has {verb} yet.",
  "For {reason} the {subject} should come before the {other}.",
  "My impression of the {subject}: {quality} at first, {qualityToo} after a while.",
  "Nothing new from {person}, the {subject} waits for the {other}.",
  "The numbers for the {subject} went from {number} to {numberToo} within {few} days.",
  "{name} sent the {subject} back with a note about {reason}.",
  "Has anybody heard from {name} about the {subject}?",
  "{name} found the {other} {quality}, as {person} had said.",
  "Let us keep the {subject} {quality} and spend the time on {reason}.",
];
const days = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday");

/** A sentence that tells nothing that is asked for, though it may drop one of the names. */
export function smallTalk(random: Random, names: readonly string[]): string {
  const values: Readonly<Record<string, () => string | number>> = {
    name: () => random.pick(names),
    verb: () => random.pick(verbs),
    subject: () => random.pick(subjects),
    other: () => random.pick(subjects),
    quality: () => random.pick(qualities),
    qualityToo: () => random.pick(qualities),
    reason: () => random.pick(reasons),
    town: () => random.pick(towns),
    person: () => random.pick(people),
    day: () => random.pick(days),
    number: () => random.between(12, 980),
    numberToo: () => random.between(12, 980),
    few: () => random.between(2, 9),
  };
  return random
    .pick(frames)
    .replace(/\{(\w+)\}/g, (_, name: string) => String(values[name]?.() ?? ""));
}

/** Small talk of some sentences. */
export function paragraph(random: Random, names: readonly string[], sentences: number): string {
  return Array.from({ length: sentences }, () => smallTalk(random, names)).join(" ");
}
