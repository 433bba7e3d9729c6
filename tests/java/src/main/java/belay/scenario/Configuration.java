package belay.scenario;

import static belay.Checks.eventually;

import belay.Checks;
import belay.Session;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import spec.proto.runtime.v1.RuntimeProto.ConfigurationItem;
import spec.proto.runtime.v1.RuntimeProto.DeleteConfigurationRequest;
import spec.proto.runtime.v1.RuntimeProto.GetConfigurationRequest;
import spec.proto.runtime.v1.RuntimeProto.SaveConfigurationRequest;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** The configuration calls (spec 3.3 to 3.7), by the generated stub: this version's client has no method for them. */
public final class Configuration {

    static final String         STORE         = "config_demo";
    static final String         APP_ID        = "apollo-test";
    private static final String UNKNOWN_STORE = "configure store [nosuch] don't support now";

    private Configuration() {
    }

    /** Runs the checks. */
    public static void run(Session session) throws Exception {
        reading(session);
        changesInOrder(session);
        severalWatches(session);
        refusals(session);
    }

    static void save(Session session, String store, String key, String content) {
        session.stub().saveConfiguration(SaveConfigurationRequest.newBuilder().setStoreName(store).setAppId(APP_ID)
            .addItems(ConfigurationItem.newBuilder().setKey(key).setContent(content)).build());
    }

    private static void delete(Session session, String store, String... keys) {
        session.stub().deleteConfiguration(
            DeleteConfigurationRequest.newBuilder().setStoreName(store).setAppId(APP_ID).addAllKeys(List.of(keys)).build());
    }

    private static List<String> get(Session session, String store, String... keys) {
        return session.stub().getConfiguration(
            GetConfigurationRequest.newBuilder().setStoreName(store).setAppId(APP_ID).addAllKeys(List.of(keys)).build())
            .getItemsList().stream().map(item -> item.getKey() + "=" + item.getContent()).toList();
    }

    private static void reading(Session session) {
        Checks checks = session.checks();
        String first = session.unique("haha");
        String second = session.unique("key1");
        checks.equal("items are read in the order of the request, missing ones left out", () -> {
            save(session, STORE, first, "1");
            save(session, STORE, second, "grüß dich");
            return get(session, STORE, second, session.unique("missing"), first);
        }, List.of(second + "=grüß dich", first + "=1"));
        checks.equal("a delete takes exactly its key", () -> {
            save(session, STORE, first + "0", "longer");
            delete(session, STORE, first, session.unique("missing"));
            return get(session, STORE, first, first + "0");
        }, List.of(first + "0=longer"));
    }

    private static void changesInOrder(Session session) throws Exception {
        Checks checks = session.checks();
        String key = session.unique("heihei");
        String later = session.unique("later");
        Watch watch = new Watch(session, "order", STORE, List.of(key));
        checks.equal("each change comes once, in order, and deletion as an item with empty content", () -> {
            watch.live();
            for (String content : List.of("heihei1", "heihei2", "heihei3", "heihei2")) {
                save(session, STORE, key, content);
            }
            save(session, STORE, later, "not subscribed yet");
            delete(session, STORE, key);
            save(session, STORE, key, "heihei4");
            return watch.settled(6);
        }, Stream.of("heihei1", "heihei2", "heihei3", "heihei2", "", "heihei4").map(content -> key + "=" + content).toList());
        checks.equal("another request on the stream adds keys", () -> {
            watch.add(STORE, List.of(later));
            // A store may give the present value at once; so that it need not be told apart, it is gone by then.
            delete(session, STORE, later);
            eventually("a change of the added key arrives", () -> {
                save(session, STORE, later, "x");
                return watch.messages().stream().flatMap(message -> message.getItemsList().stream())
                    .anyMatch(item -> item.getKey().equals(later) && item.getContent().equals("x"));
            });
            return true;
        }, true);
        checks.equal("every message names store and app and has items", () -> watch.messages().stream()
            .filter(message -> message.getItemsCount() == 0 || !message.getStoreName().equals(STORE) || !message.getAppId().equals(APP_ID))
            .count(), 0L);
        watch.cancel();
    }

    private static void severalWatches(Session session) throws Exception {
        Checks checks = session.checks();
        String key = session.unique("shared");
        Watch first = new Watch(session, "first", STORE, List.of(key));
        Watch second = new Watch(session, "second", STORE, List.of(key));
        checks.equal("two subscriptions both see a change", () -> {
            first.live();
            second.live();
            save(session, STORE, key, "1");
            return List.of(first.settled(1), second.settled(1));
        }, List.of(List.of(key + "=1"), List.of(key + "=1")));
        checks.equal("the end of one leaves the other alone, and so does the end of sending", () -> {
            first.cancel();
            eventually("the first is closed", first::ended);
            second.endSending();
            save(session, STORE, key, "2");
            return Arrays.asList(second.settled(2), second.ended());
        }, Arrays.asList(List.of(key + "=1", key + "=2"), false));
        checks.equal("a hundred quick changes come, each once", () -> {
            IntStream.range(0, 100).forEach(index -> save(session, STORE, key, "n" + index));
            List<String> changes = second.settled(102);
            return changes.subList(2, changes.size());
        }, IntStream.range(0, 100).mapToObj(index -> key + "=n" + index).toList());
        second.cancel();
    }

    private static void refusals(Session session) {
        Checks checks = session.checks();
        checks.refused("get names an unknown store", () -> get(session, "nosuch", "k"), Status.Code.UNKNOWN, UNKNOWN_STORE);
        checks.refused("save names an unknown store", () -> save(session, "nosuch", "k", "v"), Status.Code.UNKNOWN, UNKNOWN_STORE);
        checks.refused("delete names an unknown store", () -> delete(session, "nosuch", "k"), Status.Code.UNKNOWN, UNKNOWN_STORE);
        checks.refused("a subscription to an unknown store ends with the reason", () -> {
            Watch watch = new Watch(session, "nosuch", "nosuch", List.of("k"));
            eventually("the stream ends", watch::ended);
            throw (StatusRuntimeException) watch.error();
        }, Status.Code.UNKNOWN, UNKNOWN_STORE);
    }
}
