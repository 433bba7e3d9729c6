package belay;

import dev.restate.sdk.Awakeable;
import dev.restate.sdk.Context;
import java.io.IOException;
import java.time.Duration;

/** What two services share. */
final class Waits {
  private Waits() {}

  record Wait(String key, long ms) {}

  static void run(Context ctx, String key, String what) {
    ctx.run(what, () -> Notes.note(key, what));
  }

  static String nap(Context ctx, Wait wait) throws IOException {
    Notes.note(wait.key(), "attempt");
    run(ctx, wait.key(), "before");
    ctx.sleep(Duration.ofMillis(wait.ms()));
    run(ctx, wait.key(), "after");
    return "slept";
  }

  static String awakeable(Context ctx, String key) throws IOException {
    Notes.note(key, "attempt");
    Awakeable<String> awakeable = ctx.awakeable(String.class);
    run(ctx, key, "id " + awakeable.id());
    return awakeable.await();
  }
}
