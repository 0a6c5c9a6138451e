import { env, taskFn } from "brrr";

export const sizes = taskFn(
  "sizes",
  ({ urls }: { urls: string[] }) => {
    const size = async (url: string) => {
      const headers = { authorization: `Bearer ${env("API_TOKEN")}` };
      const response = await fetch(url, { headers, signal: AbortSignal.timeout(10_000) });
      if (!response.ok) throw new Error(`status ${response.status}`);
      return (await response.arrayBuffer()).byteLength;
    };
    return Promise.all(urls.map(size)); // all at once
  },
  { leaf: true, timeout: "1m", maxRetries: 3 },
);
