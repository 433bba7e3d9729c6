//! A side dies in the middle: of a sleep, and of a run.

use serde_json::json;

use super::sdk::Sdk;
use super::world::World;

/// Ends after the crash, and soon.
const SLEEP_MS: u64 = 1000;

/// One invocation sleeps, one is inside its second run.
struct Middle {
    nap: String,
    nap_key: String,
    slow: String,
    slow_key: String,
}

impl Middle {
    async fn reach(world: &World, name: &str) -> Middle {
        let (nap_key, slow_key) = (format!("{name}-nap"), format!("{name}-slow"));
        let nap = world
            .send("Greeter/nap", json!({"key": nap_key, "ms": SLEEP_MS}))
            .await;
        let slow = world
            .send("Greeter/slow", json!({"key": slow_key, "ms": SLEEP_MS}))
            .await;
        world.noted(&nap_key, "before").await;
        world.noted(&slow_key, "slow").await;
        Middle {
            nap,
            nap_key,
            slow,
            slow_key,
        }
    }

    /// What was acknowledged to a later step is not executed again; what was not, is.
    async fn goes_on(&self, world: &World) {
        let (nap, slow) = (world.attach(&self.nap).await, world.attach(&self.slow).await);
        assert_eq!((nap.value(), slow.value()), (json!("slept"), json!("done")));
        assert_eq!(world.count(&self.slow_key, "one"), 1, "it was acknowledged");
        assert_eq!(world.count(&self.slow_key, "slow"), 2, "it was cut off");
        assert_eq!(world.count(&self.slow_key, "three"), 1);
        // Its note is older than its acknowledgement, which may be lost.
        assert!((1..=2).contains(&world.count(&self.nap_key, "before")));
        assert_eq!(world.count(&self.nap_key, "after"), 1);
    }
}

pub(super) async fn belay_is_killed(mut world: World) -> World {
    let middle = Middle::reach(&world, "belay-killed").await;
    world.belay = world.belay.restart().await;
    middle.goes_on(&world).await;
    world
}

pub(super) async fn the_service_is_killed(mut world: World, sdk: &Sdk) {
    let middle = Middle::reach(&world, "service-killed").await;
    world.services.kill().await;
    world.start_services(sdk).await;
    middle.goes_on(&world).await;
}
