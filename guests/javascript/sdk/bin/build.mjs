#!/usr/bin/env node
/**
 * brrr-build APP.js -o APP.wasm: bundles a module of handlers with the SDK and compiles it to a component.
 *
 * Runtime, bundler and componentizer are those of the TypeScript SDK; only its type checker is left out.
 */
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { main } from "../../../typescript/sdk/bin/cli.mjs";

await main({ language: "JavaScript", extension: "js", folder: resolve(fileURLToPath(import.meta.url), "../..") });
