/** The endpoint worked, but what it answered is no summary. */
export class UnusableAnswer extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UnusableAnswer";
  }
}
