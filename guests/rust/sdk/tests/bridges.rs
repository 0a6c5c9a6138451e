//! What libraries log by the crates `log` and `tracing`.

use brrr::log::Level::{Error, Info, Warn};
use brrr::testing::{logged, run};
use brrr::{Call, Result};

#[brrr::handler]
fn speaks(n: u32) -> Result<u32> {
    log::info!("by log: {n}");
    log::info!(a = 1, b = "two"; "with fields");
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
        lines.iter().filter(|line| line.message.contains("handler")).map(|line| line.message.as_str()).collect();
    assert_eq!(own[..1], ["handler{n=2 shop=\"north\"}: begins"]);
    assert_eq!(own.last(), Some(&"handler{n=2 shop=\"north\"}: ends"));
    assert_eq!(lines.last().unwrap().fields, [("price".to_owned(), "2".to_owned())]);
}

#[test]
fn libraries_log_to_the_workers_output() {
    let call: Call<u32> = speaks(7);
    assert_eq!(run(TASKS, call), Ok(7));
    let lines = logged();
    let lines: Vec<_> = lines
        .iter()
        .map(|line| {
            let fields: Vec<_> = line.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            (line.level, line.message.as_str(), fields)
        })
        .collect();
    let wanted = [
        (Info, "by log: 7", vec![]),
        (Info, "with fields", vec![("a", "1"), ("b", "two")]),
        (Warn, "by tracing", vec![("n", "7"), ("text", "a b")]),
        (Info, "outer{n=7}: inner: nested", vec![]),
        (Error, "outer{n=7}", vec![("cause", "no luck")]),
        (Info, "by the SDK", vec![]),
    ];
    assert_eq!(lines, wanted);
}
