//! The record `deployments`, by topic: the revisions of the topic's code.

use bytes::Bytes;

use super::{
    VERSION, blob, int, items, list, optional_bytes, optional_text, small, string, unknown_entries, unsigned,
    versioned, write_dict,
};
use crate::bencode::Value;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::model::Millis;
use crate::shipping::{MOST_COMPONENTS, MOST_DEPLOYMENTS_BYTES, MOST_REVISIONS};
use crate::wire::{entry, text, wrong_type};

/// The record `deployments` of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeploymentsRecord {
    /// The revisions that are there, in the order of their numbers.
    pub revisions: Vec<Revision>,
    /// Revisions that were removed, in the order of their numbers. They say which jobs had them.
    pub gone: Vec<Gone>,
    /// The highest number that a revision has ever had. 0: there was none.
    pub last: u64,
    /// The time of the latest change of what takes jobs, in milliseconds since the Unix epoch. It never goes back.
    pub changed: Millis,
    /// How many of the newest revisions stay even if no job needs them. 0: as many as usual (`shipping::KEEP`).
    pub keep: u32,
    /// Each call is run by the newest revision, whenever its job was created.
    pub follow_newest: bool,
    /// When something of a component that was there was sent again: chunks, or another signature. Workers that could not load a
    /// revision try again. 0: never.
    pub resent: Millis,
    /// Entries that a later version wrote. They are kept as they are: key, bencoded value.
    pub extra: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A revision: the components that are the code of a topic from some time on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    /// Its number, from 1. No other revision of the topic ever has this number.
    pub number: u64,
    /// Which part of the jobs it takes, and since when. There is at least one step, and the times ascend.
    pub steps: Vec<Step>,
    /// Its components.
    pub components: Vec<DeployedComponent>,
    /// What the person who pushed it says of it.
    pub note: String,
    /// Who pushed it, as that person says.
    pub by: String,
    /// The revision whose components were taken over by a rollback. 0: none.
    pub restores: u64,
    /// Entries that a later version wrote.
    pub extra: Vec<(Vec<u8>, Vec<u8>)>,
}

/// From some time on, a revision takes a part of the jobs that are created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The time of creation of the first jobs that it concerns, in milliseconds since the Unix epoch.
    pub from: Millis,
    /// The part of the jobs, in percent.
    pub weight: u8,
}

/// A component of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployedComponent {
    /// Its digest.
    pub digest: Digest,
    /// Its name, for people.
    pub name: String,
}

/// A revision that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Its number.
    pub number: u64,
    /// Which part of the jobs it took, and since when.
    pub steps: Vec<Step>,
}

impl Revision {
    /// When the revision came into force, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn from(&self) -> Millis {
        self.steps.first().map_or(0, |step| step.from)
    }

    /// The part of new jobs that it takes, in percent.
    #[must_use]
    pub fn weight(&self) -> u8 {
        self.steps.last().map_or(0, |step| step.weight)
    }
}

const DEPLOYMENTS: &str = "a deployments record";
const RECORD_KEYS: [&str; 8] = ["changed", "follow", "gone", "keep", "last", "resent", "revisions", "v"];
const KEYS: [&str; 6] = ["by", "components", "note", "number", "restores", "steps"];

