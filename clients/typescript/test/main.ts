/** The core cases as a program for Deno and Bun: `main.js PLACE`, where PLACE is JSON. */
import { argv } from "node:process";
import type { Place } from "./core.ts";
import { report } from "./report.ts";

await report(JSON.parse(argv[2] ?? "") as Place, (outcome) => console.log(JSON.stringify(outcome)));
