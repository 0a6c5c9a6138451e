//! The ports on a DynamoDB table.

use async_trait::async_trait;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure as Return};
use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::model::Millis;
use brrr_protocol::ports::{Counters, JobPage, JobQuery, Key, Kind, Page, Store, Swap};
use bytes::Bytes;

use super::items::{Item, PK, SK, VALUE, blob, text};
use super::jobs::LATE;
use super::retry::Attempts;
use super::transaction::Written;
use super::{BACKEND, DynamoDb};
use crate::aws::{TRIES, pause};

/// The name of a counter's attribute, and its `sk`.
const COUNT: &str = "count";

#[async_trait]
impl Store for DynamoDb {
    fn now(&self) -> Millis {
        self.clock.now()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let request =
            self.client.get_item().table_name(&self.table).set_key(Some(self.key(key)?)).consistent_read(true);
        let answer = request.send().await.map_err(|e| self.failed("read from", e))?;
        answer.item.map(|item| self.value(key, &item)).transpose()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>> {
        match keys {
            [] => Ok(Vec::new()),
            [key] => Ok(vec![self.get(key).await?]),
            _ => self.read_many(keys).await,
        }
    }

    async fn get_some(&self, keys: &[Key], _: usize) -> Result<Vec<Option<Bytes>>> {
        // An item has at most 400 KB, so these items have at most 200 MB.
        self.get_many(&keys[..keys.len().min(512)]).await
    }

    async fn has_many(&self, keys: &[Key]) -> Result<Vec<bool>> {
        self.look_for_many(keys).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        if key.kind == Kind::Job {
            return self.put_job(key, value).await;
        }
        if key.kind.is_listed() {
            return self.put_with_id(key, &value).await;
        }
        let item = self.item(key, value)?;
        for tried in 0..TRIES {
            let request = self.client.put_item().table_name(&self.table).set_item(Some(item.clone()));
            match request.send().await {
                Ok(_) => return Ok(()),
                Err(error) if error.as_service_error().is_some_and(PutItemError::is_transaction_conflict_exception) => {
                    pause(tried).await;
                }
                Err(error) => return Err(self.failed("write to", error)),
            }
        }
        Err(self.contended())
    }

    async fn put_many(&self, records: &[(Key, Bytes)]) -> Result<()> {
        match records {
            [] => Ok(()),
            [(key, value)] => self.put(key, value.clone()).await,
            _ if records.iter().any(|(key, _)| is_indexed(&key.kind)) => self.put_each(records).await,
            _ => self.write_many(records).await,
        }
    }

    async fn swap(&self, key: &Key, expected: Option<&Bytes>, new: Option<Bytes>) -> Result<Swap> {
        if expected.is_none() && new.is_none() {
            let found = self.get(key).await?;
            return Ok(if found.is_none() { Swap::Done } else { Swap::Mismatch(found) });
        }
        for tried in 0..TRIES {
            let attempts = Attempts::default();
            let written = match &new {
                _ if key.kind == Kind::Job => self.swap_job(key, expected, new.as_ref()).await?,
                _ if key.kind.is_listed() && (expected.is_none() || new.is_none()) => {
                    self.swap_with_id(key, expected, new.as_ref()).await?
                }
                Some(new) => self.put_item(key, expected, new, &attempts).await?,
                None => self.delete_item(key, expected, &attempts).await?,
            };
            match written {
                Written::Done => return Ok(Swap::Done),
                Written::Refused(found) => {
                    let found = found.map(|item| self.value(key, &item)).transpose()?;
                    // The answer to the first attempt was lost, and the second attempt found the value that the first
                    // one had written. (Or another worker has just written the same value, which has the same result.)
                    let by_us = attempts.several() && found == new;
                    return Ok(if by_us { Swap::Done } else { Swap::Mismatch(found) });
                }
                Written::Conflict => pause(tried).await,
            }
        }
        Err(self.contended())
    }

    async fn put_if(&self, key: &Key, value: Bytes, absent: &Key) -> Result<bool> {
        if key == absent {
            return Ok(self.swap(key, None, Some(value)).await? == Swap::Done);
        }
        debug_assert!(key.kind != Kind::Job, "`put_if` does not index jobs");
        let absent = self.key(absent)?;
        for tried in 0..TRIES {
            match self.put_if_both_absent(key, &value, &absent).await? {
                Written::Done => return Ok(true),
                Written::Refused(_) => return Ok(false),
                Written::Conflict => pause(tried).await,
            }
        }
        Err(self.contended())
    }

    async fn remove_many(&self, keys: &[Key]) -> Result<()> {
        let jobs: Vec<Key> = keys.iter().filter(|key| key.kind == Kind::Job).cloned().collect();
        let records = self.get_many(&jobs).await?;
        let (listed, others): (Vec<&Key>, Vec<&Key>) = keys.iter().partition(|key| key.kind.is_listed());
        let item_keys = others.into_iter().map(|key| self.key(key)).collect::<Result<Vec<_>>>()?;
        self.delete_many(item_keys).await?;
        self.remove_with_ids(listed).await?;
        // The records come first: an entry without a record is removed by the reader that finds it.
        let entries = jobs.iter().zip(records).filter_map(|(key, record)| Some(self.entry_key(key, &record?)));
        self.delete_many(entries.collect()).await
    }

    async fn jobs(&self, query: &JobQuery) -> Result<JobPage> {
        self.page_of_jobs(query).await
    }

    /// Jobs are in the order of the times that their clients wrote. A client that stands still before it writes is late.
    fn jobs_come_late_by(&self) -> Millis {
        LATE
    }

    /// Peers know no namespaces.
    fn may_have_peers(&self) -> bool {
        self.prefix.is_empty()
    }

    /// For kinds without an index, returns the ids of one page of a scan, whatever `limit` is. DynamoDB reads 1 MiB of the table
    /// for each page.
    async fn list(&self, kind: &Kind, cursor: Option<&str>, limit: usize) -> Result<Page> {
        if kind.is_listed() {
            return self.page_of_ids(kind, cursor, limit).await;
        }
        let start = cursor.map(cursor_key).transpose()?;
        let request = self
            .client
            .scan()
            .table_name(&self.table)
            .filter_expression("sk = :kind AND begins_with(pk, :prefix)")
            .projection_expression(PK)
            .expression_attribute_values(":kind", AttributeValue::S(kind.name().into_owned()))
            .expression_attribute_values(":prefix", AttributeValue::S(self.prefix.clone()))
            .consistent_read(true)
            .set_exclusive_start_key(start);
        let answer = request.send().await.map_err(|e| self.failed("look through", e))?;
        let next = answer.last_evaluated_key().and_then(cursor_of);
        let id = |item: &Item| text(item, PK).and_then(|pk| pk.strip_prefix(&*self.prefix)).map(str::to_owned);
        Ok(Page { ids: answer.items().iter().filter_map(id).collect(), next })
    }

    async fn create(&self) -> Result<Vec<String>> {
        self.create_table().await.map(|line| vec![line])
    }
}

#[async_trait]
impl Counters for DynamoDb {
    async fn incr(&self, key: &str, by: u64) -> Result<u64> {
        // If an answer is lost, this counts twice. That is acceptable: counters are limits, not accounts.
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(self.counter(key)))
            .update_expression("ADD #count :by")
            .expression_attribute_names("#count", COUNT)
            .expression_attribute_values(":by", AttributeValue::N(by.to_string()))
            .return_values(ReturnValue::UpdatedNew);
        let answer = request.send().await.map_err(|e| self.failed("count in", e))?;
        let sum = answer.attributes.as_ref().and_then(|item| item.get(COUNT)).and_then(|n| n.as_n().ok());
        sum.and_then(|n| n.parse().ok()).ok_or_else(|| self.faulty("count in", &"the answer has no sum"))
    }

