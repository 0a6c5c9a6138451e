//! Keys and records as items, and the size limits of items.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::ports::Key;
use bytes::Bytes;

use super::{BACKEND, DynamoDb};

pub(super) const PK: &str = "pk";
pub(super) const SK: &str = "sk";
pub(super) const VALUE: &str = "value";

/// The most bytes of a `pk`, of a `sk`, and of a whole item with the names of its attributes: the limits of DynamoDB.
const MAX_PK: usize = 2_048;
const MAX_SK: usize = 1_024;
const MAX_ITEM: usize = 400 << 10;

pub(super) type Item = HashMap<String, AttributeValue>;

/// An attribute that is a text.
pub(super) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

impl DynamoDb {
    /// The key in the format of DynamoDB.
    pub(super) fn key(&self, key: &Key) -> Result<Item> {
        let (pk, sk) = (format!("{}{}", self.prefix, key.id), key.kind.name());
        for (what, length, most) in [("id", pk.len(), MAX_PK), ("kind", sk.len(), MAX_SK)] {
            if length > most || length == 0 {
                let reason = format!("its {what} has {length} bytes; DynamoDB takes 1 to {most}");
                return Err(limit(key, reason));
            }
        }
        Ok(Item::from([(PK.to_owned(), s(pk)), (SK.to_owned(), s(sk))]))
    }

    /// The record as an item. The size is checked here, because the error of a transaction or a batch does not name the
    /// record.
    pub(super) fn item(&self, key: &Key, value: Bytes) -> Result<Item> {
        let mut item = self.key(key)?;
        let names = PK.len() + SK.len() + VALUE.len();
        let size = names + self.prefix.len() + key.id.len() + key.kind.name().len() + value.len();
        if size > MAX_ITEM {
            return Err(limit(key, format!("it has {size} bytes; an item of DynamoDB holds {MAX_ITEM}")));
        }
        item.insert(VALUE.to_owned(), blob(value));
        Ok(item)
    }

    /// The bytes of a record that was read.
    pub(super) fn value(&self, key: &Key, item: &Item) -> Result<Bytes> {
        match item.get(VALUE) {
            Some(AttributeValue::B(blob)) => Ok(Bytes::copy_from_slice(blob.as_ref())),
            _ => Err(Error::new(
                // The error is about this record only: the other records of the table may be valid.
                ErrorKind::Malformed,
                BACKEND,
                self.doing(&format!("read {} of {:?} in", key.kind.name(), key.id)),
                "its item has no binary attribute `value`; is this table another program's?",
            )),
        }
    }
}

pub(super) fn blob(value: Bytes) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

/// The text of an attribute.
pub(super) fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str)
}

fn limit(key: &Key, reason: String) -> Error {
    let id: String = key.id.chars().take(80).collect();
    Error::new(ErrorKind::Limit, BACKEND, format!("keep the record {} of {id:?}", key.kind.name()), reason)
}
