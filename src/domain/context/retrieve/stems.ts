import { stemmer } from "stemmer";

/** Words whose forms no rule of endings brings together; the stem of the first is that of all. */
const irregular = `
be been|begin began begun|bend bent|bite bit bitten|blow blew blown|break broke broken
bring brought|build built|burn burnt|buy bought|catch caught|choose chose chosen|come came
deal dealt|dig dug|draw drew drawn|dream dreamt|drink drank drunk|drive drove driven
eat ate eaten|fall fell fallen|feed fed|feel felt|fight fought|find found|fly flew flown
forget forgot forgotten|freeze froze frozen|get got gotten|give gave given|go went gone
grow grew grown|hear heard|hide hid hidden|hold held|keep kept|know knew known|lead led
learn learnt|leave left|lend lent|lose lost|make made|mean meant|meet met|pay paid
ride rode ridden|rise rose risen|run ran|say said|see saw seen|seek sought|sell sold|send sent
shake shook shaken|shoot shot|sing sang sung|sit sat|sleep slept|speak spoke spoken|spend spent
stand stood|steal stole stolen|stick stuck|strike struck|swear swore sworn|swim swam swum
take took taken|teach taught|tear tore torn|tell told|think thought|throw threw thrown
understand understood|wake woke woken|wear wore worn|win won|write wrote written
child children|foot feet|knife knives|life lives|man men|mouse mice|person people|shelf shelves
tooth teeth|wife wives|woman women|good better best|bad worse worst
`;

const regularOf = new Map<string, string>(
  irregular
    .trim()
    .split(/[|\n]/)
    .flatMap((forms) => {
      const [regular = "", ...others] = forms.split(" ");
      return others.map((other): [string, string] => [other, regular]);
    }),
);

/** Stems are looked up far more often than they are new. */
const maxCached = 16_384;
const cache = new Map<string, string>();

/** Only words of this form are English enough to have a stem. */
const englishWord = /^[a-z]{3,32}$/;

/** Stem of a word in lower case, by Porter's algorithm. Other words are their own stems. */
export function stem(word: string): string {
  const known = cache.get(word);
  if (known !== undefined) return known;
  if (!englishWord.test(word)) return word;
  if (cache.size >= maxCached) cache.clear();
  const found = stemmer(regularOf.get(word) ?? word);
  cache.set(word, found);
  return found;
}
