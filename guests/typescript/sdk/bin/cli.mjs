/** The command line of brrr-build, for TypeScript and JavaScript. */
import { parseArgs } from "node:util";
import { mkdirSync, writeFileSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { bundle } from "./bundle.mjs";
import { componentize } from "./componentize.mjs";
import { loadFailure } from "./explain.mjs";

/** A language that the SDK in `folder` is for; without `typeCheck` there are no types to check. */
const usage = ({ language, extension, typeCheck }) => `Usage: brrr-build [options] APP.${extension}

Compiles the handlers of a ${language} module to a WebAssembly component.

  -o, --output FILE   the component (default: APP.wasm beside the module)
${typeCheck ? "      --no-check      don't type-check\n" : ""}      --wit DIR       where worker.wit is (default: the one that comes with the SDK)
  -h, --help          show this

Example: brrr-build app.${extension} -o app.wasm && brrr-host run --topic demo app.wasm
`;

function options(language) {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        output: { type: "string", short: "o" },
        ...(language.typeCheck && { "no-check": { type: "boolean" } }),
        wit: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
    return { ...values, entries: positionals };
  } catch (error) {
    fail(`${error.message}\n\n${usage(language)}`);
  }
}

function fail(message) {
  console.error(`brrr-build: ${message}`);
  process.exit(1);
}

/** The command `brrr-build` of one language. */
export async function main(language) {
  const { entries, output, help, wit, "no-check": noCheck } = options(language);
  if (help) {
    console.log(usage(language));
    return;
  }
  if (entries.length !== 1) fail(`exactly one module is needed, got ${entries.length}\n\n${usage(language)}`);
  const entry = resolve(entries[0]);
  if (!language.typeCheck && /\.[cm]?tsx?$/.test(entry)) {
    fail(`${basename(entry)} is TypeScript: build it with guests/typescript/sdk, which checks its types`);
  }
  const target = resolve(output ?? entry.replace(/\.[cm]?[jt]sx?$/, "") + ".wasm");

  try {
    if (language.typeCheck && !noCheck) await language.typeCheck(entry);
    const { source, imports, locate } = await bundle(entry, {}, language.folder);
    const component = await componentize(source, imports, wit).catch((error) => {
      throw new Error(loadFailure(basename(entry), error.message, locate));
    });
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, component);
    console.error(`${basename(target)}: ${(component.length / 1e6).toFixed(1)} MB`);
  } catch (error) {
    // What the compilers print is already for the reader; a stack of this script is not.
    fail(error.message);
  }
}
