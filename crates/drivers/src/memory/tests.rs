use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use base::time::ManualClock;
use ports::conformance;

use super::Memory;

#[tokio::test]
async fn it_is_a_kv() {
    let clock = ManualClock::at(Timestamp(1_000_000));
    let kv = Arc::new(Memory::new(Arc::new(clock.clone())));
    conformance::kv::all(kv, &|by: Duration| clock.advance(by)).await;
}
