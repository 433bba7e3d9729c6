package belay;

import dev.restate.sdk.Context;
import dev.restate.sdk.annotation.Handler;
import dev.restate.sdk.annotation.Service;
import java.io.IOException;

@Service
public class Idle {
  @Handler
  public String nap(Context ctx, Waits.Wait wait) throws IOException {
    return Waits.nap(ctx, wait);
  }

  @Handler
  public String awakeable(Context ctx, String key) throws IOException {
    return Waits.awakeable(ctx, key);
  }
}
