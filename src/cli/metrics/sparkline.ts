const blocks = "▁▂▃▄▅▆▇█";
const ascii = "_.-=*#";

/** The terminal shows more than ASCII, by what the locale says. */
export function showsUnicode(env: Readonly<Record<string, string | undefined>>): boolean {
  const { LC_ALL, LC_CTYPE, LANG } = env;
  return /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || "");
}

/** Numbers as a line of bars, the largest as high as there is; what is not 0 is higher than what is. */
export function sparkline(numbers: readonly number[], isUnicode: boolean): string {
  const steps = isUnicode ? blocks : ascii;
  const largest = Math.max(...numbers, 0);
  const top = steps.length - 1;
  return numbers
    .map((number) => {
      if (number <= 0 || largest === 0) return steps[0];
      return steps[Math.max(1, Math.round((number / largest) * top))];
    })
    .join("");
}

/** As many numbers as there are columns at most: neighbours add up, the newest are whole. */
export function fitted(numbers: readonly number[], columns: number): number[] {
  const each = Math.max(1, Math.ceil(numbers.length / columns));
  const sums: number[] = [];
  for (let end = numbers.length; end > 0; end -= each) {
    const part = numbers.slice(Math.max(0, end - each), end);
    sums.unshift(part.reduce((sum, number) => sum + number, 0));
  }
  return sums;
}
