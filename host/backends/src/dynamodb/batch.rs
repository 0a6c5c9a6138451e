//! Reads and writes many records at a time. If DynamoDB has no room or no throughput for all of a batch, it leaves some
//! of the records out. These are requested again.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, KeysAndAttributes, PutRequest, WriteRequest};
use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::ports::Key;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::items::{Item, PK, SK, text};
use super::{BACKEND, DynamoDb};
use crate::aws::{TRIES, caught, pause};

/// The most records that one request reads, and that one request writes: the limits of DynamoDB.
const MAX_READ: usize = 100;
const MAX_WRITE: usize = 25;

/// The most requests of one batch at the same time. A thousand children are ten reads or forty writes. With this limit,
/// one call does not use all connections.
pub(super) const AT_ONCE: usize = 8;

/// The key of a record: `pk` and `sk`.
type ItemKey = (String, String);

/// The part of an item that is read.
#[derive(Clone, Copy)]
enum Part {
    All,
    Key,
}

impl Part {
    fn expression(self) -> Option<String> {
        match self {
            Self::All => None,
            Self::Key => Some(format!("{PK}, {SK}")),
        }
    }
}

impl DynamoDb {
    pub(super) async fn read_many(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>> {
        let mut found = vec![None; keys.len()];
        let read = |n: usize, item: &Item| {
            found[n] = Some(self.value(&keys[n], item)?);
            Ok(())
        };
        self.visit(self.keys(keys)?, Part::All, read).await?;
        Ok(found)
    }

    pub(super) async fn look_for_many(&self, keys: &[Key]) -> Result<Vec<bool>> {
        let mut found = vec![false; keys.len()];
        let note = |n: usize, _: &Item| {
            found[n] = true;
            Ok(())
        };
        self.visit(self.keys(keys)?, Part::Key, note).await?;
        Ok(found)
    }

    /// The numbers in an attribute of items. `None`: there is no such item.
    pub(super) async fn count_many(&self, items: Vec<Item>, attribute: &str) -> Result<Vec<Option<u64>>> {
        let mut found = vec![None; items.len()];
        let count = |n: usize, item: &Item| {
            found[n] = item.get(attribute).and_then(|number| number.as_n().ok()?.parse().ok());
            Ok(())
        };
        self.visit(items, Part::All, count).await?;
        Ok(found)
    }

    fn keys(&self, keys: &[Key]) -> Result<Vec<Item>> {
        keys.iter().map(|key| self.key(key)).collect()
    }

    /// Calls `show` for each item that exists, with the index of its key in `keys`.
    async fn visit(
        &self,
        keys: Vec<Item>,
        part: Part,
        mut show: impl FnMut(usize, &Item) -> Result<()> + Send,
    ) -> Result<()> {
        // Each key is requested once, because DynamoDB refuses a batch that names a key twice.
        let mut indices: HashMap<ItemKey, Vec<usize>> = HashMap::with_capacity(keys.len());
        let mut wanted = Vec::with_capacity(keys.len());
        for (n, key) in keys.into_iter().enumerate() {
            let same = indices.entry(item_key(&key)).or_default();
            if same.is_empty() {
                wanted.push(key);
            }
            same.push(n);
        }
        let batches: Vec<Vec<Item>> = wanted.chunks(MAX_READ).map(<[Item]>::to_vec).collect();
        let requests = batches.into_iter().map(|batch| self.read_batch(batch, part));
        let items: Vec<Vec<Item>> = stream::iter(requests).buffer_unordered(AT_ONCE).try_collect().await?;
        for item in items.iter().flatten() {
            indices.get(&item_key(item)).into_iter().flatten().try_for_each(|n| show(*n, item))?;
        }
        Ok(())
    }

    async fn read_batch(&self, mut wanted: Vec<Item>, part: Part) -> Result<Vec<Item>> {
        let (mut found, mut tried) = (Vec::with_capacity(wanted.len()), 0);
        loop {
            let keys = KeysAndAttributes::builder()
                .set_keys(Some(wanted))
                .consistent_read(true)
                .set_projection_expression(part.expression())
                .build()
                .map_err(|e| self.faulty("read", &e))?;
            let answer = self
                .client
                .batch_get_item()
                .request_items(&self.table, keys)
                .send()
                .await
                .map_err(|e| self.failed("read from", e))?;
            let items = answer.responses.and_then(|mut tables| tables.remove(&self.table)).unwrap_or_default();
            let went_on = !items.is_empty();
            found.extend(items);
            let left = answer.unprocessed_keys.and_then(|mut tables| tables.remove(&self.table));
            wanted = left.map(|left| left.keys).unwrap_or_default();
            if wanted.is_empty() {
                return Ok(found);
            }
            // An answer holds at most 16 MB. If the answer is full, the rest is requested at once.
            tried = self.again(tried, went_on, "read from").await?;
        }
    }

    pub(super) async fn write_many(&self, records: &[(Key, Bytes)]) -> Result<()> {
        let mut items: HashMap<ItemKey, Item> = HashMap::with_capacity(records.len());
        for (key, value) in records {
            let item = self.item(key, value.clone())?;
            items.insert(item_key(&item), item);
        }
        let requests = items.into_values().map(|item| {
            let put = PutRequest::builder().set_item(Some(item)).build().map_err(|e| self.faulty("write to", &e))?;
            Ok(WriteRequest::builder().put_request(put).build())
        });
        self.write_requests(requests.collect::<Result<_>>()?).await
    }

    pub(super) async fn delete_many(&self, item_keys: Vec<Item>) -> Result<()> {
        // Each key is requested once, as above.
        let item_keys: HashMap<ItemKey, Item> = item_keys.into_iter().map(|item| (item_key(&item), item)).collect();
        let requests = item_keys.into_values().map(|item| {
            let delete = DeleteRequest::builder().set_key(Some(item)).build();
            let delete = delete.map_err(|e| self.faulty("remove from", &e))?;
            Ok(WriteRequest::builder().delete_request(delete).build())
        });
        self.write_requests(requests.collect::<Result<_>>()?).await
    }

    async fn write_requests(&self, requests: Vec<WriteRequest>) -> Result<()> {
        let batches: Vec<Vec<WriteRequest>> = requests.chunks(MAX_WRITE).map(<[WriteRequest]>::to_vec).collect();
        let writes = batches.into_iter().map(|batch| self.write_batch(batch));
        stream::iter(writes).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn write_batch(&self, mut wanted: Vec<WriteRequest>) -> Result<()> {
        let mut tried = 0;
        loop {
            let before = wanted.len();
            let sent = self.client.batch_write_item().request_items(&self.table, wanted).send().await;
            let answer = sent.map_err(|e| self.failed("write to", e))?;
            wanted = answer.unprocessed_items.and_then(|mut tables| tables.remove(&self.table)).unwrap_or_default();
            if wanted.is_empty() {
                return Ok(());
            }
            tried = self.again(tried, wanted.len() < before, "write to").await?;
        }
    }

    /// Pauses before the rest of a batch is requested again. Gives up after too many attempts in a row without
    /// progress.
    async fn again(&self, tried: u32, went_on: bool, what: &str) -> Result<u32> {
        if went_on {
            return Ok(0);
        }
        if tried + 1 >= TRIES {
            let reason = format!("its throughput is used up: {TRIES} times in a row it did nothing of a batch");
            return Err(Error::new(ErrorKind::Unavailable, BACKEND, self.doing(what), reason));
        }
        pause(tried).await;
        Ok(tried + 1)
    }

    pub(super) fn faulty(&self, what: &str, error: &dyn std::fmt::Display) -> Error {
        Error::new(ErrorKind::Internal, BACKEND, self.doing(what), error.to_string())
    }

    /// Translates the error of a request. If the table does not exist, the error says what to do.
    pub(super) fn failed<E>(
        &self,
        what: &str,
        error: aws_sdk_dynamodb::error::SdkError<E, aws_sdk_dynamodb::config::http::HttpResponse>,
    ) -> Error
    where
        E: aws_sdk_dynamodb::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let error = caught(BACKEND, self.doing(what), error);
        if error.kind == ErrorKind::NotSetUp { self.not_set_up(what) } else { error }
    }
}

fn item_key(item: &HashMap<String, AttributeValue>) -> ItemKey {
    let part = |name| text(item, name).unwrap_or_default().to_owned();
    (part(PK), part(SK))
}
