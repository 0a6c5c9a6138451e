/** What the files of browser tests have in common: one browser for each file, whose pages are closed after each test. */
import AxeBuilder from "axe-core";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll } from "vitest";
import { browse, type Host, open } from "./host.ts";

export const HOSTILE = `<script>document.title = "taken"</script><img src=x onerror="document.title='taken'">\u001b]0;taken\u0007\u001b[31mred\u202edesrever\u200b`;

export type Visit = (host: Host, path: string, options?: Parameters<typeof open>[2]) => Promise<{ page: Page; errors: string[] }>;

/** Opens views in the browser of this file. */
export function visitor(): Visit {
  let browser: Browser;
  const opened: Page[] = [];
  beforeAll(async () => void (browser = await browse()));
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((page) => page.context().close()));
  });
  afterAll(() => browser?.close());
  return async (host, path, options) => {
    const visited = await open(browser, `${host.url}/ui${path}`, options);
    opened.push(visited.page);
    return visited;
  };
}

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** What of the page some people can't read or use. */
export async function violations(page: Page, rules = RULES): Promise<string[]> {
  // The page's policy allows no other script, so it is put in by the browser's own protocol.
  if (await page.evaluate(() => !("axe" in globalThis))) await page.evaluate(AxeBuilder.source);
  return page.evaluate(async (runOnly) => {
    const { axe } = globalThis as unknown as { axe: typeof import("axe-core") };
    const { violations: found } = await axe.run(document, { runOnly });
    return found.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)} ${node.failureSummary ?? ""}`));
  }, rules);
}
