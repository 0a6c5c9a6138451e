/** Tries handlers in Node: the TypeScript SDK has it. */
export { after, load, TaskFailed } from "../../typescript/sdk/testing.mjs";
