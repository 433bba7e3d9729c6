package belay.scenario;

import static belay.Checks.beginning;
import static belay.Checks.eventually;

import belay.Checks;
import belay.Session;
import io.grpc.Status;
import spec.sdk.runtime.v1.client.RuntimeClient;
import spec.sdk.runtime.v1.domain.state.DeleteStateRequest;
import spec.sdk.runtime.v1.domain.state.GetStateRequest;
import spec.sdk.runtime.v1.domain.state.State;
import spec.sdk.runtime.v1.domain.state.StateOptions;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** GetState, SaveState, DeleteState (spec 3.12 to 3.16). The SDK sends no etag where it is null, and an empty one as it is. */
public final class StateItems {

    static final String STORE    = "state_demo";
    static final String MISMATCH = "possible etag mismatch. error from state store";

    private static final StateOptions FIRST_WRITE =
        new StateOptions(StateOptions.Consistency.STRONG, StateOptions.Concurrency.FIRST_WRITE);
    private static final StateOptions LAST_WRITE =
        new StateOptions(StateOptions.Consistency.EVENTUAL, StateOptions.Concurrency.LAST_WRITE);

    private StateItems() {
    }

    /** A value that the SDK stores as JSON. */
    public static final class Account {
        public String owner;
        public long   balance;

        @Override
        public boolean equals(Object other) {
            return other instanceof Account account && Objects.equals(owner, account.owner) && balance == account.balance;
        }

        @Override
        public int hashCode() {
            return Objects.hash(owner, balance);
        }

        @Override
        public String toString() {
            return owner + " has " + balance;
        }
    }

    /** Runs the checks. */
    public static void run(Session session) {
        values(session);
        expiry(session);
        etags(session);
        firstWrite(session);
        lastWrite(session);
        deletion(session);
        refusals(session);
    }

    private static void values(Session session) {
        Checks checks = session.checks();
        RuntimeClient client = session.client();
        checks.equal("a missing key is an empty value without an etag", () -> {
            State<String> missing = client.getState(STORE, session.unique("missing"), String.class);
            return Arrays.asList(missing.getValue(), missing.getEtag());
        }, Arrays.asList("", null));
        checks.equal("text comes back byte for byte", () -> {
            client.saveState(STORE, session.unique("text"), "hello world, grüß dich, 世界");
            return client.getState(STORE, session.unique("text"), String.class).getValue();
        }, "hello world, grüß dich, 世界");
        byte[] bytes = new byte[512];
        for (int index = 0; index < bytes.length; index++) {
            bytes[index] = (byte) index;
        }
        checks.equal("all byte values come back", () -> {
            client.saveState(STORE, session.unique("bytes"), bytes);
            return client.getState(STORE, session.unique("bytes"), byte[].class).getValue();
        }, bytes);
        Account account = new Account();
        account.owner = "eva \"the\" müller";
        account.balance = 9007199254740993L;
        checks.equal("an object comes back", () -> {
            client.saveState(STORE, session.unique("object"), account);
            return client.getState(STORE, session.unique("object"), Account.class).getValue();
        }, account);
        checks.equal("options, metadata and a timeout make no difference to a read", () -> {
            GetStateRequest request = new GetStateRequest(STORE, session.unique("text"));
            request.setMetadata(Map.of("any", "thing"));
            return List.of(client.getState(STORE, session.unique("text"), FIRST_WRITE, String.class).getValue(),
                client.getState(request, String.class).getValue(),
                client.getState(request, String.class, 5000).getValue());
        }, List.of("hello world, grüß dich, 世界", "hello world, grüß dich, 世界", "hello world, grüß dich, 世界"));
        checks.equal("an empty value is not a missing key", () -> {
            client.saveState(STORE, session.unique("empty"), "");
            State<String> empty = client.getState(STORE, session.unique("empty"), String.class);
            return Arrays.asList(empty.getValue(), empty.getEtag() != null);
        }, Arrays.asList("", true));
    }

    private static void expiry(Session session) {
        RuntimeClient client = session.client();
        String key = session.unique("expiry");
        session.checks().equal("ttlInSeconds ends a value", () -> {
            client.saveState(STORE, key, null, "short-lived", null, Map.of("ttlInSeconds", "1"));
            String before = client.getState(STORE, key, String.class).getValue();
            eventually("the value ends", () -> client.getState(STORE, key, String.class).getEtag() == null);
            return List.of(before, client.getState(STORE, key, String.class).getValue());
        }, List.of("short-lived", ""));
    }

