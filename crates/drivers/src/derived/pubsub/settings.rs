//! What can be set of topics, among a component's other settings.

use std::time::Duration;

use base::{Result, limits};
use ports::{Finding, Settings};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Retention;
use crate::settings::{lenient_u64, u64_schema};

/// How long and how large the topics of a component grow. Every topic has this much for itself.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Topics {
    /// Events older than this are removed, whether they are settled or not, seconds: 1 to 315360000. Consumer groups that
    /// nobody has read with for as long are forgotten, but no sooner than after an hour. Default: 604800, a week.
    #[serde(deserialize_with = "lenient_u64")]
    #[schemars(schema_with = "u64_schema")]
    pub retention_seconds: u64,
    /// Bytes of one topic, 1 or more. Beyond them a topic that nobody subscribes to drops its oldest events, and one with
    /// consumer groups takes no more until they have settled some. Default: 1073741824, 1 GiB.
    #[serde(deserialize_with = "lenient_u64")]
    #[schemars(schema_with = "u64_schema")]
    pub retention_bytes: u64,
}

const RETENTION_SECONDS_MAX: u64 = 10 * 365 * 24 * 60 * 60;

impl Default for Topics {
    fn default() -> Topics {
        Topics {
            retention_seconds: limits::TOPIC_AGE_MAX.as_secs(),
            retention_bytes: limits::TOPIC_BYTES_MAX,
        }
    }
}

impl Topics {
    /// Reads what is about topics, and leaves the rest to others.
    pub fn of(settings: &Settings) -> Result<Topics> {
        settings.parse()
    }

    /// What is wrong with them: the setting, and what it may be.
    pub fn wrong(&self) -> Option<(&'static str, String)> {
        if !(1..=RETENTION_SECONDS_MAX).contains(&self.retention_seconds) {
            return Some(("retentionSeconds", format!("write 1 to {RETENTION_SECONDS_MAX}")));
        }
        (self.retention_bytes == 0).then(|| ("retentionBytes", "write 1 or more".to_owned()))
    }

    /// The schema of components that have these settings and no others.
    pub fn schema() -> schemars::Schema {
        let mut schema = schemars::schema_for!(Topics);
        schema.insert("additionalProperties".into(), false.into());
        schema
    }

    /// What is wrong with the settings of such a component.
    pub fn findings(settings: &Settings) -> Vec<Finding> {
        // What cannot be read is found by the schema.
        let wrong = Topics::of(settings).ok().and_then(|topics| topics.wrong());
        wrong
            .map(|(path, message)| Finding::error(path, message))
            .into_iter()
            .collect()
    }

    pub fn retention(&self) -> Retention {
        Retention {
            age: Duration::from_secs(self.retention_seconds),
            bytes: self.retention_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(texts: &[(&str, &str)]) -> Result<Topics> {
        let texts = texts
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Topics::of(&Settings::from_texts(texts))
    }

    #[test]
    fn without_settings_the_limits_hold() {
        let topics = topics(&[("consumerID", "other")]).expect("other settings are others'");
        assert_eq!(topics.retention(), Retention::default());
        assert_eq!(topics.wrong(), None);
    }

    #[test]
    fn settings_are_texts_or_numbers() {
        let topics = topics(&[("retentionSeconds", "60"), ("retentionBytes", "1000")]).expect("numbers");
        let expected = Retention {
            age: Duration::from_secs(60),
            bytes: 1_000,
        };
        assert_eq!(topics.retention(), expected);
    }

    #[test]
    fn senseless_settings_are_named() {
        assert!(topics(&[("retentionBytes", "much")]).is_err());
        let seconds = topics(&[("retentionSeconds", "0")]).expect("a number");
        assert_eq!(
            seconds.wrong().map(|(setting, _)| setting),
            Some("retentionSeconds")
        );
        let bytes = topics(&[("retentionBytes", "0")]).expect("a number");
        assert_eq!(bytes.wrong().map(|(setting, _)| setting), Some("retentionBytes"));
    }
}
