/** The handler that random.test.mjs runs: it does what its argument says. */
import { handler, type App } from "brrr";

/** A way to wait; `of` are the parts. */
export interface Wait {
  how: "call" | "fails" | "sleep" | "all" | "settled" | "race" | "any" | "some" | "by_hand" | "steps" | "background" | "limit" | "signal" | "then";
  i: number;
  ms: number;
  of: Wait[];
}

const pause = (ms: number) => new Promise<string>((resolve) => setTimeout(resolve, ms, "late"));

function wait(app: App, { how, i, ms, of }: Wait): Promise<unknown> {
  const call = (task: string, signal?: AbortSignal) => app.call<object, unknown>(task, { signal })({ i, ms });
  const parts = () => of.map((each) => wait(app, each));
  switch (how) {
    case "call":
      return call("nap");
    case "fails":
      return call("bad").catch(() => "failed");
    case "sleep":
      return pause(ms);
    case "all":
      return Promise.all(parts());
    case "settled":
      return Promise.allSettled(parts()).then((all) => all.map((each) => (each.status === "fulfilled" ? each.value : "failed")));
    case "race":
      return Promise.race(parts());
    case "any":
      return Promise.any(parts());
    case "some":
      return app.some(1, ...parts());
    case "by_hand":
      return new Promise((resolve, reject) => parts().forEach((each) => void each.then(resolve, reject)));
    case "steps":
      return (async () => {
        const values = [];
        for (const each of of) values.push(await wait(app, each));
        return values;
      })();
    case "background":
      return (async () => {
        const [first, ...others] = parts();
        const values = [];
        for (const each of others) values.push(await each);
        return [await first, ...values];
      })();
    case "limit":
      return Promise.race([wait(app, of[0]!), pause(ms)]);
    case "signal":
      return call("nap", AbortSignal.timeout(50)).catch(() => "late");
    case "then":
      return wait(app, of[0]!).then((value) => wait(app, of[1]!).then((other) => [value, other]));
  }
}

handler("waits", wait);
