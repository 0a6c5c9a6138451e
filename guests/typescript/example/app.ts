import { handler, taskFn, type App } from "brrr";

export const fib = handler("fib", async (app: App, { n, salt }: { n: number; salt?: string | null }): Promise<number> => {
  if (n < 2) return n;
  const [a, b] = await Promise.all([app.call(fib)({ n: n - 2, salt }), app.call(fib)({ n: n - 1, salt })]);
  return a + b;
});

// A handler that calls nobody needs no `app`.
export const hello = taskFn("hello", ({ greetee }: { greetee: string }) => {
  console.log(`Hello, ${greetee}!`); // appears on the worker's output
  return `Hello, ${greetee}!`;
});
