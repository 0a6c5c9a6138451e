/** The TypeScript half of the demo: topic brrr-ts-demo. */
import { handler, type App } from "brrr";

interface Args {
  n: number;
  /** Makes calls distinct that would otherwise share one result. */
  salt?: string | null;
}

export const fib = handler("fib", async (app: App, { n, salt }: Args): Promise<number> => {
  if (n < 2) return n;
  const [a, b] = await Promise.all([app.call(fib)({ n: n - 2, salt }), app.call(fib)({ n: n - 1, salt })]);
  return a + b;
});

export const lucas = handler("lucas", async (app: App, { n, salt }: Args): Promise<number> => {
  if (n < 2) return 2 - n;
  const [a, b] = await Promise.all([app.call(lucas)({ n: n - 2, salt }), app.call(lucas)({ n: n - 1, salt })]);
  return a + b;
});
