package belay;

import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What the program that starts us tells us: where the server, the echo app and our own callback server are.
 *
 * @param host         of the server, when it listens on TCP
 * @param port         of the server, when it listens on TCP
 * @param socketPath   of the server, when it is to be reached by a Unix socket, else null
 * @param alsoAtSocket the server's Unix socket, whether or not it is to be reached by it, or null
 * @param appPort      where our callback server has to listen
 * @param httpTarget   base URL of the echo app, without a slash at the end, or null
 * @param workFolder   an empty folder for files, or null
 */
public record Environment(String host, int port, String socketPath, String alsoAtSocket, int appPort, String httpTarget,
                          String workFolder) {

    private static final Pattern HOST_AND_PORT = Pattern.compile("(.+):(\\d+)");

    /** Reads and checks the variables; an unusable value is an error that names it. */
    public static Environment read(Map<String, String> variables) {
        String address = variables.getOrDefault("BELAY_LAYOTTO", "127.0.0.1:34904");
        int appPort = Integer.parseInt(variables.getOrDefault("BELAY_APP_PORT", "9999"));
        String httpTarget = httpBase(variables.get("BELAY_HTTP_TARGET"));
        String workFolder = variables.get("BELAY_WORK_DIR");
        String also = variables.get("BELAY_LAYOTTO_UDS");
        String alsoAtSocket = also == null || also.isEmpty() ? null : socketPath("BELAY_LAYOTTO_UDS", also);
        if (address.startsWith("unix:")) {
            String path = socketPath("BELAY_LAYOTTO", address);
            return new Environment(null, 0, path, alsoAtSocket == null ? path : alsoAtSocket, appPort, httpTarget, workFolder);
        }
        Matcher parts = HOST_AND_PORT.matcher(address);
        if (!parts.matches()) {
            throw new IllegalArgumentException("BELAY_LAYOTTO: " + address + " is neither host:port nor unix:/path");
        }
        return new Environment(parts.group(1), Integer.parseInt(parts.group(2)), null, alsoAtSocket, appPort, httpTarget, workFolder);
    }

    private static String socketPath(String variable, String address) {
        String path = address.replaceFirst("^unix:(//)?", "");
        if (!path.startsWith("/")) {
            throw new IllegalArgumentException(variable + ": " + address + " needs an absolute path");
        }
        return path;
    }

    /** The same, with the server's Unix socket instead of its port. */
    public Environment overSocket() {
        String path = require(alsoAtSocket, "BELAY_LAYOTTO_UDS");
        return new Environment(null, 0, path, path, appPort, httpTarget, workFolder);
    }

    /** The value, or an error that says which variable is missing. */
    public static String require(String value, String variable) {
        if (value == null) {
            throw new IllegalStateException(variable + " is not set");
        }
        return value;
    }

    private static String httpBase(String target) {
        if (target == null) {
            return null;
        }
        if (target.matches("\\d+")) {
            return "http://127.0.0.1:" + target;
        }
        return (target.contains("://") ? target : "http://" + target).replaceFirst("/+$", "");
    }
}
