/**
 * Whether a test has what it needs of the machine; without it the test is skipped.
 *
 * Errors: in CI, where a test that is always skipped would prove nothing.
 */
export function needs(what: string, isThere: () => boolean): boolean {
  if (isThere()) return true;
  const { CI } = process.env;
  if (CI) throw new Error(`these tests need ${what}, which is not there; CI has to have it`);
  return false;
}
