use ports::conformance::ownership::claim;
use ports::ownership::Ownership as _;

use super::*;
use crate::derived::tests::{BEGINNING, Probe};

const SECOND: Duration = Duration::from_secs(1);

fn over(probe: &Arc<Probe>) -> Ownership {
    Ownership::over(probe.clone())
}

fn row(epoch: u64, ends: Timestamp, owner: &str) -> Bytes {
    let owner = owner.to_owned();
    Row { epoch, ends, owner }.encode()
}

#[tokio::test]
async fn claims_are_synced() {
    let probe = Probe::new();
    claim(&over(&probe), 1, "a").await;
    assert_eq!(probe.commits()[0].durability, Durability::Synced);
}

#[tokio::test]
async fn a_claim_that_comes_second_hears_who_was_first() {
    let probe = Probe::new();
    let ownership = over(&probe);
    let ends = BEGINNING.plus(SECOND);
    probe.intrude(Batch::default().put(Fence::key(1), row(1, ends, "first")));
    let second = ownership.claim(1, &Owner("second".into()), SECOND).await;
    let by = Owner("first".into());
    assert_eq!(second.ok(), Some(Claim::Held { by }));
}

#[tokio::test]
async fn of_two_claims_of_a_free_partition_the_second_hears_who_was_first() {
    let probe = Probe::new();
    let ownership = over(&probe);
    let fence = claim(&ownership, 1, "before").await;
    assert!(ownership.release(fence).await.is_ok());
    let ends = BEGINNING.plus(SECOND);
    probe.intrude(Batch::default().put(Fence::key(1), row(fence.epoch + 1, ends, "first")));
    let second = ownership.claim(1, &Owner("second".into()), SECOND).await;
    let by = Owner("first".into());
    assert_eq!(second.ok(), Some(Claim::Held { by }));
}

#[tokio::test]
async fn a_renewal_that_comes_after_a_claim_is_lost() {
    let probe = Probe::new();
    let ownership = over(&probe);
    let fence = claim(&ownership, 1, "a").await;
    let ends = BEGINNING.plus(60 * SECOND);
    probe.intrude(Batch::default().put(Fence::key(1), row(fence.epoch + 1, ends, "b")));
    let renewal = ownership.renew(fence, SECOND).await;
    assert_eq!(renewal.ok(), Some(Renewal::Lost));
    let kept = probe.row(&Fence::key(1)).await.expect("it is there");
    assert_eq!(kept.value, row(fence.epoch + 1, ends, "b"));
}

#[tokio::test]
async fn a_partition_that_was_given_up_cannot_be_renewed() {
    let ownership = over(&Probe::new());
    let fence = claim(&ownership, 1, "a").await;
    assert!(ownership.release(fence).await.is_ok());
    assert!(ownership.release(fence).await.is_ok(), "twice is as good as once");
    let renewal = ownership.renew(fence, SECOND).await;
    assert_eq!(renewal.ok(), Some(Renewal::Lost));
}

/// The epoch outlives the lease by any time: the row must not expire.
#[tokio::test]
async fn epochs_grow_over_centuries() {
    let probe = Probe::new();
    let ownership = over(&probe);
    let first = claim(&ownership, 1, "a").await;
    probe.clock.advance(Duration::from_secs(300 * 365 * 24 * 3_600));
    assert_eq!(claim(&ownership, 1, "b").await.epoch, first.epoch + 1);
}

/// Key and value as the first version wrote them: they must stay readable, by the store's own look at the epoch too.
#[tokio::test]
async fn rows_of_the_first_format_are_read() {
    let probe = Probe::new();
    let key = Key::state("\0owner/\0\0\0\u{7}");
    assert_eq!(key, Fence::key(7));
    let value = b"\x05\0\0\0\0\0\0\0\x01\xff\xff\xff\0\0\0\0\0node-1".as_slice();
    probe.put_row(key, value).await;
    assert_eq!(row(5, Timestamp(0xff_ffff), "node-1"), value);
    let ownership = over(&probe);
    let by = Owner("node-1".into());
    let held = ownership.claim(7, &Owner("b".into()), SECOND).await;
    assert_eq!(held.ok(), Some(Claim::Held { by: by.clone() }));
    let fence = Fence {
        partition: 7,
        epoch: 5,
    };
    let batch = Batch::default().put(Key::state("k"), "v").fenced(fence);
    assert!(probe.commit(batch).await.is_ok());
    let again = ownership.claim(7, &by, SECOND).await;
    let expected = Fence { epoch: 6, ..fence };
    assert_eq!(again.ok(), Some(Claim::Granted(expected)));
}

#[test]
fn damaged_rows_are_refused() {
    let good = row(1, Timestamp(2), "a");
    let mut other = good.to_vec();
    other[8] = 9;
    let mut text = good.to_vec();
    text.push(0xff);
    for value in [good.slice(..16), Bytes::new(), other.into(), text.into()] {
        let error = Row::decode(value).expect_err("a damaged row");
        assert_eq!(error.code(), codes::STORED_ROW_UNREADABLE);
    }
}
