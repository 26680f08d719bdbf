/*
 * How much a sentence tells, judged from the words alone. Things that stand for themselves (ids,
 * numbers, names, paths) count most, then words by which people state facts, wishes and decisions.
 */

interface Sign {
  readonly pattern: RegExp;
  /** For each occurrence. */
  readonly weight: number;
  /** Occurrences that count. */
  readonly most: number;
}

const things: readonly Sign[] = [
  { pattern: /\b[a-z][a-z0-9+.-]{1,15}:\/\/\S+|\b[\w.+-]+@[\w-]+\.\w+/gi, weight: 3, most: 2 },
  {
    pattern: /(?:^|[\s"'(])(?:~|\.{0,2})\/[\w.-]+(?:\/[\w.-]*)*|\b\w:\\\S+|\b[\w-]+\.[a-z]{2,5}\b/g,
    weight: 1.5,
    most: 2,
  },
  // Letters and digits in one word, or upper-case words joined by signs: ids, codes, versions.
  {
    pattern: /(?=[\w#-]*\d)(?=[\w#-]*[A-Za-z])[\w#-]{3,}|\b[A-Z]{2,}(?:[-_][A-Z0-9]+)+/g,
    weight: 2.5,
    most: 3,
  },
  { pattern: /[$€£¥]?(?<![\w-])\d+(?:[.,:/-]\d+)*(?![\w-])[%€£$]?/g, weight: 2, most: 3 },
  {
    pattern: /`[^`]+`|"[^"]+"|“[^”]+”|\b[a-z]+(?:_[a-z0-9]+)+\b|\b[a-z]+(?:[A-Z][a-z0-9]+)+\b/g,
    weight: 1.5,
    most: 2,
  },
  // Names: capitals that do not begin the sentence.
  { pattern: /(?<=[\p{L}\p{N},;:"')]\s["'(]?)\p{Lu}[\p{L}\p{M}'’-]+/gu, weight: 1.5, most: 3 },
  {
    pattern:
      /\b(?:january|february|march|april|june|july|august|september|october|november|december|monday|tuesday|wednesday|thursday|friday|saturday|sunday|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|hundred|thousand|million|first|second|third)\b/gi,
    weight: 1,
    most: 2,
  },
];

const statements: readonly Sign[] = [
  {
    pattern:
      /\b(?:remember|remind|note that|keep in mind|important|make sure|must|required?|never|always|only|at least|at most|no more than|deadline|due)\b/gi,
    weight: 2.5,
    most: 2,
  },
  {
    pattern:
      /\b(?:not|don['’]?t|doesn['’]?t|didn['’]?t|won['’]?t|can['’]?t|cannot|isn['’]?t|aren['’]?t|shouldn['’]?t|without|except|instead|rather than|no longer|avoid|stop(?:ped)?)\b/gi,
    weight: 1.5,
    most: 1,
  },
  {
    pattern:
      /\b(?:decid\w+|decision|agreed?|chos\w+|choose|picked|settled|confirm\w*|approved?|cancel\w*|chang\w+|switch\w*|updat\w+|fixed|failed|because|turn(?:s|ed)? out|caused?|due to|reason|found out|discovered|actually|correction)\b/gi,
    weight: 1.5,
    most: 2,
  },
  {
    pattern:
      /\b(?:prefer\w*|favou?rite|likes?|loves?|hates?|enjoys?|wants?|needs?|allerg\w+|vegetarian|vegan|named?|called|lives?|living|works?|working|born|birthday|married|moved?|bought|started|plans?|planning|budget|costs?|address|password|key|code|phone|number|email|account)\b/gi,
    weight: 1.5,
    most: 2,
  },
  {
    pattern:
      /\b(?:my|mine|our|i['’]m|i am|i['’]ve|i have|i was|we['’]re|we are|we['’]ve|we have)\b/gi,
    weight: 1,
    most: 2,
  },
  // "I drive", "we moved", but not "I think", "I would like".
  {
    pattern:
      /\b(?:i|we) (?:(?:usually|often|also|recently|finally|just) )?(?!would|will|think|thought|guess|want|need|wonder|hope|see|can|could|should|understand|apolog|recommend|suggest|have|had|do|did|don|am|was|were|are|ll|d\b|m\b|ve\b)[a-z]{3,}/gi,
    weight: 1.5,
    most: 1,
  },
];

const pleasantry =
  /^(?:(?:oh|ah|ok|okay|well|yes|yeah|no|hi|hey|hello|sure|great|thanks?|thank you|please|of course|certainly|absolutely|got it|understood|perfect|awesome|sounds good|no problem|you['’]?re welcome|good (?:morning|afternoon|evening|luck))\b[\s,.!]*){1,3}(?:$|\S+(?:\s+\S+){0,2}$)|\b(?:let me know|feel free|happy to help|glad (?:to|i could) help|here to help|(?:how|what) (?:can|else can|may) i (?:help|do|assist)|anything else|i(?:['’]ll| will| can) help|hope (?:this|that) helps|don['’]?t hesitate|have a (?:great|nice|good)|i understand|i apologi[sz]e|great question|good question|here(?:['’]s| is| are) (?:some|a few|the))\b/i;

/** What a sentence tells by its own words; about 0 for chatter, 3 to 15 for facts. */
export function informationOf(sentence: string): number {
  const told = add(things, sentence);
  const score = 1 + told + add(statements, sentence);
  if (pleasantry.test(sentence)) return score * (told > 0 ? 0.7 : 0.2);
  return /[?？]["')]*$/.test(sentence) ? score * 0.5 : score;
}

function add(signs: readonly Sign[], sentence: string): number {
  let total = 0;
  for (const { pattern, weight, most } of signs) {
    const found = sentence.match(pattern)?.length ?? 0;
    total += weight * Math.min(found, most);
  }
  return total;
}

/** Words of a sentence that say what it is about, in lower case, each once. */
export function contentWords(sentence: string): Set<string> {
  const words = sentence.toLowerCase().match(/[\p{L}\p{N}_]{3,}/gu) ?? [];
  return new Set(words.filter((word) => !commonWords.has(word)));
}

const commonWords = new Set(
  (
    "the and for are was were been being have has had does did will would could should can may might " +
    "that this these those with from into onto about over under than then there their them they you " +
    "your his her its our out not but also just very really some any all each more most much many " +
    "what when where which who whom whose why how here please thanks thank sure okay yes like get " +
    "got let one good great well too now i'm i've"
  ).split(" "),
);

/** Words a sentence can lose and still be understood; capitals may be names, as in "plan A". */
const filler =
  /(?<![\w'’-])(?:[Tt]he|an?|is|are|was|were|been|being|am|just|really|very|quite|basically|so|then|well|please|would|could|(?:have|has|had) been|that|there|some|kind of|sort of|I think|I guess|[Bb]y the way|btw)(?![\w'’-]),? ?/g;

/** A sentence in note form: without articles, auxiliaries and filler. Notes of notes are the same. */
export function noteOf(sentence: string): string {
  let note = sentence;
  let before: string;
  do {
    before = note;
    note = note
      .replace(filler, "")
      .replace(/\s+/g, " ")
      .replace(/^[\s,;]+|[\s,;]+$/g, "");
  } while (note !== before);
  return note;
}
