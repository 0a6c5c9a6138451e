#!/usr/bin/env node
/**
 * brrr-build APP.ts -o APP.wasm: type-checks a module of handlers, bundles it with the SDK, compiles it to a component.
 */
import { SDK } from "./bundle.mjs";
import { main } from "./cli.mjs";
import { typeCheck } from "./typecheck.mjs";

await main({ language: "TypeScript", extension: "ts", folder: SDK, typeCheck });
