package belay;

import dev.restate.sdk.ObjectContext;
import dev.restate.sdk.SharedObjectContext;
import dev.restate.sdk.annotation.Handler;
import dev.restate.sdk.annotation.Shared;
import dev.restate.sdk.annotation.VirtualObject;
import dev.restate.sdk.common.StateKey;
import java.util.List;

@VirtualObject
public class Counter {
  private static final StateKey<Integer> COUNT = StateKey.of("count", Integer.class);
  private static final StateKey<Integer> LAST = StateKey.of("last", Integer.class);

  @Handler
  public int add(ObjectContext ctx, int n) {
    int count = ctx.get(COUNT).orElse(0) + n;
    ctx.set(COUNT, count);
    ctx.set(LAST, n);
    return count;
  }

  @Shared
  public int get(SharedObjectContext ctx) {
    return ctx.get(COUNT).orElse(0);
  }

  @Shared
  public int lazy(SharedObjectContext ctx) {
    return ctx.get(COUNT).orElse(0);
  }

  @Shared
  public List<String> keys(SharedObjectContext ctx) {
    return ctx.stateKeys().stream().sorted().toList();
  }

  @Handler
  public void clear(ObjectContext ctx) {
    ctx.clear(LAST);
  }

  @Handler
  public void reset(ObjectContext ctx) {
    ctx.clearAll();
  }
}
