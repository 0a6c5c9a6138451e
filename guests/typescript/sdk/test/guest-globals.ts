/** The handlers that globals.test.mjs runs. */
import { handler, taskFn, type App } from "brrr";

const echo = (app: App, i: number) => app.call<{ i: number }, number>("echo")({ i });

async function* slowly<T>(...values: T[]) {
  for (const value of values) {
    await Promise.resolve();
    yield value;
  }
}

handler("from_async", async (app) => [
  await Array.fromAsync([1, Promise.resolve(2)]),
  await Array.fromAsync(slowly(3, 4), async (n) => n * 10),
  await Array.fromAsync({ length: 2, 0: "a", 1: Promise.resolve("b") }),
  await Array.fromAsync([echo(app, 5), echo(app, 6)]),
  await Array.fromAsync([Promise.reject(new Error("no"))]).catch((error: Error) => error.message),
]);

taskFn("disposes", async () => {
  const seen: unknown[] = [];
  const stack = new AsyncDisposableStack();
  stack.use({ [Symbol.asyncDispose]: async () => void seen.push("used") });
  stack.use({ [Symbol.dispose]: () => void seen.push("sync") });
  stack.use(null);
  stack.adopt("value", async (value) => void seen.push(value));
  stack.defer(async () => void seen.push("deferred"));
  const moved = stack.move();
  await stack.disposeAsync();
  seen.push(stack.disposed, moved.disposed);
  await moved.disposeAsync();
  const failing = new AsyncDisposableStack();
  failing.defer(() => Promise.reject(new Error("first")));
  failing.defer(() => Promise.reject(new Error("second")));
  seen.push(await failing.disposeAsync().catch((error) => [error.error.message, error.suppressed.message]));
  {
    await using held = { [Symbol.asyncDispose]: async () => void seen.push("using") };
    void held;
  }
  return seen;
});

taskFn("promises", async () => {
  class Own<T> extends Promise<T> {}
  const order: string[] = [];
  const later = (name: string) => Promise.resolve().then(() => order.push(name));
  await Promise.all([later("a"), later("b"), Promise.resolve(later("c"))]);
  const thenable = { then: (yes: (value: number) => void) => (yes(1), yes(2)) };
  const self: Promise<unknown> = new Promise((resolve) => queueMicrotask(() => resolve(self)));
  return {
    order: [...order],
    own: [Own.resolve(1).then((n) => n) instanceof Own, (await Own.all([Own.resolve(1), 2])).length],
    thenable: [await thenable, await Promise.all([thenable])],
    self: await self.catch((error: Error) => error.name),
    settled: (await Promise.allSettled([1, Promise.reject(2)])).map(({ status }) => status),
    any: await Promise.any([Promise.reject(1), Promise.resolve(2)]),
    none: await Promise.any([Promise.reject(1), Promise.reject(2)]).catch((error: AggregateError) => error.errors),
    race: await Promise.race([new Promise(() => {}), 3]),
    finally: [await Promise.resolve(4).finally(() => 5), await Promise.reject(6).finally(() => 7).catch((n: number) => n)],
    tried: await Promise.try((n: number) => n, 8),
    thrown: await new Promise(() => { throw 9; }).catch((n: number) => n),
    generator: await Promise.all(new Set([10])),
    tag: Object.prototype.toString.call(later("d")),
    keys: [...Object.keys(later("e")), ...Object.keys(Promise)],
    name: Promise.name,
  };
});

handler("intervals", async (app) => {
  const seen: unknown[] = [];
  const start = performance.now();
  await new Promise<void>((resolve) => {
    const id = setInterval((name: string) => {
      seen.push([name, performance.now() - start]);
      if (seen.length === 3) resolve(clearInterval(id));
    }, 10, "tick");
    setTimeout(() => seen.push("timeout"), 15);
  });
  await new Promise<void>((resolve) => setImmediate(resolve));
  clearImmediate(setImmediate(() => seen.push("never")));
  await app.sleepMs(1);
  return seen;
});
handler("immediate_beside_a_call", async (app) => {
  const order: string[] = [];
  await Promise.all([echo(app, 1).then(() => order.push("call")), new Promise<void>((resolve) => setImmediate(() => resolve(void order.push("immediate"))))]);
  return order;
});

