package belay.scenario;

import static belay.Checks.beginning;
import static belay.scenario.StateItems.MISMATCH;
import static belay.scenario.StateItems.STORE;

import belay.Checks;
import belay.Session;
import io.grpc.Status;
import spec.proto.runtime.v1.RuntimeProto.DeleteBulkStateRequest;
import spec.proto.runtime.v1.RuntimeProto.Etag;
import spec.proto.runtime.v1.RuntimeProto.StateItem;
import spec.sdk.runtime.v1.client.RuntimeClient;
import spec.sdk.runtime.v1.domain.state.GetBulkStateRequest;
import spec.sdk.runtime.v1.domain.state.SaveStateRequest;
import spec.sdk.runtime.v1.domain.state.State;

import java.util.List;
import java.util.Map;

/** Several keys in one call: SaveState, GetBulkState, DeleteBulkState (spec 3.14, 3.15, 3.17). */
public final class StateBulk {

    private StateBulk() {
    }

    /** Runs the checks. */
    public static void run(Session session) {
        saving(session);
        reading(session);
        deletion(session);
        refusals(session);
    }

    private static void saving(Session session) {
        Checks checks = session.checks();
        RuntimeClient client = session.client();
        checks.succeeds("several keys are saved in one call",
            () -> client.saveBulkState(STORE, List.of(item(session, "a", "value a"), item(session, "b", "value b"))));
        checks.succeeds("a request object and a timeout do the same", () -> {
            SaveStateRequest request = new SaveStateRequest(STORE);
            request.setStates(List.of(item(session, "c", "value c"), item(session, "d", "")));
            client.saveBulkState(request);
            client.saveBulkState(request, 5000);
        });
        checks.succeeds("an empty list is saved", () -> client.saveBulkState(STORE, List.of()));
    }

    private static State<?> item(Session session, String name, String value) {
        return new State<>(session.unique(name), value, "", Map.of(), null);
    }

    private static void reading(Session session) {
        Checks checks = session.checks();
        RuntimeClient client = session.client();
        List<String> keys = List.of(session.unique("c"), session.unique("missing"), session.unique("a"), session.unique("d"), session.unique("a"));
        List<String> expected = List.of(keys.get(0) + "=value c, etag", keys.get(1) + "=", keys.get(2) + "=value a, etag",
            keys.get(3) + "=, etag", keys.get(4) + "=value a, etag");
        checks.equal("each key gets one item in the order of the request", () -> shown(client.getBulkState(STORE, keys, String.class)), expected);
        for (int parallelism : new int[] {1, 10}) {
            GetBulkStateRequest request = new GetBulkStateRequest(STORE, keys);
            request.setParallelism(parallelism);
            request.setMetadata(Map.of("any", "thing"));
            checks.equal("also with parallelism " + parallelism, () -> shown(client.getBulkState(request, String.class)), expected);
        }
        checks.equal("keys may be listed one by one",
            () -> shown(client.getBulkState(new GetBulkStateRequest(STORE, keys.get(2), keys.get(0)), String.class, 5000)),
            List.of(expected.get(2), expected.get(0)));
        checks.equal("bulk and single reads give the same etags",
            () -> client.getBulkState(STORE, keys.subList(0, 1), String.class).get(0).getEtag()
                .equals(client.getState(STORE, keys.get(0), String.class).getEtag()), true);
    }

    private static List<String> shown(List<State<String>> states) {
        return states.stream()
            .map(state -> state.getKey() + "=" + state.getValue() + (state.getEtag() == null ? "" : ", etag")
                + (state.getError() == null ? "" : ", error " + state.getError()))
            .toList();
    }

    // The client has no method for it.
    private static void deletion(Session session) {
        Checks checks = session.checks();
        RuntimeClient client = session.client();
        List<String> keys = List.of(session.unique("a"), session.unique("b"), session.unique("c"));
        checks.equal("absent, empty and right etags delete", () -> {
            String etag = client.getState(STORE, keys.get(2), String.class).getEtag();
            session.stub().deleteBulkState(DeleteBulkStateRequest.newBuilder().setStoreName(STORE)
                .addStates(StateItem.newBuilder().setKey(keys.get(0)))
                .addStates(StateItem.newBuilder().setKey(keys.get(1)).setEtag(Etag.getDefaultInstance()))
                .addStates(StateItem.newBuilder().setKey(keys.get(2)).setEtag(Etag.newBuilder().setValue(etag)))
                .addStates(StateItem.newBuilder().setKey(session.unique("missing")))
                .build());
            return shown(client.getBulkState(STORE, keys, String.class));
        }, keys.stream().map(key -> key + "=").toList());
        String key = session.unique("guarded");
        client.saveState(STORE, key, "old");
        String stale = client.getState(STORE, key, String.class).getEtag();
        client.saveState(STORE, key, "new");
        checks.refused("a stale etag is refused, and the error is not wrapped",
            () -> session.stub().deleteBulkState(DeleteBulkStateRequest.newBuilder().setStoreName(STORE)
                .addStates(StateItem.newBuilder().setKey(key).setEtag(Etag.newBuilder().setValue(stale)))
                .build()),
            Status.Code.UNKNOWN, beginning(MISMATCH));
        checks.equal("a refused delete changes nothing", () -> client.getState(STORE, key, String.class).getValue(), "new");
    }

    private static void refusals(Session session) {
        Checks checks = session.checks();
        RuntimeClient client = session.client();
        checks.refused("a bulk read names an unknown store", () -> client.getBulkState("nosuch", List.of("k"), String.class),
            Status.Code.INVALID_ARGUMENT, "state store nosuch is not found");
        checks.refused("a bulk save names an unknown store", () -> client.saveBulkState("nosuch", List.of(item(session, "k", "v"))),
            Status.Code.INVALID_ARGUMENT, "state store nosuch is not found");
        checks.refused("a bulk read refuses the separator", () -> client.getBulkState(STORE, List.of("k", "a||b"), String.class),
            Status.Code.UNKNOWN, "input key/keyPrefix 'a||b' can't contain '||'");
    }
}
