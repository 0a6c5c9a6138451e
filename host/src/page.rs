//! The files of the web page, which `scripts/ui.sh` builds into `ui/dist`. A binary that was built without them has no page.

use std::borrow::Cow;

use brrr_worker::gateway::Page;
use bytes::Bytes;
use rust_embed::RustEmbed;

// `build.rs` names the same folder.
#[derive(RustEmbed)]
#[folder = "ui/dist"]
#[exclude = ".gitignore"]
struct Dist;

/// The page.
pub fn files() -> Page {
    let file = |path: Cow<'static, str>| {
        let bytes = match Dist::get(&path)?.data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        Some((path.into_owned(), bytes))
    };
    Page::new(Dist::iter().filter_map(file))
}