    async fn read_many(&self, keys: &[String]) -> Result<Vec<Option<u64>>> {
        self.count_many(keys.iter().map(|key| self.counter(key)).collect(), COUNT).await
    }

    async fn forget(&self, keys: &[String]) -> Result<()> {
        self.delete_many(keys.iter().map(|key| self.counter(key)).collect()).await
    }
}

/// Has each record of this kind an entry in an index?
fn is_indexed(kind: &Kind) -> bool {
    *kind == Kind::Job || kind.is_listed()
}

/// The position of a scan, as text: both parts of the key, preceded by the length of the first part.
fn cursor_of(key: &Item) -> Option<String> {
    let (pk, sk) = (text(key, PK)?, text(key, SK)?);
    Some(format!("{}:{pk}{sk}", pk.len()))
}

/// The inverse of `cursor_of`.
fn cursor_key(cursor: &str) -> Result<Item> {
    let parts = || {
        let (length, rest) = cursor.split_once(':')?;
        rest.split_at_checked(length.parse().ok()?)
    };
    let (pk, sk) = parts().ok_or_else(|| {
        Error::new(ErrorKind::Internal, BACKEND, "list records", format!("{cursor:?} is no cursor of this store"))
    })?;
    Ok(Item::from([
        (PK.to_owned(), AttributeValue::S(pk.to_owned())),
        (SK.to_owned(), AttributeValue::S(sk.to_owned())),
    ]))
}

