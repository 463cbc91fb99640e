//! The header's JSON.
//!
//! It is read and written here and not by the safetensors crate: its writer orders the metadata by a
//! hash map, so the same model would give different bytes, and its reader adds the offsets of a
//! hostile header without overflow checks.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Graph, Preprocessing};

/// The metadata's keys.
pub(super) const CHECKSUM: &str = "signbit_crc32";
pub(super) const FORMAT: &str = "signbit_format";
pub(super) const MODEL: &str = "signbit_model";

const METADATA: &str = "__metadata__";

/// How every header begins; the checksum's digits follow.
pub(super) const PREFIX: &[u8] = br#"{"__metadata__":{"signbit_crc32":""#;

/// Where the checksum's digits stand in the file.
pub(super) const CHECKSUM_AT: std::ops::Range<usize> = 8 + PREFIX.len()..8 + PREFIX.len() + 8;

/// The checksum's digits while it is computed.
pub(super) const NO_CHECKSUM: &str = "00000000";

/// Metadata and tensor entries, in the order of the file.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) entries: Vec<(String, Entry)>,
}

/// What a safetensors header says of a tensor.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) dtype: String,
    pub(super) shape: Vec<usize>,
    pub(super) data_offsets: [usize; 2],
}

/// All of a model but its tensors' bytes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description<'a> {
    pub(super) graph: Cow<'a, Graph>,
    /// The logical shapes of the packed tensors.
    pub(super) bits: BTreeMap<String, Vec<usize>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) preprocessing: Option<Cow<'a, Preprocessing>>,
    pub(super) classes: Cow<'a, [String]>,
    pub(super) notes: Cow<'a, BTreeMap<String, String>>,
}

impl Serialize for Header {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.entries.len() + 1))?;
        map.serialize_entry(METADATA, &self.metadata)?;
        for (name, entry) in &self.entries {
            map.serialize_entry(name, entry)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a safetensors header")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header { metadata: BTreeMap::new(), entries: Vec::new() };
        let mut keys = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if !keys.insert(key.clone()) {
                return Err(de::Error::custom(format_args!("`{key}` stands twice")));
            }
            if key == METADATA {
                header.metadata = map.next_value()?;
            } else {
                header.entries.push((key, map.next_value()?));
            }
        }
        Ok(header)
    }
}