taskFn("clones", () => {
  const shared = { n: 1 };
  const source: any = {
    list: [1, , 3], shared, again: shared, at: new Date(0), set: new Set([shared]), map: new Map([["k", shared]]),
    pattern: /a/gi, bytes: new Uint8Array([1, 2, 3]).subarray(1), error: new RangeError("no", { cause: shared }), big: 1n, gone: undefined,
  };
  source.self = source;
  const copy = structuredClone(source);
  const refused = [() => 1, Symbol("s"), Promise.resolve(), new WeakMap(), { deep: { f() {} } }].map((value) => {
    try {
      return structuredClone(value);
    } catch (error) {
      return (error as Error).name;
    }
  });
  return [
    copy !== source, copy.self === copy, copy.shared === copy.again, copy.shared !== shared, copy.set.has(copy.shared),
    copy.map.get("k") === copy.shared, copy.at.getTime(), String(copy.pattern), [...copy.bytes], copy.bytes.buffer.byteLength,
    copy.error instanceof RangeError, copy.error.message, copy.error.cause === copy.shared, copy.big === 1n, "gone" in copy, 1 in copy.list, refused,
  ];
});

taskFn("events", () => {
  const seen: unknown[] = [];
  const target = new EventTarget();
  const listener = (event: CustomEvent) => seen.push([event.type, event.detail, event.target === target, event.currentTarget === target]);
  target.addEventListener("x", listener);
  target.addEventListener("x", listener);
  target.addEventListener("x", { handleEvent: () => seen.push("object") }, { once: true });
  const controller = new AbortController();
  target.addEventListener("x", (event) => (event.preventDefault(), seen.push("signal")), { signal: controller.signal });
  seen.push(target.dispatchEvent(new CustomEvent("x", { detail: 1, cancelable: true })));
  controller.abort();
  target.removeEventListener("y", listener);
  seen.push(target.dispatchEvent(new CustomEvent("x", { detail: 2 })));
  target.removeEventListener("x", listener);
  target.addEventListener("x", (event) => event.stopImmediatePropagation());
  target.addEventListener("x", () => seen.push("never"));
  target.dispatchEvent(new Event("x"));
  class Own extends EventTarget {}
  seen.push(new Own() instanceof EventTarget, controller.signal instanceof EventTarget);
  return seen;
});
taskFn("a_listener_fails", () => {
  const target = new EventTarget();
  target.addEventListener("x", () => {
    throw new Error("in a listener");
  });
  target.dispatchEvent(new Event("x"));
  return "fine";
});

const ready = (async () => {
  await Promise.resolve();
  return "ready";
})();
taskFn("loaded", () => ready);

taskFn("texts", () => {
  const decode = (bytes: number[], label?: string, options?: object) => {
    try {
      return new TextDecoder(label, options).decode(Uint8Array.from(bytes));
    } catch (error) {
      return (error as Error).name;
    }
  };
  const stream = new TextDecoder();
  const pieces = [[0xef, 0xbb], [0xbf, 0xf0, 0x9f], [0x98], [0x80, 0x61, 0xc3]].map((bytes) => stream.decode(Uint8Array.from(bytes), { stream: true }));
  const target = new Uint8Array(4);
  return [
    decode([0x61, 0xff, 0x62]), decode([0xff], "utf8", { fatal: true }), decode([0xef, 0xbb, 0xbf, 0x61]),
    decode([0x61, 0, 0x3d, 0xd8, 0, 0xde], "UTF-16LE"), decode([0x80, 0xe9], "latin1"), decode([0x61], "shift_jis"),
    [...pieces, stream.decode()], new TextEncoder().encodeInto("aé😀", target), [...target],
  ];
});

taskFn("console", () => {
  console.log("%s is %d%%, %i, %o", "it", 1.5, 2.7, { a: 1 }, "more");
  console.log("100%", 1);
  console.group("group");
  console.warn("in\nit");
  console.groupEnd();
  console.assert(true, "no");
  console.assert(false, "yes");
  console.count();
  console.count();
  console.time("t");
  console.timeEnd("t");
  console.table([{ a: 1 }]);
  return null;
});

handler("of_the_engine_awaited", async () => {
  try {
    return await new Function("return (async () => 1)()")();
  } catch (error) {
    return (error as Error).message;
  }
});
handler("sleeps_for_ever", async (app) => {
  await app.sleepMs(Infinity);
  return "awake";
});
