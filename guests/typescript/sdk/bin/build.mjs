#!/usr/bin/env node
/**
 * brrr-build APP.ts -o APP.wasm: type-checks a module of handlers, bundles it with the SDK, compiles it to a component.
 */
import { parseArgs } from "node:util";
import { mkdirSync, writeFileSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { bundle } from "./bundle.mjs";
import { componentize } from "./componentize.mjs";
import { typeCheck } from "./typecheck.mjs";

const USAGE = `Usage: brrr-build [options] APP.ts

Compiles the handlers of a TypeScript (or JavaScript) module to a WebAssembly component.

  -o, --output FILE   the component (default: APP.wasm beside the module)
      --no-check      don't type-check
      --wit DIR       where worker.wit is (default: the one that comes with the SDK)
  -h, --help          show this

Example: brrr-build app.ts -o app.wasm && brrr-host run --topic demo app.wasm
`;

function options() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        output: { type: "string", short: "o" },
        "no-check": { type: "boolean" },
        wit: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
    return { ...values, entries: positionals };
  } catch (error) {
    fail(`${error.message}\n\n${USAGE}`);
  }
}

function fail(message) {
  console.error(`brrr-build: ${message}`);
  process.exit(1);
}

const { entries, output, help, wit, "no-check": noCheck } = options();
if (help) {
  console.log(USAGE);
  process.exit(0);
}
if (entries.length !== 1) fail(`exactly one module is needed, got ${entries.length}\n\n${USAGE}`);
const entry = resolve(entries[0]);
const target = resolve(output ?? entry.replace(/\.[cm]?[jt]sx?$/, "") + ".wasm");

try {
  if (!noCheck) await typeCheck(entry);
  const component = await componentize(await bundle(entry), wit);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, component);
  console.error(`${basename(target)}: ${(component.length / 1e6).toFixed(1)} MB`);
} catch (error) {
  // What the compilers print is already for the reader; a stack of this script is not.
  fail(error.message);
}
