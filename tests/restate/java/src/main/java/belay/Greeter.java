package belay;

import dev.restate.common.Request;
import dev.restate.common.Target;
import dev.restate.sdk.Context;
import dev.restate.sdk.annotation.Handler;
import dev.restate.sdk.annotation.Service;
import dev.restate.sdk.common.RetryPolicy;
import dev.restate.sdk.common.TerminalException;
import dev.restate.serde.TypeTag;
import java.io.IOException;
import java.time.Duration;

@Service
public class Greeter {
  record Completion(String id, String value) {}

  private static <I> Request<I, String> request(String handler, Class<I> type, I input) {
    Target target = Target.service("Greeter", handler);
    return Request.of(target, TypeTag.of(type), TypeTag.of(String.class), input).build();
  }

  private static Request<Integer, Integer> addOne(String key) {
    Target target = Target.virtualObject("Counter", key, "add");
    TypeTag<Integer> number = TypeTag.of(Integer.class);
    return Request.of(target, number, number, 1).build();
  }

  @Handler
  public String greet(Context ctx, String name) {
    return "Hello " + name;
  }

  @Handler
  public int three(Context ctx, String key) {
    int sum = 0;
    String[] steps = {"one", "two", "three"};
    for (int index = 0; index < steps.length; index++) {
      String step = steps[index];
      int number = index + 1;
      sum +=
          ctx.run(
              step,
              Integer.class,
              () -> {
                Notes.note(key, step);
                return number;
              });
    }
    return sum;
  }

  @Handler
  public String chain(Context ctx, String name) {
    return ctx.call(request("greet", String.class, name)).await();
  }

  @Handler
  public String chainNap(Context ctx, Waits.Wait wait) {
    return ctx.call(request("nap", Waits.Wait.class, wait)).await();
  }

  @Handler
  public void oneWay(Context ctx, String key) {
    ctx.send(addOne(key));
  }

  @Handler
  public void later(Context ctx, Waits.Wait wait) {
    ctx.send(addOne(wait.key()), Duration.ofMillis(wait.ms()));
  }

  @Handler
  public String nap(Context ctx, Waits.Wait wait) throws IOException {
    return Waits.nap(ctx, wait);
  }

  @Handler
  public String slow(Context ctx, Waits.Wait wait) {
    Waits.run(ctx, wait.key(), "one");
    ctx.run(
        "slow",
        () -> {
          Notes.note(wait.key(), "slow");
          Thread.sleep(wait.ms());
        });
    Waits.run(ctx, wait.key(), "three");
    return "done";
  }

  @Handler
  public void fail(Context ctx, String message) {
    throw new TerminalException(418, message);
  }

  @Handler
  public int flaky(Context ctx, String key) throws IOException {
    return Notes.third(key);
  }

  @Handler
  public int flakyRun(Context ctx, String key) {
    RetryPolicy policy = RetryPolicy.exponential(Duration.ofMillis(50), 2);
    return ctx.run("third", Integer.class, policy, () -> Notes.third(key));
  }

  @Handler
  public String awakeable(Context ctx, String key) throws IOException {
    return Waits.awakeable(ctx, key);
  }

  @Handler
  public void resolve(Context ctx, Completion completion) {
    ctx.awakeableHandle(completion.id()).resolve(String.class, completion.value());
  }

  @Handler
  public void reject(Context ctx, Completion completion) {
    ctx.awakeableHandle(completion.id()).reject(completion.value());
  }
}
