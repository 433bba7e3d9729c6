package belay;

import com.google.protobuf.ByteString;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;

import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Predicate;
import java.util.regex.Pattern;

/** One line per check: {@code ok - sentence} or {@code not ok - sentence: expected X, got Y}. */
public final class Checks {

    /** An action whose result nobody looks at. */
    public interface Action {
        void run() throws Exception;
    }

    /** No wait is longer than this. */
    private static final long DEADLINE_MS = 10_000;
    /** Shorter, so that the error which says what was waited for comes first. */
    private static final long EVENTUALLY_MS = 9_000;
    private static final long POLL_MS = 25;
    private static final int SHOWN_MAX = 400;

    /** Actions run on daemon threads: the SDK has calls without a deadline, and a stuck one must not keep the JVM. */
    private static final ExecutorService ACTIONS = Executors.newCachedThreadPool(action -> {
        Thread thread = new Thread(action, "check");
        thread.setDaemon(true);
        return thread;
    });

    private final String scenario;
    private int          ran;
    private int          failed;

    Checks(String scenario) {
        this.scenario = scenario;
    }

    String scenario() {
        return scenario;
    }

    int ran() {
        return ran;
    }

    int failed() {
        return failed;
    }

    /** The result of {@code actual} must equal {@code expected}; byte arrays are compared by content. */
    public void equal(String sentence, Callable<?> actual, Object expected) {
        observe(sentence, actual, shown(expected), value -> Objects.equals(plain(value), plain(expected)));
    }

    /** The result of {@code actual} must satisfy {@code predicate}; {@code expected} says in words what that means. */
    public <T> void holds(String sentence, String expected, Callable<T> actual, Predicate<T> predicate) {
        observe(sentence, actual, expected, predicate);
    }

    /** {@code action} must come back without an error. */
    public void succeeds(String sentence, Action action) {
        observe(sentence, done(action), "no error", value -> true);
    }

    /** {@code action} must be refused with this gRPC code and exactly this message. */
    public void refused(String sentence, Action action, Status.Code code, String message) {
        refusal(sentence, action, code, "\"" + message + "\"", message::equals);
    }

    /** {@code action} must be refused with this gRPC code and a message that matches. */
    public void refused(String sentence, Action action, Status.Code code, Pattern message) {
        refusal(sentence, action, code, "/" + message + "/", text -> text != null && message.matcher(text).find());
    }

    /** Says what could not be checked, and why. */
    public void skipped(String what, String reason) {
        System.out.println("# not checked - " + scenario + ": " + what + ": " + reason);
    }

    /** A scenario that stops half-way is a failure, whatever its checks said. */
    void crashed(Throwable error) {
        report("the scenario runs to its end", false, "no error", shownError(error));
    }

    /** Asks again and again until {@code condition} gives true; an error after nine seconds. */
    public static void eventually(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(EVENTUALLY_MS);
        while (!condition.call()) {
            if (System.nanoTime() > end) {
                throw new TimeoutException("not within " + EVENTUALLY_MS + " ms: " + what);
            }
            Thread.sleep(POLL_MS);
        }
    }

    /** Asks again and again for {@code duration}; whether every answer was true. */
    public static boolean always(long durationMs, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(durationMs);
        while (System.nanoTime() < end) {
            if (!condition.call()) {
                return false;
            }
            Thread.sleep(POLL_MS);
        }
        return true;
    }

    /** A pattern for messages that begin with {@code text}; for those whose end the server may choose. */
    public static Pattern beginning(String text) {
        return Pattern.compile("^" + Pattern.quote(text), Pattern.DOTALL);
    }

    private <T> void observe(String sentence, Callable<T> actual, String expected, Predicate<T> predicate) {
        try {
            T value = within(actual);
            report(sentence, predicate.test(value), expected, shown(value));
        } catch (Exception e) {
            report(sentence, false, expected, shownError(e));
        }
    }

    private void refusal(String sentence, Action action, Status.Code code, String shownMessage, Predicate<String> message) {
        String expected = code + " " + shownMessage;
        try {
            within(done(action));
            report(sentence, false, expected, "no error");
        } catch (Exception e) {
            Status status = status(e);
            boolean same = status != null && status.getCode() == code && message.test(status.getDescription());
            report(sentence, same, expected, shownError(e));
        }
    }

    private void report(String sentence, boolean passed, String expected, String got) {
        ran++;
        String line = scenario + ": " + sentence;
        if (passed) {
            System.out.println("ok - " + line);
        } else {
            failed++;
            System.out.println("not ok - " + line + ": expected " + expected + ", got " + got);
        }
    }

    private static Callable<Void> done(Action action) {
        return () -> {
            action.run();
            return null;
        };
    }

    private static <T> T within(Callable<T> source) throws Exception {
        Future<T> future = ACTIONS.submit(source);
        try {
            return future.get(DEADLINE_MS, TimeUnit.MILLISECONDS);
        } catch (ExecutionException e) {
            throw e.getCause() instanceof Exception cause ? cause : e;
        } catch (TimeoutException e) {
            future.cancel(true);
            throw new TimeoutException("nothing within " + DEADLINE_MS + " ms");
        }
    }

    /** The gRPC status behind an error: the SDK wraps it for some calls and not for others. */
    private static Status status(Throwable error) {
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            if (cause instanceof StatusRuntimeException refused) {
                return refused.getStatus();
            }
        }
        return null;
    }

    private static Object plain(Object value) {
        return value instanceof byte[] bytes ? ByteString.copyFrom(bytes) : value;
    }

    private static String shown(Object value) {
        String text = value instanceof byte[] bytes
            ? bytes.length + " bytes " + Arrays.toString(Arrays.copyOf(bytes, Math.min(bytes.length, 64)))
            : String.valueOf(value);
        return clipped(text);
    }

    private static String shownError(Throwable error) {
        Status status = status(error);
        return clipped(status == null ? String.valueOf(error) : status.getCode() + " \"" + status.getDescription() + "\"");
    }

    private static String clipped(String text) {
        String line = text.replace('\n', ' ');
        return line.substring(0, Math.min(line.length(), SHOWN_MAX));
    }
}
