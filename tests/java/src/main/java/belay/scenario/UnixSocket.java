package belay.scenario;

import belay.Checks;
import belay.Environment;
import belay.Session;
import spec.sdk.runtime.v1.client.RuntimeClient;
import spec.sdk.runtime.v1.domain.file.GetFileRequest;
import spec.sdk.runtime.v1.domain.file.PutFileRequest;

import java.io.ByteArrayInputStream;
import java.nio.file.Path;
import java.util.Map;

/** The same API over a Unix domain socket (spec 2.1): a few calls of each shape. */
public final class UnixSocket {

    private UnixSocket() {
    }

    /** Runs the checks. */
    public static void run(Session session) {
        Checks checks = session.checks();
        RuntimeClient client = session.client();
        checks.equal("the greeting comes back", () -> client.sayHello("helloworld"), "greeting, helloworld");
        checks.equal("a value comes back", () -> {
            client.saveState("state_demo", session.unique("key"), "over a socket");
            return client.getState("state_demo", session.unique("key"), String.class).getValue();
        }, "over a socket");
        checks.equal("streams work in both directions", () -> {
            String folder = Environment.require(session.environment().workFolder(), "BELAY_WORK_DIR");
            PutFileRequest put = new PutFileRequest();
            put.setStoreName("file_demo");
            put.setFileName(Path.of(folder, session.unique("streamed")).toString());
            put.setMetaData(Map.of("FileMode", "420", "FileFlag", "578"));
            put.setIn(new ByteArrayInputStream(new byte[300_000]));
            client.putFile(put, 5000);
            GetFileRequest get = new GetFileRequest();
            get.setStoreName("file_demo");
            get.setFileName(put.getFileName());
            return client.getFile(get, 5000).getIn().readAllBytes().length;
        }, 300_000);
    }
}
