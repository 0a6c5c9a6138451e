//! What libraries log by the crates `log` and `tracing`.

use brrr::log::Level::{Error, Info, Warn};
use brrr::testing::{logged, run};
use brrr::{Call, Result};

#[brrr::handler]
fn speaks(n: u32) -> Result<u32> {
    log::info!("by log: {n}");
    log::debug!("left out");
    tracing::warn!(n, text = "a b", "by tracing");
    tracing::debug!("left out");
    let outer = tracing::info_span!("outer", n).entered();
    {
        let _inner = tracing::info_span!("inner").entered();
        tracing::info!("nested");
    }
    let cause: Box<dyn std::error::Error> = Box::new(std::io::Error::other("no luck"));
    tracing::error!(cause);
    drop(outer);
    brrr::println!("by the SDK");
    Ok(n)
}

/// Attributes are those of the handler, also of an asynchronous one.
#[brrr::handler]
#[tracing::instrument(fields(shop = "north"))]
async fn sells(n: u32) -> Result<u32> {
    tracing::info!("begins");
    let price = speaks(n).await?;
    tracing::info!(price, "ends");
    Ok(price)
}

brrr::worker!(speaks, sells);

#[test]
fn a_handler_has_its_span() {
    assert_eq!(run(TASKS, sells(2)), Ok(2));
    let lines = logged();
    let own: Vec<_> =
        lines.iter().filter(|(_, text)| text.contains("handler")).map(|(_, text)| text.as_str()).collect();
    assert_eq!(own[..1], ["handler{n=2 shop=\"north\"}: begins"]);
    assert_eq!(own.last(), Some(&"handler{n=2 shop=\"north\"}: ends price=2"));
}

#[test]
fn libraries_log_to_the_workers_output() {
    let call: Call<u32> = speaks(7);
    assert_eq!(run(TASKS, call), Ok(7));
    let lines = logged();
    let lines: Vec<_> = lines.iter().map(|(level, text)| (*level, text.as_str())).collect();
    let wanted = [
        (Info, "by log: 7"),
        (Warn, "by tracing n=7 text=\"a b\""),
        (Info, "outer{n=7}: inner: nested"),
        (Error, "outer{n=7}: cause=no luck"),
        (Info, "by the SDK"),
    ];
    assert_eq!(lines, wanted);
}
