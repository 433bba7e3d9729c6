package belay.scenario;

import belay.Checks;
import belay.Session;
import io.grpc.Status;
import spec.proto.runtime.v1.RuntimeProto;
import spec.sdk.runtime.v1.domain.sequencer.GetNextIdRequest;
import spec.sdk.runtime.v1.domain.sequencer.SequencerOptions;
import spec.sdk.runtime.v1.domain.sequencer.SequencerOptions.AutoIncrement;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/** GetNextId (spec 3.11). The SDK cannot call it without options: it throws a NullPointerException of its own. */
public final class Sequencer {

    private static final String STORE = "sequencer_demo";

    private Sequencer() {
    }

    private record Given(AutoIncrement increment, long id) {
    }

    /** Runs the checks. */
    public static void run(Session session) {
        Checks checks = session.checks();
        checks.equal("WEAK gives 1, 2, 3 and so on for a fresh key", () -> several(session, 5, "weak", AutoIncrement.WEAK),
            List.of(1L, 2L, 3L, 4L, 5L));
        checks.equal("another key counts on its own", () -> several(session, 1, "other", AutoIncrement.WEAK), List.of(1L));
        checks.holds("STRONG ids grow, beginning at 1", "1 and then each larger than the one before",
            () -> several(session, 20, "strong", AutoIncrement.STRONG),
            ids -> ids.get(0) == 1 && IntStream.range(1, ids.size()).allMatch(index -> ids.get(index) > ids.get(index - 1)));
        checks.equal("100 WEAK calls at once give 1 to 100, each once", () -> IntStream.range(0, 100).parallel()
            .mapToObj(index -> next(session, STORE, session.unique("race"), AutoIncrement.WEAK)).sorted().toList(),
            LongStream.rangeClosed(1, 100).boxed().toList());
        checks.holds("in any mix no id comes twice and STRONG is above all before", "different ids, STRONG ones the largest so far",
            () -> mixed(session), Sequencer::wellMixed);
        // The generated stub can leave the options out.
        checks.equal("without options the ids are WEAK ones", () -> {
            var request = RuntimeProto.GetNextIdRequest.newBuilder().setStoreName(STORE).setKey(session.unique("weak")).build();
            return session.stub().getNextId(request).getNextId();
        }, 6L);
        refusals(session);
    }

    private static long next(Session session, String store, String key, AutoIncrement increment) {
        GetNextIdRequest request = new GetNextIdRequest();
        request.setStoreName(store);
        request.setKey(key);
        request.setMetadata(Map.of("any", "thing"));
        SequencerOptions options = new SequencerOptions();
        options.setOption(increment);
        request.setOptions(options);
        return session.client().getNextId(request).getNextId();
    }

    private static List<Long> several(Session session, int count, String name, AutoIncrement increment) {
        List<Long> ids = new ArrayList<>();
        while (ids.size() < count) {
            ids.add(next(session, STORE, session.unique(name), increment));
        }
        return ids;
    }

    private static List<Given> mixed(Session session) {
        AutoIncrement weak = AutoIncrement.WEAK;
        AutoIncrement strong = AutoIncrement.STRONG;
        List<Given> given = new ArrayList<>();
        for (AutoIncrement increment : List.of(weak, weak, strong, weak, strong, strong, weak, weak, strong)) {
            given.add(new Given(increment, next(session, STORE, session.unique("mixed"), increment)));
        }
        return given;
    }

    private static boolean wellMixed(List<Given> given) {
        long largest = 0;
        for (Given one : given) {
            if (one.increment == AutoIncrement.STRONG && one.id <= largest) {
                return false;
            }
            largest = Math.max(largest, one.id);
        }
        return new HashSet<>(given.stream().map(Given::id).toList()).size() == given.size();
    }

    private static void refusals(Session session) {
        Checks checks = session.checks();
        AutoIncrement weak = AutoIncrement.WEAK;
        checks.refused("an empty key is refused", () -> next(session, STORE, "", weak),
            Status.Code.INVALID_ARGUMENT, "Key is empty in sequencer store " + STORE);
        checks.refused("an unknown store is named", () -> next(session, "nosuch", "k", weak),
            Status.Code.INVALID_ARGUMENT, "Sequencer store nosuch not found");
        checks.refused("the key is looked at before the store", () -> next(session, "nosuch", "a||b", weak),
            Status.Code.UNKNOWN, "input key/keyPrefix 'a||b' can't contain '||'");
    }
}
