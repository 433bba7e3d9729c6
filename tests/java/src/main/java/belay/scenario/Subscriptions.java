package belay.scenario;

import static belay.Checks.eventually;

import belay.Session;
import io.mosn.layotto.v1.RuntimeServerGrpc;
import io.mosn.layotto.v1.callback.component.pubsub.DefaultSubscriber;
import io.mosn.layotto.v1.callback.component.pubsub.Subscriber;
import spec.sdk.runtime.v1.domain.pubsub.TopicEventRequest;
import spec.sdk.runtime.v1.domain.pubsub.TopicEventResponse;
import spec.sdk.runtime.v1.domain.pubsub.TopicEventResponseStatus;
import spec.sdk.runtime.v1.domain.pubsub.TopicSubscription;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * The SDK's callback server with three topics, and what arrived on them.
 *
 * <p>The topics have fixed names, the same in tests/js: a sidecar may ask for the list once in its life and serve several
 * programs, one after another, that listen on the same port. Events of other runs are acknowledged and not kept.
 */
final class Subscriptions implements Subscriber {

    static final String PUBSUB  = "pub_subs_demo";
    /** Handled at once. */
    static final String STEADY  = "hello";
    /** The first delivery of an event fails: kind {@code throw} in the handler, kind {@code error} as a gRPC error. */
    static final String FLAKY   = "topic1";
    /** Answered with DROP. */
    static final String DROPPED = "topic2";

    private final Session                 session;
    private final DefaultSubscriber       handlers = new DefaultSubscriber(PUBSUB);
    private final List<TopicEventRequest> arrivals = new CopyOnWriteArrayList<>();
    private final Set<String>             failed   = ConcurrentHashMap.newKeySet();
    private final RuntimeServerGrpc       server;

    Subscriptions(Session session) {
        this.session = session;
        handlers.subscribe(STEADY, arrivals::add);
        handlers.subscribe(DROPPED, arrivals::add);
        handlers.subscribe(FLAKY, request -> {
            arrivals.add(request);
            if (isFirst(request, "throw")) {
                throw new IOException("first delivery, on purpose");
            }
        });
        server = new RuntimeServerGrpc(session.environment().appPort());
        server.registerPubSubCallback(PUBSUB, this);
    }

    /** Starts to listen, and waits until events reach every listed topic. */
    void start() throws Exception {
        server.start();
        for (String topic : List.of(STEADY, FLAKY, DROPPED)) {
            eventually("the subscription to " + topic + " is live", () -> {
                publish(topic, "probe", "probe");
                return arrivals.stream().anyMatch(arrival -> arrival.getTopic().equals(topic) && text(arrival).contains(session.run()));
            });
        }
    }

    void stop() throws InterruptedException {
        server.stop();
    }

    /** Publishes as the SDK does by default: without a content type. */
    void publish(String topic, String kind, String mark) {
        session.client().publishEvent(PUBSUB, topic, event(kind, mark).getBytes(StandardCharsets.UTF_8));
    }

    /** What {@link #publish} sends. */
    String event(String kind, String mark) {
        return "{\"run\":\"" + session.run() + "\",\"kind\":\"" + kind + "\",\"mark\":\"" + mark + "\"}";
    }

    /** What arrived of the event with this mark. */
    List<TopicEventRequest> marked(String mark) {
        return arrivals.stream().filter(arrival -> text(arrival).contains(mark)).toList();
    }

    /**
     * Publishes an event that fails once, and waits until it is handled: what was to be delivered again before it, if
     * anything, has been by then.
     */
    void awaitRedelivery(String mark) throws Exception {
        publish(FLAKY, "throw", mark);
        eventually("the event " + mark + " comes again", () -> marked(mark).size() >= 2);
    }

    /** The first arrival with this mark. */
    TopicEventRequest arrival(String mark) throws Exception {
        eventually("the event " + mark + " arrives", () -> !marked(mark).isEmpty());
        return marked(mark).get(0);
    }

    static String text(TopicEventRequest request) {
        return new String(request.getData(), StandardCharsets.UTF_8);
    }

    @Override
    public String getComponentName() {
        return handlers.getComponentName();
    }

    @Override
    public Set<TopicSubscription> listTopicSubscriptions() {
        return handlers.listTopicSubscriptions();
    }

    @Override
    public TopicEventResponse onTopicEvent(TopicEventRequest request) {
        if (isFirst(request, "error")) {
            throw new IllegalStateException("first delivery, on purpose");
        }
        if (!List.of(STEADY, FLAKY, DROPPED).contains(request.getTopic())) {
            // The SDK would answer RETRY for a topic without a handler, and nobody would see that it came.
            arrivals.add(request);
            return answer(TopicEventResponseStatus.SUCCESS);
        }
        TopicEventResponse response = handlers.onTopicEvent(request);
        return request.getTopic().equals(DROPPED) ? answer(TopicEventResponseStatus.DROP) : response;
    }

    private static TopicEventResponse answer(TopicEventResponseStatus status) {
        TopicEventResponse response = new TopicEventResponse();
        response.setStatus(status);
        return response;
    }

    /** Whether this is the first delivery of an event of this run that wants to fail in this way. */
    private boolean isFirst(TopicEventRequest request, String kind) {
        String text = text(request);
        return text.contains(session.run()) && text.contains("\"kind\":\"" + kind + "\"") && failed.add(request.getId());
    }
}
