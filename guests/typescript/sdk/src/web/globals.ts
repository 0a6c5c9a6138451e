/** What the bundler puts in place of the web's names (bin/bundle.mjs): a bundle without them has none of it. */
export { AbortController, AbortSignal } from "./abort.ts";
export { structuredClone } from "./clone.ts";
export { processEnv as __processEnv } from "./environment.ts";
export { CustomEvent, Event, EventTarget } from "./events.ts";
export { fetch } from "./fetch.ts";
export { Headers } from "./headers.ts";
export { Request } from "./request.ts";
export { Response } from "./response.ts";
export { URL, URLSearchParams } from "./url.ts";
