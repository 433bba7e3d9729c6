package belay.scenario;

import static belay.Checks.beginning;

import belay.Checks;
import belay.Environment;
import belay.Session;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import spec.sdk.runtime.v1.domain.file.DelFileRequest;
import spec.sdk.runtime.v1.domain.file.FileInfo;
import spec.sdk.runtime.v1.domain.file.GetFileRequest;
import spec.sdk.runtime.v1.domain.file.GetMetaRequest;
import spec.sdk.runtime.v1.domain.file.GetMeteResponse;
import spec.sdk.runtime.v1.domain.file.ListFileRequest;
import spec.sdk.runtime.v1.domain.file.ListFileResponse;
import spec.sdk.runtime.v1.domain.file.PutFileRequest;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.regex.Pattern;

/**
 * PutFile, GetFile, ListFile, DelFile, GetFileMeta on a local store (spec 3.21 to 3.25).
 *
 * <p>The SDK puts a file as one message without data and then 4096-byte chunks with nothing but data.
 */
public final class Files {

    private static final String              STORE     = "file_demo";
    private static final int                 TIMEOUT   = 5000;
    /** 420 is 0644; 578 is create, truncate, read and write; 66 is the same without truncate. */
    private static final Map<String, String> REPLACE   = Map.of("FileMode", "420", "FileFlag", "578");
    private static final Map<String, String> KEEP_TAIL = Map.of("FileMode", "420", "FileFlag", "66");
    private static final Pattern             GO_TIME   =
        Pattern.compile("\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d(\\.\\d+)? [+-]\\d{4} \\S+");

    private Files() {
    }

    /** Runs the checks. */
    public static void run(Session session) throws Exception {
        contents(session);
        listing(session);
        metadata(session);
        deletion(session);
        putRefusals(session);
        refusals(session);
    }

    private static String path(Session session, String name) {
        return Path.of(Environment.require(session.environment().workFolder(), "BELAY_WORK_DIR"), session.unique(name)).toString();
    }

    private static void put(Session session, String store, String path, byte[] data, Map<String, String> metadata) throws Exception {
        PutFileRequest request = new PutFileRequest();
        request.setStoreName(store);
        request.setFileName(path);
        request.setMetaData(metadata);
        request.setIn(new ByteArrayInputStream(data));
        session.client().putFile(request, TIMEOUT);
    }

    /**
     * Reads the whole file. On an error the SDK writes its text into the stream like data, and fails the next read: what
     * came before counts for nothing then.
     */
    private static byte[] get(Session session, String store, String path) throws Exception {
        GetFileRequest request = new GetFileRequest();
        request.setStoreName(store);
        request.setFileName(path);
        request.setMetaData(Map.of("any", "thing"));
        try (InputStream in = session.client().getFile(request, TIMEOUT).getIn()) {
            return in.readAllBytes();
        } catch (IOException e) {
            throw e.getCause() instanceof StatusRuntimeException cause ? cause : e;
        }
    }

    private static void contents(Session session) {
        Checks checks = session.checks();
        checks.equal("text comes back", () -> {
            byte[] text = "hello layotto, grüß dich".getBytes(StandardCharsets.UTF_8);
            put(session, STORE, path(session, "text"), text, REPLACE);
            return new String(get(session, STORE, path(session, "text")), StandardCharsets.UTF_8);
        }, "hello layotto, grüß dich");
        byte[] large = new byte[700_001];
        new Random(1).nextBytes(large);
        checks.equal("700001 bytes come back", () -> {
            put(session, STORE, path(session, "large"), large, REPLACE);
            return Arrays.equals(get(session, STORE, path(session, "large")), large);
        }, true);
        checks.equal("an empty file comes back empty", () -> {
            put(session, STORE, path(session, "empty"), new byte[0], REPLACE);
            return get(session, STORE, path(session, "empty"));
        }, new byte[0]);
        checks.equal("FileFlag 66 keeps the tail of the old file, 578 truncates", () -> {
            String path = path(session, "flags");
            List<String> seen = new ArrayList<>();
            put(session, STORE, path, "a long content".getBytes(StandardCharsets.UTF_8), REPLACE);
            put(session, STORE, path, "THE".getBytes(StandardCharsets.UTF_8), KEEP_TAIL);
            seen.add(new String(get(session, STORE, path), StandardCharsets.UTF_8));
            put(session, STORE, path, "short".getBytes(StandardCharsets.UTF_8), REPLACE);
            seen.add(new String(get(session, STORE, path), StandardCharsets.UTF_8));
            return seen;
        }, List.of("THEong content", "short"));
    }

    private static ListFileResponse list(Session session, String store, String folder, int pageSize, String marker) throws Exception {
        ListFileRequest request = new ListFileRequest();
        request.setStoreName(store);
        request.setName(folder);
        request.setPageSize(pageSize);
        request.setMarker(marker);
        request.setMetaData(Map.of("any", "thing"));
        return session.client().listFile(request, TIMEOUT);
    }

