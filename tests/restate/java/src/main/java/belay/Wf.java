package belay;

import dev.restate.common.Output;
import dev.restate.sdk.SharedWorkflowContext;
import dev.restate.sdk.WorkflowContext;
import dev.restate.sdk.annotation.Shared;
import dev.restate.sdk.annotation.Workflow;
import dev.restate.sdk.common.DurablePromiseKey;

@Workflow
public class Wf {
  private static final DurablePromiseKey<String> GO = DurablePromiseKey.of("go", String.class);

  @Workflow
  public String run(WorkflowContext ctx, String text) {
    return text + ":" + ctx.promise(GO).future().await();
  }

  @Shared
  public void finish(SharedWorkflowContext ctx, String value) {
    ctx.promiseHandle(GO).resolve(value);
  }

  @Shared
  public void refuse(SharedWorkflowContext ctx, String reason) {
    ctx.promiseHandle(GO).reject(reason);
  }

  @Shared
  public String peek(SharedWorkflowContext ctx) {
    Output<String> value = ctx.promise(GO).peek();
    return value.isReady() ? value.getValue() : "-";
  }
}