    private static void etags(Session session) {
        Checks checks = session.checks();
        RuntimeClient client = session.client();
        String key = session.unique("etag");
        List<String> seen = new ArrayList<>();
        checks.holds("every write makes a new etag, unchanged values included", "4 different etags, none null", () -> {
            for (String etag : Arrays.asList(null, "", "0", null)) {
                client.saveState(STORE, key, etag, "a", null, null);
                seen.add(client.getState(STORE, key, String.class).getEtag());
            }
            return seen;
        }, etags -> etags.size() == 4 && !etags.contains(null) && new HashSet<>(etags).size() == 4);
        checks.refused("a stale etag is refused", () -> client.saveState(STORE, key, seen.get(0), "x", null, null),
            Status.Code.ABORTED, beginning("failed saving state in state store " + STORE + ": " + MISMATCH));
        checks.equal("a refused save changes nothing", () -> {
            State<String> state = client.getState(STORE, key, String.class);
            return List.of(state.getValue(), state.getEtag());
        }, List.of("a", seen.get(3)));
        checks.equal("the right etag is accepted", () -> {
            client.saveState(STORE, key, seen.get(3), "b", null, Map.of());
            return client.getState(STORE, key, String.class).getValue();
        }, "b");
    }

    private static void firstWrite(Session session) {
        Checks checks = session.checks();
        RuntimeClient client = session.client();
        String key = session.unique("first-write");
        checks.succeeds("FIRST_WRITE without an etag creates a key", () -> client.saveState(STORE, key, null, "a", FIRST_WRITE, null));
        for (String etag : Arrays.asList(null, "", "0")) {
            checks.refused("FIRST_WRITE with the etag " + (etag == null ? "absent" : "'" + etag + "'") + " on an existing key is refused",
                () -> client.saveState(STORE, key, etag, "b", FIRST_WRITE, null),
                Status.Code.ABORTED, beginning("failed saving state in state store " + STORE + ": " + MISMATCH));
        }
        checks.equal("FIRST_WRITE with the right etag is accepted", () -> {
            State<String> first = client.getState(STORE, key, String.class);
            client.saveState(STORE, key, first.getEtag(), first.getValue() + "b", FIRST_WRITE, null);
            return client.getState(STORE, key, String.class).getValue();
        }, "ab");
    }

    private static void lastWrite(Session session) {
        RuntimeClient client = session.client();
        for (String name : List.of("missing", "existing")) {
            String key = session.unique("last-write-" + name);
            session.checks().equal("LAST_WRITE takes no notice of the etag 2 on a key that is " + name, () -> {
                if (name.equals("existing")) {
                    client.saveState(STORE, key, "first");
                }
                client.saveState(STORE, key, "2", "last", LAST_WRITE, null);
                return client.getState(STORE, key, String.class).getValue();
            }, "last");
        }
    }

    private static void deletion(Session session) {
        Checks checks = session.checks();
        RuntimeClient client = session.client();
        String key = session.unique("deletion");
        checks.equal("a delete without an etag deletes", () -> {
            client.saveState(STORE, key, "a");
            client.deleteState(STORE, key);
            return client.getState(STORE, key, String.class).getValue();
        }, "");
        checks.succeeds("deleting a missing key is no error", () -> client.deleteState(STORE, key));
        checks.equal("a delete with an empty etag deletes", () -> {
            client.saveState(STORE, key, "a");
            client.deleteState(STORE, key, "", null);
            return client.getState(STORE, key, String.class).getValue();
        }, "");
        client.saveState(STORE, key, "b");
        String stale = client.getState(STORE, key, String.class).getEtag();
        client.saveState(STORE, key, "c");
        checks.refused("a delete with a stale etag is refused", () -> client.deleteState(STORE, key, stale, FIRST_WRITE),
            Status.Code.ABORTED, beginning("failed deleting state with key " + key + ": " + MISMATCH));
        checks.equal("a refused delete changes nothing", () -> client.getState(STORE, key, String.class).getValue(), "c");
        checks.equal("a delete with the right etag deletes", () -> {
            DeleteStateRequest request = new DeleteStateRequest(STORE, key);
            request.setEtag(client.getState(STORE, key, String.class).getEtag());
            request.setStateOptions(FIRST_WRITE);
            request.setMetadata(Map.of("any", "thing"));
            client.deleteState(request);
            client.deleteState(new DeleteStateRequest(STORE, key), 5000);
            return client.getState(STORE, key, byte[].class).getValue();
        }, "".getBytes(StandardCharsets.UTF_8));
    }

    private static void refusals(Session session) {
        Checks checks = session.checks();
        RuntimeClient client = session.client();
        String wrongStore = "state store nosuch is not found";
        checks.refused("get names an unknown store", () -> client.getState("nosuch", "k", String.class),
            Status.Code.INVALID_ARGUMENT, wrongStore);
        checks.refused("save names an unknown store", () -> client.saveState("nosuch", "k", "v"), Status.Code.INVALID_ARGUMENT, wrongStore);
        checks.refused("delete names an unknown store", () -> client.deleteState("nosuch", "k"), Status.Code.INVALID_ARGUMENT, wrongStore);
        String separator = "input key/keyPrefix 'a||b' can't contain '||'";
        checks.refused("get refuses the separator", () -> client.getState(STORE, "a||b", String.class), Status.Code.UNKNOWN, separator);
        checks.refused("save refuses the separator", () -> client.saveState(STORE, "a||b", "v"), Status.Code.UNKNOWN, separator);
        checks.refused("delete refuses the separator", () -> client.deleteState(STORE, "a||b"), Status.Code.UNKNOWN, separator);
    }
}
