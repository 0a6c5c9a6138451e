//! A shop, whose jobs the tests and the pictures of the web page show: `scripts/test/ui.sh`, `scripts/ui_pictures.sh`.

use brrr::{App, Error, Result, try_join, try_join_all};

/// Takes an order: reserves its items, charges the card, packs each item, and ships them.
#[brrr::handler(input_schema = r#"{
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": 1, "title": "Order number"},
        "items": {"type": "integer", "minimum": 0, "maximum": 1000, "default": 3, "title": "Number of items"},
        "card": {"type": "string", "enum": ["visa", "mastercard", "expired"], "default": "visa", "title": "Card"}
    },
    "required": ["id"],
    "additionalProperties": false
}"#)]
async fn order(id: u64, #[serde(default)] items: u64, #[serde(default)] card: Option<String>) -> Result<String> {
    let card = card.unwrap_or_else(|| "visa".to_owned());
    try_join!(reserve_stock(id, items), charge_card(id, card))?;
    try_join_all((0..items).map(|item| pack_item(id, item))).await?;
    ship(id).await.map_err(Error::from)
}

#[brrr::handler]
fn reserve_stock(id: u64, items: u64) -> u64 {
    brrr::log::info!(order = id; "reserved {items} items");
    items
}

#[brrr::handler]
async fn charge_card(id: u64, card: String) -> Result<u64> {
    Ok(ask_bank(id, card).await?)
}

/// Stands for a service that refuses.
#[brrr::handler]
fn ask_bank(id: u64, card: String) -> Result<u64> {
    brrr::log::info!(order = id; "asking the bank for {card}");
    if card == "expired" {
        return Err(Error::permanent("the card has expired").details(&["2024-05"]));
    }
    Ok(id * 100)
}

#[brrr::handler]
fn pack_item(id: u64, item: u64) -> String {
    format!("{id}/{item}")
}

#[brrr::handler]
fn ship(id: u64) -> String {
    format!("parcel-{id}")
}

/// Asks a person whether a refund may be paid.
#[brrr::handler(
    scope = "job",
    input_schema = r#"{
    "type": "object",
    "properties": {"order": {"type": "integer"}},
    "required": ["order"],
    "x-promises": {
        "approval": {
            "type": "object",
            "title": "Approval of the refund",
            "properties": {
                "approved": {"type": "boolean", "title": "Approved"},
                "by": {"type": "string", "minLength": 1, "title": "Your name"},
                "amount": {"type": "number", "minimum": 0, "title": "Amount", "description": "In francs"},
                "reason": {"type": "string", "enum": ["damaged", "late", "wrong item"], "title": "Reason"}
            },
            "required": ["approved", "by"]
        }
    }
}"#
)]
async fn refund(app: App, order: u64) -> Result<serde_json::Value> {
    let approval: serde_json::Value = app.promise("approval").await?;
    Ok(serde_json::json!({"order": order, "approval": approval}))
}

/// Waits for a promise without a schema.
#[brrr::handler(scope = "job")]
async fn question(app: App, name: String) -> Result<serde_json::Value> {
    Ok(app.promise(name).await?)
}

/// Is n calls together with its own, in batches of a thousand.
#[brrr::handler(scope = "job")]
async fn import(n: u64) -> Result<u64> {
    let rows = n.saturating_sub(1);
    let batches = (0..rows.div_ceil(1000)).map(|batch| import_batch(batch, 999.min(rows - batch * 1000 - 1)));
    Ok(try_join_all(batches).await?.into_iter().sum::<u64>() + 1)
}

#[brrr::handler(scope = "job")]
async fn import_batch(batch: u64, rows: u64) -> Result<u64> {
    Ok(try_join_all((0..rows).map(|row| import_row(batch, row))).await?.len() as u64 + 1)
}

#[brrr::handler(scope = "job")]
fn import_row(batch: u64, row: u64) -> u64 {
    batch * 1000 + row
}

/// Fails, and is tried again.
#[brrr::handler(scope = "job", max_retries = 2, retry_delay = "100ms", backoff = "fixed")]
fn flaky(app: App) -> Result<String> {
    brrr::log::warn!("attempt {}", app.attempt);
    Err(Error::retryable(format!("no answer, attempt {}", app.attempt)))
}

/// Waits for a call that takes a while.
#[brrr::handler(scope = "job")]
async fn report(seconds: f64) -> Result<u64> {
    let parts = try_join_all((0..3).map(|part| count_orders(part, seconds))).await?;
    Ok(parts.into_iter().sum())
}

#[brrr::handler(scope = "job", leaf)]
async fn count_orders(part: u64, seconds: f64) -> u64 {
    brrr::sleep(std::time::Duration::from_secs_f64(seconds * (part + 1) as f64)).await;
    part
}

/// Gives its text, so often.
#[brrr::handler]
fn echo(text: String, #[serde(default)] times: u64) -> String {
    text.repeat(times.max(1) as usize)
}

brrr::worker!(
    order,
    reserve_stock,
    charge_card,
    ask_bank,
    pack_item,
    ship,
    refund,
    question,
    import,
    import_batch,
    import_row,
    flaky,
    report,
    count_orders,
    echo
);
