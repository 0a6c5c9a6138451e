import asyncio
import os

import brrr
import brrr.http


@brrr.handler_no_arg(leaf=True, timeout=60, max_retries=3)
async def sizes(urls):
    async def size(url):
        headers = {"authorization": f"Bearer {os.environ['API_TOKEN']}"}
        response = await brrr.http.get(url, headers=headers, timeout=10)
        response.raise_for_status()
        return len(response.content)

    return await asyncio.gather(*map(size, urls))  # all at once
