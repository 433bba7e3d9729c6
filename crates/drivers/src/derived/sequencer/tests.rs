use bytes::Bytes;
use ports::kv::Key;
use ports::sequencer::Sequencer as _;

use super::*;
use crate::derived::tests::Probe;

fn over(probe: &Arc<Probe>) -> Sequencer {
    Sequencer::over(probe.clone(), "c")
}

#[tokio::test]
async fn a_range_is_one_synced_commit_without_a_read() {
    let probe = Probe::new();
    let ids = over(&probe);
    assert_eq!(
        ids.reserve("k", 10).await.ok(),
        Some(Range { first: 1, last: 10 })
    );
    assert!(ids.raise("k", 7).await.is_ok());
    let commits = probe.commits();
    assert_eq!((probe.reads(), commits.len()), (0, 2));
    assert!(commits.iter().all(|batch| batch.durability == Durability::Synced));
}

#[tokio::test]
async fn a_sequence_at_its_end_refuses_rather_than_repeats() {
    let ids = over(&Probe::new());
    assert!(ids.raise("k", u64::MAX - 2).await.is_ok());
    let last = ids.reserve("k", 2).await.ok();
    assert_eq!(
        last,
        Some(Range {
            first: u64::MAX - 1,
            last: u64::MAX
        })
    );
    assert!(ids.reserve("k", 1).await.is_err());
    assert!(ids.reserve("k", 1).await.is_err());
}

#[tokio::test]
async fn several_ranges_of_one_batch_follow_each_other() {
    let probe = Probe::new();
    let ids = over(&probe);
    let (batch, first) = ids
        .stage_add(Batch::default(), "k", 3)
        .expect("key and count are good");
    let (batch, second) = ids.stage_add(batch, "k", 2).expect("key and count are good");
    let (batch, other) = ids.stage_add(batch, "other", 1).expect("key and count are good");
    let sums = committed(probe.commit(batch).await.expect("the store works")).expect("it has no conditions");
    let ranges = [first, second, other].map(|reserved| reserved.range(&sums).expect("it is one of the sums"));
    let expected = [(1, 3), (4, 5), (1, 1)].map(|(first, last)| Range { first, last });
    assert_eq!(ranges, expected);
    let error = other.range(&sums[..1]).expect_err("another batch's sums");
    assert_eq!(error.code(), codes::INTERNAL);
    let error = second.range(&[0, 0, 0]).expect_err("sums that cannot be");
    assert_eq!(error.code(), codes::INTERNAL);
}

/// Key and value as the first version wrote them: they must stay readable.
#[tokio::test]
async fn rows_of_the_first_format_are_read() {
    let probe = Probe::new();
    let key = Key::state("n/c\0\u{1}orders");
    probe.put_row(key.clone(), &[0x39, 5, 0, 0, 0, 0, 0, 0]).await;
    let range = over(&probe).reserve("orders", 1).await;
    assert_eq!(range.map(|range| range.first).ok(), Some(1338));
    let row = probe.row(&key).await.expect("it is there");
    assert_eq!(row.value, Bytes::from_static(&[0x3a, 5, 0, 0, 0, 0, 0, 0]));
    assert_eq!(row.expires_at, None);
}
