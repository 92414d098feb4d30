//! serde helpers for the generated event messages.

/// Whether a field holds its default and is left out.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Bytes as base64 text.
pub mod base64 {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes bytes as base64 text.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    /// Reads what `serialize` wrote.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Makes a serde module of a prost enumeration: its number in memory, its name in JSON.
macro_rules! enumeration_as_name {
    ($kind:path) => {
        pub fn serialize<S: serde::Serializer>(value: &i32, serializer: S) -> Result<S::Ok, S::Error> {
            let kind = <$kind>::try_from(*value).map_err(serde::ser::Error::custom)?;
            serializer.serialize_str(kind.as_str_name())
        }

        pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
            let name = <String as serde::Deserialize>::deserialize(deserializer)?;
            let kind = <$kind>::from_str_name(&name);
            kind.map(|kind| kind as i32).ok_or_else(|| serde::de::Error::custom(format!("unknown value {name}")))
        }

        /// The same for a list.
        #[allow(dead_code, reason = "few enumerations are in lists")]
        pub mod list {
            #[derive(serde::Serialize, serde::Deserialize)]
            struct Named(#[serde(with = "super")] i32);

            pub fn serialize<S: serde::Serializer>(values: &[i32], serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(values.iter().map(|value| Named(*value)))
            }

            pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<i32>, D::Error> {
                let named = <Vec<Named> as serde::Deserialize>::deserialize(deserializer)?;
                Ok(named.into_iter().map(|Named(value)| value).collect())
            }
        }
    };
}
pub(crate) use enumeration_as_name;

/// The names of the top-level members in which two messages differ.
pub fn changed<T: serde::Serialize>(before: &T, after: &T) -> serde_json::Result<Vec<String>> {
    let (before, after) = (serde_json::to_value(before)?, serde_json::to_value(after)?);
    let names = before.as_object().into_iter().chain(after.as_object()).flat_map(|members| members.keys());
    let names: std::collections::BTreeSet<&String> = names.collect();
    Ok(names.into_iter().filter(|name| before.get(name) != after.get(name)).cloned().collect())
}

/// The message `current`, with these members taken from `new`.
pub fn merged<T: serde::Serialize + serde::de::DeserializeOwned>(
    current: &T,
    names: &[String],
    new: &T,
) -> serde_json::Result<T> {
    let (mut current, mut new) = (serde_json::to_value(current)?, serde_json::to_value(new)?);
    if let (Some(current), Some(new)) = (current.as_object_mut(), new.as_object_mut()) {
        for name in names {
            match new.remove(name) {
                Some(value) => current.insert(name.clone(), value),
                None => current.remove(name),
            };
        }
    }
    serde_json::from_value(current)
}

/// A message reduced to these members.
pub fn only<T: serde::Serialize + serde::de::DeserializeOwned>(message: &T, names: &[String]) -> serde_json::Result<T> {
    let mut value = serde_json::to_value(message)?;
    if let Some(members) = value.as_object_mut() {
        members.retain(|name, _| names.contains(name));
    }
    serde_json::from_value(value)
}