impl DeploymentsRecord {
    /// The record in bencode.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let revisions = list(self.revisions.iter().map(Revision::encode));
        let mut fields: Vec<(&[u8], Vec<u8>)> = vec![
            (b"changed", int(self.changed)),
            (b"last", int(self.last)),
            (b"revisions", revisions),
            (b"v", int(VERSION as u64)),
        ];
        if self.follow_newest {
            fields.push((b"follow", int(1)));
        }
        if !self.gone.is_empty() {
            fields.push((b"gone", list(self.gone.iter().map(Gone::encode))));
        }
        if self.keep > 0 {
            fields.push((b"keep", int(u64::from(self.keep))));
        }
        if self.resent > 0 {
            fields.push((b"resent", int(self.resent)));
        }
        fields.extend(self.extra.iter().map(|(k, v)| (k.as_slice(), v.clone())));
        write_dict(fields)
    }

    /// Decodes the record `deployments`.
    ///
    /// # Errors
    /// `Malformed`, with what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let what = DEPLOYMENTS;
        if bytes.len() > MOST_DEPLOYMENTS_BYTES {
            let (bytes, most) = (bytes.len(), MOST_DEPLOYMENTS_BYTES);
            return Err(Error::malformed(what, format!("it has {bytes} bytes; at most {most} are allowed")));
        }
        let value = versioned(what, bytes)?;
        let record = Self {
            revisions: items(what, &value, "revisions")?.iter().map(Revision::decode).collect::<Result<_>>()?,
            gone: items(what, &value, "gone")?.iter().map(Gone::decode).collect::<Result<_>>()?,
            last: unsigned(what, &value, "last")?,
            changed: unsigned(what, &value, "changed")?,
            keep: small(what, &value, "keep")?,
            follow_newest: unsigned(what, &value, "follow")? > 0,
            resent: unsigned(what, &value, "resent")?,
            extra: unknown_entries(&value, &RECORD_KEYS),
        };
        let numbers = || record.revisions.iter().map(|revision| revision.number);
        let is_used = |number| record.gone.iter().any(|gone| gone.number == number);
        let in_order = numbers().is_sorted_by(|a, b| a < b) && record.gone.is_sorted_by(|a, b| a.number < b.number);
        if !in_order || numbers().any(is_used) {
            return Err(Error::malformed(what, "its revisions are not in the order of their numbers"));
        }
        // Whoever can write the store may have put it. A worker reads it every few seconds, and loads what it names.
        let (revisions, most) = (record.revisions.len(), MOST_REVISIONS);
        if revisions > most {
            return Err(Error::malformed(what, format!("it has {revisions} revisions; at most {most} are allowed")));
        }
        if let Some(large) = record.revisions.iter().find(|revision| revision.components.len() > MOST_COMPONENTS) {
            let (number, components) = (large.number, large.components.len());
            let reason =
                format!("its revision {number} has {components} components; at most {MOST_COMPONENTS} are allowed");
            return Err(Error::malformed(what, reason));
        }
        Ok(record)
    }
}

impl Revision {
    fn encode(&self) -> Vec<u8> {
        let component = |component: &DeployedComponent| {
            let digest = blob(component.digest.as_bytes());
            write_dict(vec![(b"digest", digest), (b"name", string(&component.name))]).to_vec()
        };
        let mut fields: Vec<(&[u8], Vec<u8>)> = vec![
            (b"components", list(self.components.iter().map(component))),
            (b"number", int(self.number)),
            (b"steps", encode_steps(&self.steps)),
        ];
        let texts = [(&b"by"[..], &self.by), (b"note", &self.note)];
        fields.extend(texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| (key, string(text))));
        if self.restores > 0 {
            fields.push((b"restores", int(self.restores)));
        }
        fields.extend(self.extra.iter().map(|(k, v)| (k.as_slice(), v.clone())));
        write_dict(fields).to_vec()
    }

    fn decode(value: &Value<'_>) -> Result<Self> {
        let number = unsigned(DEPLOYMENTS, value, "number")?;
        let what = &format!("revision {number} in {DEPLOYMENTS}");
        let component = |value: &Value<'_>| {
            let digest = optional_bytes(what, value, "digest")?.and_then(|digest| Digest::from_bytes(&digest));
            Ok(DeployedComponent {
                digest: digest.ok_or_else(|| Error::malformed(what, "the digest of a component is no digest"))?,
                name: text(what, "name", entry(what, value, "name")?)?.to_owned(),
            })
        };
        Ok(Self {
            number,
            steps: decode_steps(what, value)?,
            components: items(what, value, "components")?.iter().map(component).collect::<Result<_>>()?,
            note: optional_text(what, value, "note")?,
            by: optional_text(what, value, "by")?,
            restores: unsigned(what, value, "restores")?,
            extra: unknown_entries(value, &KEYS),
        })
    }
}

impl Gone {
    fn encode(&self) -> Vec<u8> {
        write_dict(vec![(b"number", int(self.number)), (b"steps", encode_steps(&self.steps))]).to_vec()
    }

    fn decode(value: &Value<'_>) -> Result<Self> {
        let number = unsigned(DEPLOYMENTS, value, "number")?;
        let what = &format!("the removed revision {number} in {DEPLOYMENTS}");
        Ok(Self { number, steps: decode_steps(what, value)? })
    }
}

fn encode_steps(steps: &[Step]) -> Vec<u8> {
    list(steps.iter().map(|step| list([int(step.from), int(u64::from(step.weight))].into_iter())))
}

