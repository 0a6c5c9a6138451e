import { handler, taskFn } from "brrr";

export const fib = handler("fib", async (app, { n, salt }) => {
  if (n < 2) return n;
  const [a, b] = await Promise.all([app.call(fib)({ n: n - 2, salt }), app.call(fib)({ n: n - 1, salt })]);
  return a + b;
});

// A handler that calls nobody needs no `app`.
export const hello = taskFn("hello", ({ greetee }) => {
  console.log(`Hello, ${greetee}!`); // appears on the worker's output
  return `Hello, ${greetee}!`;
});
