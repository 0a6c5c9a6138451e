import { defineConfig } from "vitest/config";

// `npm run dev` serves the page on its own, with the API of a gateway that runs: `brrr-host run --topic demo --http 8080 …`.
const gateway = process.env["BRRR_GATEWAY"] ?? "http://localhost:8080";

// A file that is no test: `pictures` makes those of the documentation, `first_view` measures.
const alone = process.env["UI_ALONE"];

export default defineConfig({
  base: "/ui/",
  build: {
    target: "es2022",
    // The folder has a file that git keeps. scripts/ui.sh removes the others.
    emptyOutDir: false,
    // The page has one script, and nothing is put into the document: its policy allows neither.
    modulePreload: false,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  server: { proxy: { "/v1": { target: gateway, changeOrigin: true, headers: { origin: gateway } } } },
  test: {
    include: alone ? [`test/${alone}.test.ts`] : ["test/unit/*.test.ts", "test/browser/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 20_000 } },
    // Each file of browser tests has workers and a browser of its own.
    maxWorkers: 2,
  },
});