fn decode_steps(what: &str, value: &Value<'_>) -> Result<Vec<Step>> {
    let step = |value: &Value<'_>| match value {
        Value::List(pair) => match pair.as_slice() {
            [Value::Int(from), Value::Int(weight @ 0..=100)] => {
                let from = u64::try_from(*from).map_err(|_| Error::malformed(what, "a step has a negative time"))?;
                Ok(Step { from, weight: u8::try_from(*weight).unwrap_or(100) })
            }
            _ => Err(Error::malformed(what, "a step is not a time and a part from 0 to 100")),
        },
        other => Err(wrong_type(what, "steps", other, "a list")),
    };
    let steps = items(what, value, "steps")?.iter().map(step).collect::<Result<Vec<_>>>()?;
    if steps.is_empty() || !steps.is_sorted_by(|a, b| a.from < b.from) {
        return Err(Error::malformed(what, "its steps are missing or not in the order of their times"));
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(number: u64) -> Revision {
        let digest = Digest::from_bytes(&[b'a'; 32]).unwrap();
        Revision {
            number,
            steps: vec![Step { from: 10 * number, weight: 100 }],
            components: vec![DeployedComponent { digest, name: "app".into() }],
            ..Revision::default()
        }
    }

    #[test]
    fn a_deployments_record_round_trips() {
        let plain =
            DeploymentsRecord { revisions: vec![revision(1)], last: 1, changed: 10, ..DeploymentsRecord::default() };
        let a = "a".repeat(32);
        let component = format!("d6:digest32:{a}4:name3:appe");
        assert_eq!(
            plain.encode(),
            format!(
                "d7:changedi10e4:lasti1e9:revisionsld10:componentsl{component}e6:numberi1e5:stepslli10ei100eeeee1:vi1ee"
            )
            .as_bytes()
        );
        let full = DeploymentsRecord {
            revisions: vec![
                Revision {
                    note: "n".into(),
                    by: "b".into(),
                    restores: 1,
                    steps: vec![Step { from: 20, weight: 20 }, Step { from: 30, weight: 0 }],
                    extra: vec![(b"zzz".to_vec(), b"i7e".to_vec())],
                    ..revision(2)
                },
                revision(4),
            ],
            gone: vec![Gone { number: 3, steps: vec![Step { from: 25, weight: 100 }] }],
            last: 7,
            changed: 70,
            keep: 5,
            follow_newest: true,
            resent: 80,
            extra: vec![(b"yyy".to_vec(), b"le".to_vec())],
        };
        let text = String::from_utf8(full.encode().to_vec()).unwrap();
        assert!(text.contains("4:goneld6:numberi3e5:stepslli25ei100eeeee"), "{text}");
        assert!(text.contains("8:restoresi1e5:stepslli20ei20eeli30ei0eee3:zzzi7ee"), "{text}");
        for record in [plain, full, DeploymentsRecord::default()] {
            assert_eq!(DeploymentsRecord::decode(&record.encode()).unwrap(), record);
        }
    }

    #[test]
    fn damage_is_reported_with_its_revision() {
        let two =
            DeploymentsRecord { revisions: vec![revision(1), revision(2)], last: 2, ..DeploymentsRecord::default() };
        let text = String::from_utf8(two.encode().to_vec()).unwrap();
        for (right, wrong, why) in [
            ("stepslli20ei100ee", "stepslli20ei101ee", "revision 2"),
            ("stepslli20ei100ee", "stepsl", "revision 2"),
            ("stepslli20ei100ee", "stepslli20ei100eeli20ei100ee", "order of their times"),
            ("numberi2e", "numberi1e", "order of their numbers"),
            ("digest32:", "digesu32:", "revision 1"),
        ] {
            assert!(text.contains(right), "{text}");
            let error = DeploymentsRecord::decode(text.replace(right, wrong).as_bytes()).unwrap_err();
            assert!(error.to_string().contains(why) && error.is_unreadable(), "{error}");
        }
        assert!(DeploymentsRecord::decode(b"d1:vi2ee").is_err());
    }

    #[test]
    fn a_record_beyond_its_bounds_is_refused() {
        let with = |revisions: u64, components: usize| DeploymentsRecord {
            revisions: (1..=revisions)
                .map(|number| {
                    let one = revision(number);
                    Revision { components: vec![one.components[0].clone(); components], ..one }
                })
                .collect(),
            last: revisions,
            ..DeploymentsRecord::default()
        };
        let (most, parts) = (MOST_REVISIONS as u64, MOST_COMPONENTS);
        for good in [with(most, 1), with(1, parts)] {
            assert_eq!(DeploymentsRecord::decode(&good.encode()).unwrap(), good);
        }
        let long = DeploymentsRecord {
            extra: vec![(b"z".to_vec(), string(&"x".repeat(MOST_DEPLOYMENTS_BYTES)))],
            ..with(1, 1)
        };
        for (bad, why) in [
            (with(most + 1, 1), "101 revisions"),
            (with(1, parts + 1), "33 components"),
            (with(10_000, 1), "bytes; at most"),
            (long, "bytes; at most"),
        ] {
            let error = DeploymentsRecord::decode(&bad.encode()).unwrap_err();
            assert!(error.is_unreadable() && error.to_string().contains(why), "{error}");
        }
    }
}
