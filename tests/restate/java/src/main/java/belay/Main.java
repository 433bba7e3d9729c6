package belay;

import dev.restate.sdk.endpoint.Endpoint;
import dev.restate.sdk.http.vertx.RestateHttpServer;
import io.vertx.core.http.HttpServerOptions;
import java.nio.file.Path;
import java.time.Duration;

/** The services of ../README.md, with the unmodified Java SDK: {@code belay.Main PORT FILE}. */
public final class Main {
  private Main() {}

  public static void main(String[] arguments) {
    Notes.in(Path.of(arguments[1]));
    Endpoint endpoint =
        Endpoint.bind(new Greeter())
            .bind(new Idle(), service -> service.inactivityTimeout(Duration.ofMillis(100)))
            .bind(
                new Counter(),
                object -> object.configureHandler("lazy", lazy -> lazy.enableLazyState(true)))
            .bind(new Wf())
            .build();
    HttpServerOptions options = new HttpServerOptions().setHost("127.0.0.1");
    RestateHttpServer.fromEndpoint(endpoint, options)
        .listen(Integer.parseInt(arguments[0]))
        .onFailure(
            cause -> {
              cause.printStackTrace();
              System.exit(1);
            });
  }
}
