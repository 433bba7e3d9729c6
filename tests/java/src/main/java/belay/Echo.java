package belay;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.List;
import java.util.Map;

/** The HTTP echo app behind the server (tests/js/README.md, "The echo app"), asked past the server. */
public final class Echo {

    private static final HttpClient CLIENT = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    private final Session session;
    private final boolean tells;

    private Echo(Session session, boolean tells) {
        this.session = session;
        this.tells = tells;
    }

    /** Checks that the echo app keeps to its contract: else the server would be blamed for nothing. */
    public static Echo check(Session session) throws Exception {
        String base = Environment.require(session.environment().httpTarget(), "BELAY_HTTP_TARGET");
        session.checks().equal("the echo app keeps to its contract", () -> {
            HttpResponse<String> answer = post(base + "/hello?a=1", "three");
            Map<String, List<String>> headers = answer.headers().map();
            return List.of(answer.statusCode(), headers.get("asked"), headers.get("content-type"), answer.body());
        }, List.of(200, List.of("POST /hello?a=1"), List.of("text/x-test"), "three"));
        HttpResponse<String> heard = post(base + "/heard/x-one", "");
        HttpResponse<String> asked = post(base + "/asked", "");
        HttpResponse<String> status = post(base + "/status/404", "");
        boolean tells = heard.body().equals("two") && asked.body().equals("POST /asked") && status.statusCode() == 404
            && status.body().equals("no such thing");
        return new Echo(session, tells);
    }

    /** Runs checks that need an app with {@code /heard}, {@code /asked} and {@code /status}; says so where it has none. */
    public void whenTold(String what, Runnable checks) {
        if (tells) {
            checks.run();
        } else {
            session.checks().skipped(what, "the echo app has no /heard, /asked and /status");
        }
    }

    private static HttpResponse<String> post(String url, String body) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(url))
            .header("X-One", "two")
            .header("Content-Type", "text/x-test")
            .POST(BodyPublishers.ofString(body))
            .build();
        return CLIENT.send(request, BodyHandlers.ofString());
    }
}
