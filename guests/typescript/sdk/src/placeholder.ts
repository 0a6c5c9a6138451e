/** promise-polyfill reads `setTimeout` while it loads (and never uses it, see promise.ts); QuickJS has none. */
(globalThis as { setTimeout?: unknown }).setTimeout ??= undefined;

export {};
