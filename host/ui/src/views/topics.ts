/** Reads something of each topic of the gateway. */
import { get, v1 } from "../api/http.ts";
import type { TopicList } from "../api/types.ts";

export async function ofTopics<Document>(part: string, signal: AbortSignal): Promise<{ readonly topic: string; readonly document: Document }[]> {
  const { topics } = await get<TopicList>("/v1/topics", { signal });
  return Promise.all(topics.map(async ({ topic }) => ({ topic, document: await get<Document>(v1("topics", topic, part), { signal }) })));
}
