/** What the page of the browser test loads: the client for browsers, as a global. */
import * as client from "@sessiond/client/web";

Object.assign(globalThis, { client });