    private static void listing(Session session) throws IOException {
        Checks checks = session.checks();
        Path folder = Path.of(path(session, "folder"));
        java.nio.file.Files.createDirectories(folder.resolve("c-inner"));
        for (String name : List.of("b", "a", "d")) {
            java.nio.file.Files.writeString(folder.resolve(name), name + name);
        }
        checks.equal("a folder is listed by name, folders included", () -> {
            ListFileResponse page = list(session, STORE, folder.toString(), 0, "");
            return List.of(names(page), page.isTruncated(), page.getMarker());
        }, List.of(List.of("a", "b", "c-inner", "d"), false, "d"));
        checks.equal("pages follow each other by their marker", () -> {
            ListFileResponse first = list(session, STORE, folder.toString(), 3, "");
            ListFileResponse second = list(session, STORE, folder.toString(), 3, first.getMarker());
            return List.of(names(first), first.isTruncated(), first.getMarker(), names(second), second.isTruncated());
        }, List.of(List.of("a", "b", "c-inner"), true, "c-inner", List.of("d"), false));
        checks.equal("an unknown marker gives an empty page", () -> names(list(session, STORE, folder.toString(), 3, "bb")), List.of());
        checks.equal("an entry has size and time", () -> {
            FileInfo entry = list(session, STORE, folder.toString(), 1, "").getFiles()[0];
            return List.of(entry.getSize(), GO_TIME.matcher(entry.getLastModified()).matches());
        }, List.of(2L, true));
        Path bare = java.nio.file.Files.createDirectory(Path.of(path(session, "bare")));
        checks.equal("an empty folder has no entries and no marker", () -> {
            ListFileResponse page = list(session, STORE, bare.toString(), 3, "");
            return List.of(names(page), page.isTruncated(), page.getMarker());
        }, List.of(List.of(), false, ""));
    }

    private static List<String> names(ListFileResponse page) {
        return Arrays.stream(page.getFiles()).map(FileInfo::getFileName).toList();
    }

    private static GetMeteResponse meta(Session session, String store, String path) throws Exception {
        GetMetaRequest request = new GetMetaRequest();
        request.setStoreName(store);
        request.setFileName(path);
        request.setMetaData(Map.of("any", "thing"));
        return session.client().getFileMeta(request, TIMEOUT);
    }

    private static void metadata(Session session) {
        Checks checks = session.checks();
        checks.equal("metadata has size, time, mode and kind", () -> {
            String path = path(session, "meta");
            put(session, STORE, path, "twelve bytes".getBytes(StandardCharsets.UTF_8), Map.of("FileMode", "0384", "FileFlag", "578"));
            GetMeteResponse meta = meta(session, STORE, path);
            Map<String, List<String>> values = new TreeMap<>();
            meta.getMeta().forEach((name, value) -> values.put(name, List.of(value)));
            return List.of(meta.getSize(), GO_TIME.matcher(meta.getLastModified()).matches(), values);
            // 384 is 0600, which no usual umask changes.
        }, List.of(12L, true, Map.of("FileMode", List.of("384"), "IsDir", List.of("false"))));
        checks.refused("metadata of a missing file is not found", () -> meta(session, STORE, path(session, "missing")),
            Status.Code.NOT_FOUND, "file does not exist");
        checks.refused("metadata of an unknown store is refused", () -> meta(session, "nosuch", "x"),
            Status.Code.INVALID_ARGUMENT, "not support store type: nosuch");
    }

    private static void delete(Session session, String store, String path) throws Exception {
        DelFileRequest request = new DelFileRequest();
        request.setStoreName(store);
        request.setFileName(path);
        request.setMetaData(Map.of("any", "thing"));
        session.client().delFile(request, TIMEOUT);
    }

    private static void deletion(Session session) {
        Checks checks = session.checks();
        String path = path(session, "deleted");
        checks.refused("a deleted file is gone", () -> {
            put(session, STORE, path, new byte[] {1}, REPLACE);
            delete(session, STORE, path);
            get(session, STORE, path);
        }, Status.Code.INTERNAL, "get file fail,err: open " + path + ": no such file or directory");
        checks.refused("deleting it again is an error", () -> delete(session, STORE, path),
            Status.Code.INTERNAL, "remove " + path + ": no such file or directory");
        checks.refused("delete names an unknown store", () -> delete(session, "nosuch", path),
            Status.Code.INVALID_ARGUMENT, "not support store type: nosuch");
    }

    private static void putRefusals(Session session) {
        Checks checks = session.checks();
        String path = path(session, "refused");
        byte[] data = new byte[10_000];
        checks.refused("put is refused without FileMode", () -> put(session, STORE, path, data, Map.of("FileFlag", "578")),
            Status.Code.INTERNAL, "fileMode is required for put file");
        checks.refused("put is refused without FileFlag", () -> put(session, STORE, path, data, Map.of("FileMode", "420")),
            Status.Code.INTERNAL, "fileFlag is required for put file");
        checks.refused("put is refused without both", () -> put(session, STORE, path, data, Map.of()),
            Status.Code.INTERNAL, "fileMode is required for put file");
        checks.refused("put is refused with a FileMode that is no number",
            () -> put(session, STORE, path, data, Map.of("FileMode", "rw", "FileFlag", "578")),
            Status.Code.INTERNAL, beginning("wrong fileMode value:"));
        checks.refused("put names an unknown store", () -> put(session, "nosuch", path, data, REPLACE),
            Status.Code.INVALID_ARGUMENT, "not support store type: nosuch");
        checks.refused("a refused put leaves no file", () -> get(session, STORE, path),
            Status.Code.INTERNAL, "get file fail,err: open " + path + ": no such file or directory");
    }

    private static void refusals(Session session) {
        Checks checks = session.checks();
        checks.refused("get names an unknown store", () -> get(session, "nosuch", "x"),
            Status.Code.INVALID_ARGUMENT, "not supported store type: nosuch");
        checks.refused("list names an unknown store", () -> list(session, "nosuch", "x", 0, ""),
            Status.Code.INVALID_ARGUMENT, "not support store type: nosuch");
    }
}
