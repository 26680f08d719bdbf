/** One page of a list. */
export interface Page<T> {
  readonly items: readonly T[];
  /** For the next page; undefined on the last. Good only for the same query. */
  readonly nextPageToken: string | undefined;
}

/** Gets the page behind a token; undefined is the first. */
export type FetchPage<T> = (pageToken: string | undefined) => Promise<Page<T>>;

/**
 * A list that is fetched page by page: awaited it is one page, iterated it is everything.
 *
 * Nothing is fetched before it is awaited or iterated, and an iteration fetches a page only when
 * the one before is used up. Every iteration and every await begins at the first page.
 *
 * ```ts
 * const { items, nextPageToken } = await sessiond.sessions.list({ pageSize: 20 });
 * for await (const session of sessiond.sessions.list()) console.log(session.sessionId);
 * ```
 */
export class PageList<T> implements PromiseLike<Page<T>>, AsyncIterable<T> {
  readonly #fetch: FetchPage<T>;
  readonly #first: string | undefined;

  constructor(fetch: FetchPage<T>, firstPageToken?: string) {
    this.#fetch = fetch;
    this.#first = firstPageToken;
  }

  // biome-ignore lint/suspicious/noThenProperty: being awaitable is what this class is for.
  then<A = Page<T>, B = never>(
    onPage?: ((page: Page<T>) => A | PromiseLike<A>) | null,
    onError?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#fetch(this.#first).then(onPage, onError);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    let pageToken = this.#first;
    do {
      const page = await this.#fetch(pageToken);
      yield* page.items;
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined);
  }
}
