//! What every [`Ownership`] must do, together with the [`Kv`] whose commits it fences. Each check uses partitions of its own.

use std::sync::Arc;
use std::time::Duration;

use base::{Kind, codes};

use crate::kv::{Batch, Fence, Key, Kv, Outcome};
use crate::ownership::{Claim, Owner, Ownership, Renewal};

const LEASE: Duration = Duration::from_secs(4);
const SECOND: Duration = Duration::from_secs(1);

/// `advance` moves the clock that the store judges leases by, or waits for it.
pub async fn all(ownership: Arc<dyn Ownership>, kv: Arc<dyn Kv>, advance: &(dyn Fn(Duration) + Sync)) {
    a_partition_has_one_owner(&*ownership).await;
    partitions_are_independent(&*ownership).await;
    epochs_grow(&*ownership).await;
    a_lease_ends(&*ownership, advance).await;
    a_renewal_prolongs_the_lease(&*ownership, advance).await;
    an_old_claim_cannot_be_renewed_or_released(&*ownership).await;
    a_new_claim_fences_the_old_owner(&*ownership, &*kv).await;
    many_racers_have_one_winner(&*ownership).await;
    bounds_are_checked(&*ownership).await;
}

/// `open` opens the same store again; the one before is dropped by then.
pub async fn restarts(open: impl AsyncFn() -> Arc<dyn Ownership>) {
    let ownership = open().await;
    let before = claim(&*ownership, 90, "a").await;
    let released = claim(&*ownership, 91, "a").await;
    release(&*ownership, released).await;
    drop(ownership);
    let ownership = open().await;
    held(&*ownership, 90, "b", "a").await;
    assert!(claim(&*ownership, 90, "a").await.epoch > before.epoch);
    assert!(claim(&*ownership, 91, "b").await.epoch > released.epoch);
}

fn owner(name: &str) -> Owner {
    Owner(name.to_owned())
}

/// Claims a partition that must be free for this owner.
pub async fn claim(ownership: &dyn Ownership, partition: u32, name: &str) -> Fence {
    let claim = ownership.claim(partition, &owner(name), LEASE).await;
    match claim.expect("the store works") {
        Claim::Granted(fence) => {
            assert_eq!(fence.partition, partition);
            fence
        }
        held => panic!("partition {partition} should be free for {name}: {held:?}"),
    }
}

async fn held(ownership: &dyn Ownership, partition: u32, name: &str, by: &str) {
    let claim = ownership.claim(partition, &owner(name), LEASE).await;
    let expected = Claim::Held { by: owner(by) };
    assert_eq!(claim.expect("the store works"), expected);
}

async fn renew(ownership: &dyn Ownership, fence: Fence, expected: Renewal) {
    let renewal = ownership.renew(fence, LEASE).await;
    assert_eq!(renewal.expect("the store works"), expected, "{fence:?}");
}

async fn release(ownership: &dyn Ownership, fence: Fence) {
    ownership.release(fence).await.expect("the store works");
}

async fn a_partition_has_one_owner(ownership: &dyn Ownership) {
    let fence = claim(ownership, 1, "a").await;
    held(ownership, 1, "b", "a").await;
    release(ownership, fence).await;
    claim(ownership, 1, "b").await;
    held(ownership, 1, "a", "b").await;
}

async fn partitions_are_independent(ownership: &dyn Ownership) {
    claim(ownership, 2, "a").await;
    claim(ownership, 3, "b").await;
    claim(ownership, u32::MAX, "c").await;
}

async fn epochs_grow(ownership: &dyn Ownership) {
    let first = claim(ownership, 4, "a").await;
    let again = claim(ownership, 4, "a").await;
    assert!(again.epoch > first.epoch, "a claim of one's own is a new one");
    release(ownership, again).await;
    let other = claim(ownership, 4, "b").await;
    assert!(other.epoch > again.epoch, "a released epoch stays taken");
}

