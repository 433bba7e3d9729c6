//! Which of Layotto's component types stands on which driver.

use ports::Port;

/// One section of component configurations.
pub(super) struct Block {
    /// Its key, and an older spelling that some samples have.
    pub(super) section: &'static str,
    pub(super) also: Option<&'static str>,
    pub(super) port: Port,
    /// Types that a driver of ours does.
    pub(super) served: &'static [(&'static str, &'static str)],
    /// Types that need something outside. Where the engine has the port, it keeps them itself and says so.
    pub(super) outside: &'static [&'static str],
    /// Whether the driver takes the metadata as its settings.
    pub(super) has_settings: bool,
    /// Whether `secret_ref` is read.
    pub(super) has_secrets: bool,
}

/// What a type of a block is to us.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Served(&'static str),
    /// Kept on the engine instead of where the type says.
    KeptHere,
    /// Known, and not to be had here.
    Missing,
    Unknown,
}

impl Block {
    pub(super) fn standing(&self, kind: &str) -> Standing {
        if let Some((_, driver)) = self.served.iter().find(|(served, _)| *served == kind) {
            return Standing::Served(driver);
        }
        if !self.outside.contains(&kind) {
            return Standing::Unknown;
        }
        if self.port.derived_from_kv() {
            Standing::KeptHere
        } else {
            Standing::Missing
        }
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.served
            .iter()
            .map(|(kind, _)| *kind)
            .chain(self.outside.iter().copied())
    }
}

const IN_MEMORY: &[(&str, &str)] = &[("in-memory", "memory")];

/// In the order in which Layotto starts them.
pub(super) const BLOCKS: &[Block] = &[
    Block {
        section: "secret_store",
        also: None,
        port: Port::Secret,
        served: &[("local.file", "secret-file"), ("local.env", "secret-env")],
        outside: &[
            "kubernetes",
            "hashicorp.vault",
            "azure.keyvault",
            "aws.secretmanager",
            "aws.parameterstore",
            "gcp.secretmanager",
        ],
        has_settings: true,
        has_secrets: false,
    },
    Block {
        section: "config_store",
        also: None,
        port: Port::Config,
        served: IN_MEMORY,
        outside: &["etcd", "nacos", "apollo"],
        has_settings: false,
        has_secrets: false,
    },
    Block {
        section: "state",
        also: None,
        port: Port::State,
        served: IN_MEMORY,
        outside: &[
            "redis",
            "mysql",
            "postgresql",
            "mongodb",
            "zookeeper",
            "consul",
            "cassandra",
            "memcached",
            "sqlserver",
            "hazelcast",
            "couchbase",
            "aerospike",
            "rethinkdb",
            "cloudstate.crdt",
            "aws.dynamodb",
            "azure.blobstorage",
            "azure.cosmosdb",
            "azure.tablestorage",
            "gcp.firestore",
        ],
        has_settings: false,
        has_secrets: true,
    },
    Block {
        section: "bindings",
        also: None,
        port: Port::Binding,
        served: &[("http", "http-binding")],
        outside: &[],
        has_settings: true,
        has_secrets: true,
    },
    Block {
        section: "pub_subs",
        also: None,
        port: Port::PubSub,
        served: IN_MEMORY,
        outside: &[
            "redis",
            "kafka",
            "rabbitmq",
            "mqtt",
            "natsstreaming",
            "pulsar",
            "hazelcast",
            "azure.eventhubs",
            "azure.servicebus",
            "gcp.pubsub",
            "snssqs",
        ],
        has_settings: false,
        has_secrets: true,
    },
    Block {
        section: "file",
        also: Some("files"),
        port: Port::File,
        served: &[("local", "local-file")],
        outside: &[
            "minio",
            "aws.s3",
            "aliyun.oss",
            "tencent.oss",
            "qiniu.oss",
            "hdfs",
        ],
        has_settings: false,
        has_secrets: false,
    },
    Block {
        section: "lock",
        also: None,
        port: Port::Lock,
        served: IN_MEMORY,
        outside: &["redis", "redis_cluster", "etcd", "zookeeper", "consul", "mongo"],
        has_settings: false,
        has_secrets: true,
    },
    Block {
        section: "sequencer",
        also: None,
        port: Port::Sequencer,
        served: IN_MEMORY,
        outside: &["redis", "etcd", "zookeeper", "mongo", "mysql", "snowflake"],
        has_settings: false,
        has_secrets: true,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(section: &str, kind: &str) -> Standing {
        BLOCKS
            .iter()
            .find(|block| block.section == section)
            .expect(section)
            .standing(kind)
    }

    #[test]
    fn each_kind_has_one_standing() {
        assert_eq!(standing("state", "in-memory"), Standing::Served("memory"));
        assert_eq!(standing("state", "redis"), Standing::KeptHere);
        assert_eq!(standing("file", "minio"), Standing::Missing);
        assert_eq!(standing("lock", "reddis"), Standing::Unknown);
        for block in BLOCKS {
            let kinds: Vec<_> = block.kinds().collect();
            let once: std::collections::BTreeSet<_> = kinds.iter().collect();
            assert_eq!(kinds.len(), once.len(), "{}", block.section);
        }
    }
}
