//! The values of a label. Their number is bounded: components and callers choose the names of tasks, and each new value costs
//! memory here and in the system that stores the metrics.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use opentelemetry::{Key, KeyValue, StringValue};

/// The most values of one label. Further values count as `OTHER`.
const MOST: usize = 200;
/// The most bytes of a value.
const LONGEST: usize = 100;
const OTHER: &str = "(other)";

pub(super) struct Labels {
    key: Key,
    known: RwLock<HashMap<String, KeyValue>>,
}

impl Labels {
    pub fn new(key: &'static str) -> Self {
        Self { key: Key::from_static_str(key), known: RwLock::default() }
    }

    /// The label of a task or topic.
    pub fn label(&self, name: &str) -> KeyValue {
        // A component that is called by its digest has the same tasks in every version.
        let name = name.split_once("@sha256:").map_or(name, |(task, _)| task);
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return known.clone();
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            return KeyValue::new(self.key.clone(), OTHER);
        }
        let value = StringValue::from(std::sync::Arc::<str>::from(&name[..name.floor_char_boundary(LONGEST)]));
        known.entry(name.to_owned()).or_insert_with(|| KeyValue::new(self.key.clone(), value)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_a_bounded_number_of_short_values() {
        let labels = Labels::new("task");
        let value = |name: &str| labels.label(name).value.as_str().into_owned();
        assert_eq!(value("hello"), "hello");
        assert_eq!(value("hello@sha256:00ff"), "hello");
        assert_eq!(value(&"é".repeat(80)), "é".repeat(50));
        for n in 0..MOST {
            value(&format!("invented-{n}"));
        }
        assert_eq!(value("one more"), OTHER);
        assert_eq!(value("hello"), "hello");
    }
}