async fn a_lease_ends(ownership: &dyn Ownership, advance: &(dyn Fn(Duration) + Sync)) {
    let first = claim(ownership, 5, "a").await;
    advance(LEASE - SECOND);
    held(ownership, 5, "b", "a").await;
    advance(2 * SECOND);
    let second = claim(ownership, 5, "b").await;
    assert!(second.epoch > first.epoch);
    renew(ownership, first, Renewal::Lost).await;
}

async fn a_renewal_prolongs_the_lease(ownership: &dyn Ownership, advance: &(dyn Fn(Duration) + Sync)) {
    let fence = claim(ownership, 6, "a").await;
    for _ in 0..3 {
        advance(LEASE - SECOND);
        renew(ownership, fence, Renewal::Renewed).await;
    }
    held(ownership, 6, "b", "a").await;
    advance(LEASE + SECOND);
    renew(ownership, fence, Renewal::Renewed).await;
    held(ownership, 6, "b", "a").await;
}

async fn an_old_claim_cannot_be_renewed_or_released(ownership: &dyn Ownership) {
    let old = claim(ownership, 7, "a").await;
    let new = claim(ownership, 7, "a").await;
    renew(ownership, old, Renewal::Lost).await;
    release(ownership, old).await;
    held(ownership, 7, "b", "a").await;
    renew(ownership, new, Renewal::Renewed).await;
    let never = Fence {
        partition: 8,
        epoch: 1,
    };
    renew(ownership, never, Renewal::Lost).await;
    release(ownership, never).await;
}

async fn a_new_claim_fences_the_old_owner(ownership: &dyn Ownership, kv: &dyn Kv) {
    let write = |fence| {
        let batch = Batch::default().put(Key::state("ownership/fenced"), "v");
        kv.commit(batch.fenced(fence))
    };
    let old = claim(ownership, 9, "a").await;
    let taken = write(old).await.expect("the store works");
    assert!(matches!(taken, Outcome::Committed { .. }));
    let new = claim(ownership, 9, "a").await;
    let refused = write(old).await.expect_err("the old epoch is over");
    assert_eq!(refused.code(), codes::FENCED);
    assert!(write(new).await.is_ok());
    renew(ownership, new, Renewal::Renewed).await;
    assert!(write(new).await.is_ok(), "a renewal keeps the epoch");
}

async fn many_racers_have_one_winner(ownership: &dyn Ownership) {
    let racers: Vec<Owner> = (0..50).map(|racer| Owner(racer.to_string())).collect();
    let claims = racers.iter().map(|racer| ownership.claim(10, racer, LEASE));
    let outcomes = futures::future::join_all(claims).await;
    let won: Vec<&Owner> = racers
        .iter()
        .zip(&outcomes)
        .filter_map(|(racer, outcome)| matches!(outcome, Ok(Claim::Granted(_))).then_some(racer))
        .collect();
    assert_eq!(won.len(), 1, "{outcomes:?}");
    let by = won[0];
    let lost = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Ok(Claim::Held { by: holder }) if holder == by));
    assert_eq!(lost.count(), 49, "the others hear who won");
}

async fn bounds_are_checked(ownership: &dyn Ownership) {
    let long = "o".repeat(129);
    let hour = Duration::from_secs(3_600);
    for (name, lease) in [
        ("", LEASE),
        (&*long, LEASE),
        ("a", Duration::from_millis(999)),
        ("a", hour + SECOND),
    ] {
        let claim = ownership.claim(11, &owner(name), lease).await;
        let error = claim.expect_err("it is out of bounds");
        assert_eq!(error.kind(), Kind::InvalidArgument);
    }
    let fence = claim(ownership, 11, &"o".repeat(128)).await;
    let error = ownership
        .renew(fence, Duration::ZERO)
        .await
        .expect_err("it is out of bounds");
    assert_eq!(error.kind(), Kind::InvalidArgument);
}
