package belay.scenario;

import static belay.Checks.beginning;
import static belay.scenario.StateItems.STORE;

import belay.Checks;
import belay.Session;
import io.grpc.Status;
import spec.sdk.runtime.v1.client.RuntimeClient;
import spec.sdk.runtime.v1.domain.state.ExecuteStateTransactionRequest;
import spec.sdk.runtime.v1.domain.state.State;
import spec.sdk.runtime.v1.domain.state.TransactionalStateOperation;
import spec.sdk.runtime.v1.domain.state.TransactionalStateOperation.OperationType;

import java.util.List;
import java.util.Map;

/** ExecuteStateTransaction (spec 3.18). */
public final class StateTransaction {

    private StateTransaction() {
    }

    /** Runs the checks. */
    public static void run(Session session) {
        outcomes(session);
        order(session);
        expectations(session);
        refusals(session);
    }

    private static TransactionalStateOperation<?> upsert(String key, String value, String etag) {
        return new TransactionalStateOperation<>(OperationType.UPSERT, new State<>(key, value, etag));
    }

    private static TransactionalStateOperation<?> delete(String key, String etag) {
        return new TransactionalStateOperation<>(OperationType.DELETE, new State<>(key, (String) null, etag));
    }

    /** What the keys hold; the SDK gives an empty value for a missing key. */
    private static List<String> contents(Session session, String... keys) {
        return session.client().getBulkState(STORE, List.of(keys), String.class).stream().map(State::getValue).toList();
    }

    private static void outcomes(Session session) {
        Checks checks = session.checks();
        RuntimeClient client = session.client();
        String existing = session.unique("existing");
        String fresh = session.unique("fresh");
        String gone = session.unique("gone");
        client.saveState(STORE, existing, "old");
        client.saveState(STORE, gone, "old");
        checks.equal("empty etags expect nothing, on existing and new keys alike", () -> {
            client.executeStateTransaction(STORE, List.of(upsert(existing, "new", ""), upsert(fresh, "new", ""), delete(gone, "")));
            return contents(session, existing, fresh, gone);
        }, List.of("new", "new", ""));
        checks.equal("absent etags expect nothing either", () -> {
            ExecuteStateTransactionRequest request = new ExecuteStateTransactionRequest(STORE);
            request.setOperations(List.of(upsert(existing, "newer", null), upsert(gone, "newer", null), delete(fresh, null)));
            request.setMetadata(Map.of("any", "thing"));
            client.executeStateTransaction(request);
            return contents(session, existing, fresh, gone);
        }, List.of("newer", "", "newer"));
        checks.equal("an object comes back", () -> {
            StateItems.Account account = new StateItems.Account();
            account.owner = "eva";
            account.balance = 1;
            client.executeStateTransaction(STORE,
                List.of(new TransactionalStateOperation<>(OperationType.UPSERT, new State<>(existing, account, ""))));
            return client.getState(STORE, existing, StateItems.Account.class).getValue().toString();
        }, "eva has 1");
    }

    private static void order(Session session) {
        String first = session.unique("1");
        String second = session.unique("2");
        String third = session.unique("3");
        for (String round : List.of("operations take effect in their order", "also when the keys were there before")) {
            session.checks().equal(round, () -> {
                session.client().executeStateTransaction(STORE, List.of(upsert(first, "x", ""), delete(first, ""),
                    upsert(second, "x", ""), delete(third, ""), upsert(third, "x", "")));
                return contents(session, first, second, third);
            }, List.of("", "x", "x"));
        }
    }

    private static void expectations(Session session) {
        Checks checks = session.checks();
        RuntimeClient client = session.client();
        String guarded = session.unique("guarded");
        String other = session.unique("other");
        client.saveState(STORE, guarded, "a");
        String stale = client.getState(STORE, guarded, String.class).getEtag();
        client.saveState(STORE, guarded, "b");
        String current = client.getState(STORE, guarded, String.class).getEtag();
        checks.refused("a stale etag fails an upsert",
            () -> client.executeStateTransaction(STORE, List.of(upsert(other, "x", ""), upsert(guarded, "x", stale))),
            Status.Code.INTERNAL, beginning("error while executing state transaction: "));
        checks.refused("a stale etag fails a delete",
            () -> client.executeStateTransaction(STORE, List.of(upsert(other, "x", ""), delete(guarded, stale))),
            Status.Code.INTERNAL, beginning("error while executing state transaction: "));
        checks.equal("then nothing of the transaction happens", () -> contents(session, guarded, other), List.of("b", ""));
        checks.equal("the right etag is accepted", () -> {
            client.executeStateTransaction(STORE, List.of(upsert(other, "x", ""), upsert(guarded, "c", current)));
            return contents(session, guarded, other);
        }, List.of("c", "x"));
    }

    private static void refusals(Session session) {
        Checks checks = session.checks();
        RuntimeClient client = session.client();
        checks.refused("an unknown store is named", () -> client.executeStateTransaction("nosuch", List.of(upsert("k", "v", ""))),
            Status.Code.INVALID_ARGUMENT, "state store nosuch is not found");
        checks.refused("the separator is refused",
            () -> client.executeStateTransaction(STORE, List.of(upsert(session.unique("k"), "v", ""), upsert("a||b", "v", ""))),
            Status.Code.UNKNOWN, "input key/keyPrefix 'a||b' can't contain '||'");
        checks.equal("and nothing happens", () -> contents(session, session.unique("k")), List.of(""));
    }
}
