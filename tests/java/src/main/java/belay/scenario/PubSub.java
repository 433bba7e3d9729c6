package belay.scenario;

import static belay.Checks.beginning;
import static belay.Checks.eventually;
import static belay.scenario.Subscriptions.DROPPED;
import static belay.scenario.Subscriptions.FLAKY;
import static belay.scenario.Subscriptions.PUBSUB;
import static belay.scenario.Subscriptions.STEADY;

import belay.Checks;
import belay.Session;
import com.google.protobuf.ByteString;
import io.grpc.Status;
import spec.sdk.runtime.v1.client.RuntimeClient;
import spec.sdk.runtime.v1.domain.pubsub.TopicEventRequest;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/** PublishEvent and OnTopicEvent (spec 4), with the SDK's own callback server. */
public final class PubSub {

    private static final String UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";

    private PubSub() {
    }

    /** Runs the checks. */
    public static void run(Session session) {
        Subscriptions subscriptions = new Subscriptions(session);
        session.checks().succeeds("the listed topics are subscribed to", subscriptions::start);
        events(session, subscriptions);
        types(session, subscriptions);
        redelivery(session, subscriptions);
        absences(session, subscriptions);
        refusals(session);
        session.checks().succeeds("the callback server stops while the sidecar is connected", subscriptions::stop);
    }

    private static void events(Session session, Subscriptions subscriptions) {
        Checks checks = session.checks();
        String mark = session.unique("plain");
        checks.equal("an event arrives as text, byte for byte", () -> {
            subscriptions.publish(STEADY, "plain", mark);
            return Subscriptions.text(subscriptions.arrival(mark));
        }, subscriptions.event("plain", mark));
        checks.equal("the envelope has its fixed attributes", () -> {
            TopicEventRequest event = subscriptions.arrival(mark);
            return List.of(event.getId().matches(UUID), event.getSource(), event.getType(), event.getSpecVersion(), event.getContentType(),
                event.getTopic(), event.getPubsubName(), event.getMetadata());
        }, List.of(true, "runtime", "com.runtime.event.sent", "1.0", "text/plain", STEADY, PUBSUB, Map.of()));
        String timed = session.unique("timed");
        checks.equal("metadata may go with it", () -> {
            session.client().publishEvent(PUBSUB, STEADY, timed.getBytes(StandardCharsets.UTF_8), Map.of("ttlInSeconds", "60"));
            return Subscriptions.text(subscriptions.arrival(timed));
        }, timed);
        checks.equal("an acknowledged event comes once", () -> subscriptions.marked(mark).size(), 1);
        String many = session.unique("many");
        checks.equal("50 events at once all arrive, each once", () -> {
            IntStream.range(0, 50).parallel().forEach(index -> subscriptions.publish(STEADY, "n" + (100 + index), many));
            eventually("50 arrive", () -> subscriptions.marked(many).size() >= 50);
            return subscriptions.marked(many).stream().map(Subscriptions::text).sorted().toList();
        }, IntStream.range(0, 50).mapToObj(index -> subscriptions.event("n" + (100 + index), many)).toList());
    }

    private static void types(Session session, Subscriptions subscriptions) {
        Checks checks = session.checks();
        RuntimeClient client = session.client();
        String digits = session.unique("digits");
        String numbers = "[1.23456789,9007199254740993,1.2e-7,0.1000000000000000055511151231257827]";
        checks.equal("JSON numbers arrive to the digit", () -> {
            String json = "{\"mark\":\"" + digits + "\",\"numbers\":" + numbers + "}";
            client.publishEvent(PUBSUB, STEADY, json.getBytes(StandardCharsets.UTF_8), "application/json", Map.of());
            String text = Subscriptions.text(subscriptions.arrival(digits));
            // The exponent may be written in another way that means the same.
            return text.substring(text.indexOf('[')).replace("}", "").replace("E", "e").replace("1.2e-07", "1.2e-7");
        }, numbers);
        String bytes = session.unique("bytes");
        byte[] data = (bytes + "\0\u0080\u00ff").getBytes(StandardCharsets.ISO_8859_1);
        for (String type : List.of("application/octet-stream", "text/plain", "application/x-foo")) {
            checks.equal("bytes that are no UTF-8 arrive under " + type, () -> {
                int before = subscriptions.marked(bytes).size();
                client.publishEvent(PUBSUB, STEADY, data, type, null);
                eventually("the event arrives", () -> subscriptions.marked(bytes).size() > before);
                TopicEventRequest event = subscriptions.marked(bytes).get(before);
                return List.of(event.getContentType(), ByteString.copyFrom(event.getData()));
            }, List.of(type, ByteString.copyFrom(data)));
        }
    }

    private static void redelivery(Session session, Subscriptions subscriptions) {
        Checks checks = session.checks();
        String mark = session.unique("redelivered");
        checks.equal("an event whose handler throws comes again, the same", () -> {
            subscriptions.publish(FLAKY, "throw", mark);
            eventually("it comes again", () -> subscriptions.marked(mark).size() >= 2);
            List<TopicEventRequest> both = subscriptions.marked(mark);
            return List.of(both.get(0).getId().equals(both.get(1).getId()), Subscriptions.text(both.get(1)));
        }, List.of(true, subscriptions.event("throw", mark)));
        checks.equal("once handled it comes no more", () -> {
            String later = session.unique("later");
            subscriptions.awaitRedelivery(later);
            return List.of(subscriptions.marked(mark).size(), subscriptions.marked(later).size());
        }, List.of(2, 2));
        checks.equal("an event that is answered with a gRPC error comes again", () -> {
            String error = session.unique("error");
            subscriptions.publish(FLAKY, "error", error);
            return Subscriptions.text(subscriptions.arrival(error));
        }, subscriptions.event("error", session.unique("error")));
    }

    private static void absences(Session session, Subscriptions subscriptions) {
        Checks checks = session.checks();
        checks.equal("an event that the app drops comes once", () -> {
            String dropped = session.unique("dropped");
            subscriptions.publish(DROPPED, "dropped", dropped);
            subscriptions.arrival(dropped);
            subscriptions.awaitRedelivery(session.unique("past-drop"));
            return subscriptions.marked(dropped).size();
        }, 1);
        checks.equal("a topic that is not listed gets nothing", () -> {
            String nowhere = session.unique("nowhere");
            subscriptions.publish(session.unique("unlisted"), "nowhere", nowhere);
            subscriptions.awaitRedelivery(session.unique("past-nothing"));
            return subscriptions.marked(nowhere).size();
        }, 0);
    }

    private static void refusals(Session session) {
        Checks checks = session.checks();
        RuntimeClient client = session.client();
        checks.refused("an empty pubsub name is refused", () -> client.publishEvent("", STEADY, new byte[0]),
            Status.Code.INVALID_ARGUMENT, "pubsub name is empty");
        checks.refused("an empty topic is refused", () -> client.publishEvent(PUBSUB, "", new byte[0]),
            Status.Code.INVALID_ARGUMENT, "topic is empty in pubsub " + PUBSUB);
        checks.refused("an unknown pubsub is named", () -> client.publishEvent("nosuch", STEADY, new byte[0]),
            Status.Code.INVALID_ARGUMENT, "pubsub nosuch not found");
        checks.refused("a cloud event that is no object is refused",
            () -> client.publishEvent(PUBSUB, STEADY, "[1".getBytes(StandardCharsets.UTF_8), "application/cloudevents+json", null),
            Status.Code.INVALID_ARGUMENT, beginning("cannot create cloudevent: "));
    }
}
