package belay.scenario;

import static belay.Checks.eventually;

import belay.Session;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import spec.proto.runtime.v1.RuntimeProto.ConfigurationItem;
import spec.proto.runtime.v1.RuntimeProto.SubscribeConfigurationRequest;
import spec.proto.runtime.v1.RuntimeProto.SubscribeConfigurationResponse;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * A subscription that is known to be live: nothing on the wire says so, therefore one key of its own is saved until a
 * change of it arrives.
 */
final class Watch implements ClientResponseObserver<SubscribeConfigurationRequest, SubscribeConfigurationResponse> {

    private final Session                                           session;
    private final String                                            pulse;
    private final List<SubscribeConfigurationResponse>              messages = new CopyOnWriteArrayList<>();
    private ClientCallStreamObserver<SubscribeConfigurationRequest> requests;
    private volatile Throwable                                      error;
    private volatile boolean                                        ended;
    private int                                                     beats;

    Watch(Session session, String name, String store, List<String> keys) {
        this.session = session;
        this.pulse = session.unique("pulse-" + name);
        session.asyncStub().subscribeConfiguration(this);
        add(store, keys);
        add(store, List.of(pulse));
    }

    /** Subscribes to more keys on the same stream. */
    void add(String store, List<String> keys) {
        requests.onNext(SubscribeConfigurationRequest.newBuilder()
            .setStoreName(store).setAppId(Configuration.APP_ID).addAllKeys(keys).build());
    }

    Watch live() throws Exception {
        eventually("a change of the own key arrives", () -> {
            beat();
            return items().stream().anyMatch(item -> item.getKey().equals(pulse));
        });
        return this;
    }

    /** The changes once there are as many as expected and a later change of the own key has come: nothing is under way. */
    List<String> settled(int count) throws Exception {
        eventually(count + " changes arrive", () -> changes().size() >= count);
        beat();
        String last = Integer.toString(beats);
        eventually("a later change of the own key arrives",
            () -> items().stream().anyMatch(item -> item.getKey().equals(pulse) && item.getContent().equals(last)));
        return changes();
    }

    private void beat() {
        beats++;
        Configuration.save(session, Configuration.STORE, pulse, Integer.toString(beats));
    }

    private List<String> changes() {
        return items().stream().filter(item -> !item.getKey().equals(pulse))
            .map(item -> item.getKey() + "=" + item.getContent()).toList();
    }

    private List<ConfigurationItem> items() {
        return messages.stream().flatMap(message -> message.getItemsList().stream()).toList();
    }

    List<SubscribeConfigurationResponse> messages() {
        return messages;
    }

    boolean ended() {
        return ended;
    }

    Throwable error() {
        return error;
    }

    void cancel() {
        requests.cancel("no longer wanted", null);
    }

    void endSending() {
        requests.onCompleted();
    }

    @Override
    public void beforeStart(ClientCallStreamObserver<SubscribeConfigurationRequest> stream) {
        requests = stream;
    }

    @Override
    public void onNext(SubscribeConfigurationResponse message) {
        messages.add(message);
    }

    @Override
    public void onError(Throwable reason) {
        error = reason;
        ended = true;
    }

    @Override
    public void onCompleted() {
        ended = true;
    }
}