impl DynamoDb {
    fn counter(&self, name: &str) -> Item {
        let pk = AttributeValue::S(format!("{}{name}", self.prefix));
        Item::from([(PK.to_owned(), pk), (SK.to_owned(), AttributeValue::S(COUNT.to_owned()))])
    }

    async fn put_item(&self, key: &Key, expected: Option<&Bytes>, new: &Bytes, attempts: &Attempts) -> Result<Written> {
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(self.item(key, new.clone())?))
            .return_values_on_condition_check_failure(Return::AllOld);
        let request = match expected {
            None => request.condition_expression("attribute_not_exists(pk)"),
            Some(bytes) => request
                .condition_expression("#value = :expected")
                .expression_attribute_names("#value", VALUE)
                .expression_attribute_values(":expected", blob(bytes.clone())),
        };
        let sent = request.customize().interceptor(attempts.clone()).send().await;
        sent.map_or_else(|error| self.refused(error, put_refused), |_| Ok(Written::Done))
    }

    async fn delete_item(&self, key: &Key, expected: Option<&Bytes>, attempts: &Attempts) -> Result<Written> {
        let expected = expected.cloned().unwrap_or_default();
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(self.key(key)?))
            .condition_expression("#value = :expected")
            .expression_attribute_names("#value", VALUE)
            .expression_attribute_values(":expected", blob(expected))
            .return_values_on_condition_check_failure(Return::AllOld);
        let sent = request.customize().interceptor(attempts.clone()).send().await;
        sent.map_or_else(|error| self.refused(error, delete_refused), |_| Ok(Written::Done))
    }

    fn refused<E>(
        &self,
        error: SdkError<E, aws_sdk_dynamodb::config::http::HttpResponse>,
        understand: impl Fn(&E) -> Option<Written>,
    ) -> Result<Written>
    where
        E: aws_sdk_dynamodb::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let understood = error.as_service_error().and_then(understand);
        understood.ok_or_else(|| self.failed("write to", error))
    }

    pub(super) fn contended(&self) -> Error {
        let reason = format!("others wrote the same record each of {TRIES} times");
        Error::new(ErrorKind::Unavailable, BACKEND, self.doing("write to"), reason)
    }
}

fn put_refused(error: &PutItemError) -> Option<Written> {
    match error {
        PutItemError::ConditionalCheckFailedException(refused) => Some(Written::Refused(refused.item.clone())),
        PutItemError::TransactionConflictException(_) => Some(Written::Conflict),
        _ => None,
    }
}

fn delete_refused(error: &DeleteItemError) -> Option<Written> {
    match error {
        DeleteItemError::ConditionalCheckFailedException(refused) => Some(Written::Refused(refused.item.clone())),
        DeleteItemError::TransactionConflictException(_) => Some(Written::Conflict),
        _ => None,
    }
}
