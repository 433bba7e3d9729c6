package belay.scenario;

import static belay.Checks.eventually;

import belay.Checks;
import belay.Session;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.stub.MetadataUtils;
import spec.proto.runtime.v1.RuntimeProto.TryLockRequest;
import spec.proto.runtime.v1.RuntimeProto.UnlockRequest;
import spec.proto.runtime.v1.RuntimeProto.UnlockResponse;

import java.math.BigInteger;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;

/** TryLock, Unlock (spec 3.8, 3.9), by the generated stub: this version's client has no method for them. */
public final class Locks {

    private static final String               STORE = "lock_demo";
    private static final Metadata.Key<String> TOKEN =
        Metadata.Key.of("belay-fencing-token", Metadata.ASCII_STRING_MARSHALLER);

    private Locks() {
    }

    /** Runs the checks. */
    public static void run(Session session) {
        ownership(session);
        expiry(session);
        fencing(session);
        refusals(session);
    }

    private static boolean take(Session session, String store, String resource, String owner, int expire) {
        return session.stub().tryLock(TryLockRequest.newBuilder()
            .setStoreName(store).setResourceId(resource).setLockOwner(owner).setExpire(expire).build()).getSuccess();
    }

    private static UnlockResponse.Status release(Session session, String store, String resource, String owner) {
        return session.stub().unlock(UnlockRequest.newBuilder()
            .setStoreName(store).setResourceId(resource).setLockOwner(owner).build()).getStatus();
    }

    private static void ownership(Session session) {
        Checks checks = session.checks();
        String resource = session.unique("resource");
        checks.equal("a free lock is granted", () -> take(session, STORE, resource, "a", 100), true);
        checks.equal("a held lock is granted to nobody", () ->
            List.of(take(session, STORE, resource, "b", 100), take(session, STORE, resource, "a", 100)), List.of(false, false));
        checks.equal("another cannot unlock it", () -> release(session, STORE, resource, "b"), UnlockResponse.Status.LOCK_BELONG_TO_OTHERS);
        checks.equal("its owner unlocks it, once", () ->
            List.of(release(session, STORE, resource, "a"), release(session, STORE, resource, "a")),
            List.of(UnlockResponse.Status.SUCCESS, UnlockResponse.Status.LOCK_UNEXIST));
        checks.equal("then another gets it", () -> take(session, STORE, resource, "b", 100), true);
    }

    private static void expiry(Session session) {
        Checks checks = session.checks();
        String resource = session.unique("expiry");
        long granted = System.nanoTime();
        checks.equal("a lock for one second is granted", () -> take(session, STORE, resource, "owner", 1), true);
        checks.holds("it stays for that second and then ends", "950 to 5000 ms", () -> {
            // A stranger's unlock tells whether the lock is there, and changes nothing.
            eventually("the lock ends", () -> release(session, STORE, resource, "stranger") == UnlockResponse.Status.LOCK_UNEXIST);
            return (System.nanoTime() - granted) / 1_000_000;
        }, elapsed -> elapsed >= 950 && elapsed <= 5000);
        checks.equal("after expiry there is nothing for its owner to unlock", () -> release(session, STORE, resource, "owner"),
            UnlockResponse.Status.LOCK_UNEXIST);
    }

    private static void fencing(Session session) {
        String resource = session.unique("fencing");
        session.checks().holds("every grant has a larger fencing token", "a growing pair of decimal numbers",
            () -> List.of(token(session, resource, "a"), token(session, resource, "b")),
            tokens -> new BigInteger(tokens.get(0)).compareTo(new BigInteger(tokens.get(1))) < 0);
    }

    private static String token(Session session, String resource, String owner) {
        AtomicReference<Metadata> headers = new AtomicReference<>();
        session.stub()
            .withInterceptors(MetadataUtils.newCaptureMetadataInterceptor(headers, new AtomicReference<>()))
            .tryLock(TryLockRequest.newBuilder().setStoreName(STORE).setResourceId(resource).setLockOwner(owner).setExpire(100).build());
        release(session, STORE, resource, owner);
        return String.valueOf(headers.get().get(TOKEN));
    }

    private static void refusals(Session session) {
        Checks checks = session.checks();
        Status.Code invalid = Status.Code.INVALID_ARGUMENT;
        checks.refused("an empty resource is refused", () -> take(session, STORE, "", "o", 1), invalid, "ResourceId is empty in lock store " + STORE);
        checks.refused("an empty owner is refused", () -> take(session, STORE, "r", "", 1), invalid, "LockOwner is empty in lock store " + STORE);
        checks.refused("no time is refused", () -> take(session, STORE, "r", "o", 0), invalid, "Expire is not positive in lock store " + STORE);
        checks.refused("an unknown store is named", () -> take(session, "nosuch", "r", "o", 1), invalid, "lock store nosuch not found");
        checks.refused("the owner is looked at before the store", () -> take(session, "nosuch", "r", "", 1),
            invalid, "LockOwner is empty in lock store nosuch");
        checks.refused("the separator is refused", () -> take(session, STORE, "a||b", "o", 1),
            Status.Code.UNKNOWN, "input key/keyPrefix 'a||b' can't contain '||'");
        checks.refused("unlock refuses an empty owner", () -> release(session, STORE, "r", ""), invalid, "LockOwner is empty in lock store " + STORE);
        checks.refused("unlock names an unknown store", () -> release(session, "nosuch", "r", "o"), invalid, "lock store nosuch not found");
    }
}
