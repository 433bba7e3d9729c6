package belay.scenario;

import belay.Checks;
import belay.Environment;
import belay.Session;
import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import io.grpc.Status;
import io.mosn.layotto.v1.RuntimeClientBuilder;
import io.mosn.layotto.v1.domain.ApiProtocol;
import io.mosn.layotto.v1.serializer.JSONSerializer;
import org.slf4j.LoggerFactory;
import spec.proto.runtime.v1.RuntimeProto.SayHelloRequest;
import spec.sdk.runtime.v1.client.RuntimeClient;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** SayHello (spec 3.1). The SDK sends its argument as service name and as name. */
public final class Hello {

    private Hello() {
    }

    /** Runs the checks. */
    public static void run(Session session) {
        Checks checks = session.checks();
        RuntimeClient client = session.client();
        checks.equal("the argument is service and name", () -> client.sayHello("helloworld"), "greeting, helloworld");
        checks.equal("a timeout may be given", () -> client.sayHello("helloworld", 5000), "greeting, helloworld");
        checks.refused("an unknown service is refused", () -> client.sayHello("nosuch"), Status.Code.UNKNOWN, "no instance found");
        pooled(session);
        data(session);
    }

    // The pool dials by host and port, so that it has no Unix sockets.
    private static void pooled(Session session) {
        Environment environment = session.environment();
        if (environment.socketPath() != null) {
            return;
        }
        session.checks().equal("a pool of connections works, all builder options set", () -> {
            RuntimeClient pool = new RuntimeClientBuilder()
                .withIp(environment.host())
                .withPort(environment.port())
                .withApiProtocol(ApiProtocol.GRPC)
                .withConnectionPoolSize(3)
                .withTimeout(2000)
                .withStateSerializer(new JSONSerializer())
                .withLogger(LoggerFactory.getLogger(Hello.class))
                .build();
            try {
                List<String> greetings = new ArrayList<>();
                while (greetings.size() < 6) {
                    greetings.add(pool.sayHello("helloworld"));
                }
                return greetings;
            } finally {
                pool.shutdown();
            }
        }, Collections.nCopies(6, "greeting, helloworld"));
    }

    // The client has no argument for `data`.
    private static void data(Session session) {
        Any data = Any.newBuilder().setTypeUrl("example.com/anything").setValue(ByteString.copyFrom(new byte[] {0, 1, -1})).build();
        SayHelloRequest request = SayHelloRequest.newBuilder().setServiceName("helloworld").setData(data).build();
        session.checks().equal("without a name the bare greeting comes back, data unchanged", () -> {
            var answer = session.stub().sayHello(request);
            return List.of(answer.getHello(), answer.getData());
        }, List.of("greeting", data));
    }
}
