package belay;

import belay.scenario.Binding;
import belay.scenario.Configuration;
import belay.scenario.Files;
import belay.scenario.Hello;
import belay.scenario.Invocation;
import belay.scenario.Locks;
import belay.scenario.PubSub;
import belay.scenario.Sequencer;
import belay.scenario.StateBulk;
import belay.scenario.StateItems;
import belay.scenario.StateTransaction;
import belay.scenario.UnixSocket;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * End-to-end checks of a Layotto-compatible sidecar through the unmodified {@code io.mosn.layotto:runtime-sdk}.
 *
 * <p>Arguments: {@code list} prints the scenarios, one per line; otherwise the scenarios to run, {@code all} being every
 * one that the addresses permit. The environment is described in tests/js/README.md. Exit code 0 only if at least one
 * check ran and none failed.
 */
public final class Main {

    private interface Scenario {
        void run(Session session) throws Exception;
    }

    private static final Map<String, Scenario> SCENARIOS = new LinkedHashMap<>();

    static {
        SCENARIOS.put("hello", Hello::run);
        SCENARIOS.put("state", StateItems::run);
        SCENARIOS.put("state-bulk", StateBulk::run);
        SCENARIOS.put("state-transaction", StateTransaction::run);
        SCENARIOS.put("lock", Locks::run);
        SCENARIOS.put("sequencer", Sequencer::run);
        SCENARIOS.put("configuration", Configuration::run);
        SCENARIOS.put("pubsub", PubSub::run);
        SCENARIOS.put("file", Files::run);
        SCENARIOS.put("binding", Binding::run);
        SCENARIOS.put("invoke", Invocation::run);
        SCENARIOS.put("uds", UnixSocket::run);
    }

    private Main() {
    }

    /** See the class. */
    public static void main(String[] names) {
        System.exit(run(List.of(names)));
    }

    private static int run(List<String> names) {
        if (names.equals(List.of("list"))) {
            SCENARIOS.keySet().forEach(System.out::println);
            return 0;
        }
        List<String> unknown = new ArrayList<>(names);
        unknown.removeAll(SCENARIOS.keySet());
        unknown.remove("all");
        if (names.isEmpty() || !unknown.isEmpty()) {
            System.err.println("usage: list | all | SCENARIO...   (unknown: " + unknown + ")");
            return 2;
        }
        Environment environment;
        try {
            environment = Environment.read(System.getenv());
        } catch (IllegalArgumentException e) {
            System.err.println(e.getMessage());
            return 2;
        }
        int ran = 0;
        int failed = 0;
        for (String name : chosen(names, environment)) {
            Checks checks = runScenario(name, environment);
            ran += checks.ran();
            failed += checks.failed();
        }
        System.out.println("# " + ran + " checks, " + failed + " failed");
        return ran > 0 && failed == 0 ? 0 : 1;
    }

    private static List<String> chosen(List<String> names, Environment environment) {
        if (!names.contains("all")) {
            return names;
        }
        List<String> every = new ArrayList<>(SCENARIOS.keySet());
        if (environment.alsoAtSocket() == null) {
            System.out.println("# not checked - uds: neither BELAY_LAYOTTO nor BELAY_LAYOTTO_UDS is a Unix socket");
            every.remove("uds");
        }
        return every;
    }

    private static Checks runScenario(String name, Environment environment) {
        Checks checks = new Checks(name);
        try {
            Environment own = name.equals("uds") ? environment.overSocket() : environment;
            try (Session session = new Session(own, checks)) {
                SCENARIOS.get(name).run(session);
            }
        } catch (Exception | LinkageError e) {
            // A machine without Netty's native library for sockets shows as the latter.
            checks.crashed(e);
        }
        return checks;
    }
}
