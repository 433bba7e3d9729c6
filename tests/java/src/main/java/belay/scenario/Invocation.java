package belay.scenario;

import belay.Checks;
import belay.Echo;
import belay.Session;
import io.grpc.Status;
import spec.sdk.runtime.v1.domain.invocation.InvokeResponse;

import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * InvokeService over HTTP (spec 3.2): {@code HelloService:1.0} is the echo app. The SDK sends neither verb nor content
 * type, so that everything is a GET, with a body.
 */
public final class Invocation {

    private static final String ID = "HelloService:1.0";

    private Invocation() {
    }

    /** Runs the checks. */
    public static void run(Session session) throws Exception {
        Echo echo = Echo.check(session);
        Checks checks = session.checks();
        byte[] data = "hello runtime, grüß dich".getBytes(StandardCharsets.UTF_8);
        checks.equal("the demo call brings back what it sent", () -> text(session, "/hello", data, Map.of()), "hello runtime, grüß dich");
        // The echo app answers with the type it was sent.
        checks.equal("no content type was sent, gRPC's own does not travel on",
            () -> session.client().invokeMethod(ID, "/hello", data, Map.of()).getContentType(), "");
        checks.equal("a timeout may be given, the body may be empty",
            () -> session.client().invokeMethod(ID, "/hello", new byte[0], Map.of(), 5000).getData(), new byte[0]);
        byte[] large = new byte[1024 * 1024];
        checks.equal("1 MiB goes and comes", () -> session.client().invokeMethod(ID, "/hello", large, Map.of()).getData().length, large.length);
        echo.whenTold("what the app hears", () -> heard(session));
    }

    private static void heard(Session session) {
        Checks checks = session.checks();
        byte[] data = {1, 2, 3};
        checks.equal("everything is a GET", () -> text(session, "/asked", data, Map.of()), "GET /asked");
        checks.equal("headers travel on", () -> text(session, "/heard/x-trace-id", data, Map.of("x-trace-id", "abc")), "abc");
        checks.equal("so does the SDK's own timeout", () -> text(session, "/heard/timeout", data, Map.of()), "3000");
        checks.equal("the service id is a header", () -> text(session, "/heard/id", data, Map.of()), ID);
        checks.equal("what belongs to the gRPC connection stays behind", () -> text(session, "/heard/te", data, Map.of()), "");
        checks.refused("a status other than 200 is an error", () -> session.client().invokeMethod(ID, "/status/404", data, Map.of()),
            Status.Code.UNAVAILABLE, "http response code 404, body: no such thing");
    }

    private static String text(Session session, String method, byte[] data, Map<String, String> headers) {
        InvokeResponse<byte[]> answer = session.client().invokeMethod(ID, method, data, headers);
        return new String(answer.getData(), StandardCharsets.UTF_8);
    }
}
