//! Orders of a shop. `run.sh` sends them to a worker, changes them while an order waits, and sends them again.

use brrr::{App, Result};

const CURRENCY: &str = "francs";

/// Waits until somebody approves the order, and gives the bill.
#[brrr::handler(scope = "job")]
async fn order(app: App, item: String) -> Result<String> {
    let price = price(item.clone()).await?;
    app.promise::<bool>("approval").await?;
    Ok(format!("{item} for {price} {CURRENCY}"))
}

/// What an item costs.
#[brrr::handler]
fn price(item: String) -> usize {
    item.len() * 10
}

brrr::worker!(order, price);
