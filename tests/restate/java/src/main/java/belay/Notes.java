package belay;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** The file that the suite counts in. */
final class Notes {
  private static Path file;

  private Notes() {}

  static void in(Path path) {
    file = path;
  }

  static void note(String key, String what) throws IOException {
    Files.writeString(
        file, key + " " + what + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
  }

  /** Fails unless it is the third attempt. */
  static int third(String key) throws IOException {
    note(key, "attempt");
    long attempt = Files.readAllLines(file).stream().filter((key + " attempt")::equals).count();
    if (attempt < 3) {
      throw new IllegalStateException("attempt " + attempt + " fails");
    }
    return (int) attempt;
  }
}
