//! Surveys a web site: how many words are on each of its pages.
//!
//! What goes out into the world is in leaves, `links` and `words`: each is run once and its value remembered, and is tried
//! again by itself when the server has a bad moment. `survey` only says what is to be done; it is run again from its
//! beginning whenever something it waits for has come, so it sends no requests of its own.
//!
//! A page of yesterday is not today's page. So other jobs share what a leaf has read for 15 minutes at most (`scope`).

use brrr::{Error, Result, http, try_join_all};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Page {
    path: String,
    title: String,
    words: usize,
}

#[derive(Serialize, Deserialize)]
struct Survey {
    pages: Vec<Page>,
    words: usize,
}

/// The site at this URL, with all pages that its first one links to.
#[brrr::handler]
async fn survey(site: String) -> Result<Survey> {
    let paths = links(site.clone()).await?;
    // One batch: the pages are fetched side by side, by as many workers as there are.
    let mut pages = try_join_all(paths.into_iter().map(|path| words(site.clone(), path))).await?;
    pages.sort_by(|a, b| b.words.cmp(&a.words).then_with(|| a.path.cmp(&b.path)));
    Ok(Survey { words: pages.iter().map(|page| page.words).sum(), pages })
}

/// The paths that the first page links to.
#[brrr::handler(leaf, max_retries = 3, retry_delay = "1s", timeout = "30s", scope = "15m")]
async fn links(site: String) -> Result<Vec<String>> {
    let page = get(&site).await?;
    Ok(page.split("href=\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect())
}

/// One page.
#[brrr::handler(leaf, max_retries = 3, retry_delay = "1s", timeout = "30s", scope = "15m")]
async fn words(site: String, path: String) -> Result<Page> {
    let page = get(&format!("{}/{path}", site.trim_end_matches('/'))).await?;
    let title = page.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
    let title = title.map_or_else(|| path.clone(), |(title, _)| title.trim().to_owned());
    // What is between tags.
    let text: String =
        page.split('<').filter_map(|piece| Some(piece.split_once('>')?.1)).flat_map(|t| [t, " "]).collect();
    brrr::println!("{title}");
    Ok(Page { path, title, words: text.split_whitespace().count() })
}

async fn get(url: &str) -> Result<String> {
    let response = http::get(url).send().await?;
    // No further try finds a page that is not there; a server in trouble may recover.
    if (400..500).contains(&response.status) {
        return Err(Error::permanent(format!("{url}: status {}", response.status)));
    }
    Ok(response.error_for_status()?.text())
}

brrr::worker!(survey, links, words);
