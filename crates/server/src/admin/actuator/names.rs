//! The names under which the reference's probes list components: fixed, once per type, with its slips of the pen.

/// Section of Layotto's configuration, type, name in the probes. Source: Layotto 7.2 and 9.1.
const NAMES: &[(&str, &str, &str)] = &[
    ("config_store", "etcd", "configstore-etcdv3"),
    ("config_store", "in-memory", "configstore-memory"),
    ("config_store", "nacos", "configstore-nacos"),
    ("config_store", "apollo", "apollo"),
    ("lock", "in-memory", "lock-memory"),
    ("lock", "redis", "lock-redis-standalone"),
    ("lock", "redis_cluster", "lock-redis-cluster"),
    ("lock", "etcd", "lock-etcd"),
    ("lock", "zookeeper", "lock-zookeeper"),
    ("lock", "consul", "lock-consul"),
    ("lock", "mongo", "lock-mongo"),
    ("sequencer", "in-memory", "in-memory"),
    ("sequencer", "redis", "sequencer-redis-standalone"),
    ("sequencer", "etcd", "sequencer-etcd"),
    ("sequencer", "zookeeper", "sequencer-zookeeper"),
    ("sequencer", "mongo", "sequencer-mongo"),
    ("sequencer", "mysql", "sequencer-mysql"),
    ("sequencer", "snowflake", "sequencer-snowflake"),
    ("file", "local", "file-local"),
    ("file", "minio", "file-monio"),
    ("file", "aws.s3", "file-aws"),
    ("file", "aliyun.oss", "file-aliyun"),
    ("file", "tencent.oss", "file-tencentcloud"),
    ("file", "qiniu.oss", "file-qiniu"),
    ("oss", "aws.oss", "oss-aws"),
    ("oss", "aliyun.oss", "oss-aliyun"),
    ("oss", "ceph", "oss-ceph"),
    ("oss", "huaweicloud.oss", "oss-huaweicloud"),
    ("cryption", "aws.kms", "kms-aws"),
    ("cryption", "aliyun.kms", "kms-aliyun"),
];

/// `None` for what the reference never lists: state, publish/subscribe, bindings, secrets, hellos, and types of our own.
pub fn name(section: &str, kind: &str) -> Option<&'static str> {
    NAMES
        .iter()
        .find(|(of_section, of_kind, _)| *of_section == section && *of_kind == kind)
        .map(|(_, _, name)| *name)
}
