package belay.scenario;

import static belay.Checks.beginning;

import belay.Checks;
import belay.Echo;
import belay.Session;
import com.google.protobuf.ByteString;
import io.grpc.Status;
import spec.proto.runtime.v1.RuntimeProto.InvokeBindingRequest;
import spec.proto.runtime.v1.RuntimeProto.InvokeBindingResponse;

import java.util.List;
import java.util.Map;

/** InvokeBinding (spec 3.26) by the generated stub, for the client has no method for it; over the echo app. */
public final class Binding {

    private static final String FAILING   = "error when invoke output binding bindings_demo: ";
    private static final String JSON_TYPE = "application/json; charset=utf-8";

    private Binding() {
    }

    /** Runs the checks. */
    public static void run(Session session) throws Exception {
        Echo echo = Echo.check(session);
        Checks checks = session.checks();
        checks.equal("get reaches the app without a body, and the answer says how it went", () -> {
            InvokeBindingResponse answer = invoke(session, "bindings_demo", "get", "lost", Map.of("path", "/hello"));
            return List.of(answer.getMetadataOrThrow("Asked"), answer.getData().toStringUtf8(), answer.getMetadataOrThrow("statusCode"),
                answer.getMetadataOrThrow("status"));
        }, List.of("GET /hello", "", "200", "200 OK"));
        checks.equal("post sends the body, by default as JSON", () -> {
            InvokeBindingResponse answer = invoke(session, "bindings_demo", "post", "{}", Map.of("path", "/hello"));
            return List.of(answer.getMetadataOrThrow("Asked"), answer.getData().toStringUtf8(), answer.getMetadataOrThrow("Content-Type"));
        }, List.of("POST /hello", "{}", JSON_TYPE));
        echo.whenTold("which metadata becomes a header", () -> {
            checks.equal("metadata with an upper-case letter becomes a header", () -> heard(session, "token", "Token"), "abc");
            checks.equal("other metadata does not", () -> heard(session, "lower", "lower"), "");
        });
        refusals(session);
        echo.whenTold("a status outside 2xx", () -> checks.refused("a status outside 2xx is an error",
            () -> invoke(session, "bindings_demo", "get", "", Map.of("path", "/status/404")),
            Status.Code.INTERNAL, FAILING + "received status code 404"));
    }

    private static String heard(Session session, String header, String metadataKey) {
        Map<String, String> metadata = Map.of("path", "/heard/" + header, metadataKey, "abc");
        return invoke(session, "bindings_demo", "get", "", metadata).getData().toStringUtf8();
    }

    private static InvokeBindingResponse invoke(Session session, String name, String operation, String data, Map<String, String> metadata) {
        return session.stub().invokeBinding(InvokeBindingRequest.newBuilder()
            .setName(name).setOperation(operation).setData(ByteString.copyFromUtf8(data)).putAllMetadata(metadata).build());
    }

    private static void refusals(Session session) {
        Checks checks = session.checks();
        Map<String, String> path = Map.of("path", "/hello");
        checks.refused("an empty operation is refused", () -> invoke(session, "bindings_demo", "", "", path),
            Status.Code.INTERNAL, FAILING + "operation field is missing from request");
        checks.refused("an unknown binding is named", () -> invoke(session, "nosuch", "get", "", path),
            Status.Code.INTERNAL, "error when invoke output binding nosuch: couldn't find output binding nosuch");
        checks.refused("an operation that is not offered is named", () -> invoke(session, "bindings_demo", "list", "", path),
            Status.Code.INTERNAL, beginning(FAILING + "binding bindings_demo does not support operation list. supported operations:"));
    }
}
